"""Small random decoders of every family, and token prepending as a plain loop over their layers."""

import torch
import transformers

from qzhou_eval.model.family import decoder_layers

DECODERS = {
    "Qwen3": {"head_dim": 16},
    "Qwen2": {},
    "Llama": {},
    "Mistral": {"sliding_window": None},
    "Gemma": {"head_dim": 16},
    "Gemma2": {"head_dim": 16, "sliding_window": 8},
    "Gemma3Text": {"head_dim": 16, "sliding_window": 8},
    "Phi3": {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1},
}


def make_decoder(family: str, *, layers: int = 9, vocab_size: int = 512, seed: int = 0) -> torch.nn.Module:
    """A randomly initialised decoder, large weights so that layers differ, on CPU in float32."""
    torch.manual_seed(seed)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=vocab_size,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.1,
        **DECODERS[family],
    )
    name = family.removesuffix("Text")
    model = getattr(transformers, f"{name}TextModel" if family.endswith("Text") else f"{name}Model")(config)
    return model.eval()


def reference(model, ids: torch.Tensor, placeholder: int, first: int, last: int) -> torch.Tensor:
    """The last hidden state (length, hidden) of one sequence, each layer run by hand after a first pass.

    An unchanged pass captures what each layer is called with (masks, rotary positions);
    then the layers are called one by one, and the placeholder's row is replaced before each layer in range.
    """
    calls = []
    layers = decoder_layers(model)
    original = [type(layer).forward for layer in layers]

    def recording(index):
        def forward(self, *args, **kwargs):
            calls.append((index, args, dict(kwargs)))
            return original[index](self, *args, **kwargs)

        return forward

    for index, layer in enumerate(layers):
        layer.forward = recording(index).__get__(layer)
    try:
        model(input_ids=ids[None], use_cache=False)
    finally:
        for layer in layers:
            del layer.forward
    _, args, kwargs = calls[0]
    hidden = args[0] if args else kwargs["hidden_states"]
    for index, args, kwargs in calls:
        if first <= index <= last:
            hidden = hidden.clone()
            hidden[0, placeholder] = hidden[0, -1]
        kwargs.pop("hidden_states", None)
        output = layers[index](hidden, *args[1:], **kwargs)
        hidden = output[0] if isinstance(output, tuple) else output
    return model.norm(hidden)[0]
