"""Token prepending equals a plain, slow reference: a loop over layers, one unpadded sequence at a time."""

import pytest
import torch
from conftest import DECODERS, make_decoder

from qzhou_eval.model.token_prepending import decoder_layers, token_prepending

PLACEHOLDER = 2
LENGTHS = (3, 17, 8, 30)


def reference(model, ids: torch.Tensor, placeholder: int, first: int, last: int) -> torch.Tensor:
    """The last hidden state (length, hidden) of one sequence, each layer run by hand after a first pass.

    A pass without any change captures what each layer is called with (masks, rotary positions);
    then the layers are called one by one, the placeholder's row replaced in front of those in range.
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


def padded_batch(vocab: int, seed: int = 3):
    generator = torch.Generator().manual_seed(seed)
    sequences = [torch.randint(3, vocab, (length,), generator=generator) for length in LENGTHS]
    width = max(LENGTHS)
    ids = torch.zeros(len(LENGTHS), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) :] = sequence
        mask[row, width - len(sequence) :] = 1
    starts = torch.tensor([width - length for length in LENGTHS])
    positions = {
        "placeholder_positions": starts + PLACEHOLDER,
        "last_positions": torch.full_like(starts, width - 1),
    }
    return sequences, {"input_ids": ids, "attention_mask": mask}, positions


def run(model, batch, positions, **layers):
    with torch.no_grad(), token_prepending(model, **positions, **layers):
        return model(**batch, use_cache=False).last_hidden_state[:, -1]


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("span", [(1, 7), (1, 6), (0, 8), (4, 4)])
def test_equals_the_reference_in_left_padded_batches(family, span):
    model = make_decoder(family)
    sequences, batch, positions = padded_batch(model.config.vocab_size)
    found = run(model, batch, positions, first_layer=span[0], last_layer=span[1])
    with torch.no_grad():
        expected = torch.stack([reference(model, s, PLACEHOLDER, *span)[-1] for s in sequences])
    assert (found - expected).abs().max() < 1e-5


def test_the_reference_can_tell_ranges_apart():
    model = make_decoder("Qwen3")
    ids = padded_batch(model.config.vocab_size)[0][3]
    with torch.no_grad():
        ends = [reference(model, ids, PLACEHOLDER, 1, last)[-1] for last in (5, 6, 7)]
        off = model(input_ids=ids[None]).last_hidden_state[0, -1]
        none = reference(model, ids, PLACEHOLDER, 99, 99)[-1]
    assert torch.allclose(off, none, atol=1e-5)
    for one, two in ((ends[0], ends[1]), (ends[1], ends[2]), (ends[2], off)):
        assert (one - two).abs().max() > 1e-3


def test_1_to_7_touches_the_inputs_of_layers_1_to_7_and_of_no_other():
    model = make_decoder("Qwen3")
    _, batch, positions = padded_batch(model.config.vocab_size)
    rows = torch.arange(1, len(LENGTHS))  # the first sequence ends at its placeholder
    touched = set()

    def look(index):
        def hook(_module, args, kwargs):
            hidden = args[0] if args else kwargs["hidden_states"]
            at = positions["placeholder_positions"][rows], positions["last_positions"][rows]
            if torch.equal(hidden[rows, at[0]], hidden[rows, at[1]]):
                touched.add(index)

        return hook

    with torch.no_grad(), token_prepending(model, **positions, first_layer=1, last_layer=7):
        for index, layer in enumerate(decoder_layers(model)):
            layer.register_forward_pre_hook(look(index), with_kwargs=True)
        model(**batch)
    assert touched == set(range(1, 8))


def test_no_trace_is_left_also_after_an_exception():
    model = make_decoder("Qwen3")
    _, batch, positions = padded_batch(model.config.vocab_size)
    with torch.no_grad():
        before = model(**batch).last_hidden_state
        with pytest.raises(KeyError), token_prepending(model, **positions):
            raise KeyError
        after = model(**batch).last_hidden_state
    assert torch.equal(before, after)
    assert all(not layer._forward_pre_hooks for layer in decoder_layers(model))


def test_works_under_autograd_and_leaves_the_input_alone():
    model = make_decoder("Llama")
    _, batch, positions = padded_batch(model.config.vocab_size)
    embeddings = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    copy = embeddings.detach().clone()
    with token_prepending(model, **positions, first_layer=0, last_layer=3):
        model(inputs_embeds=embeddings, attention_mask=batch["attention_mask"]).last_hidden_state[
            :, -1
        ].sum().backward()
    assert torch.equal(embeddings.detach(), copy)
    rows = torch.arange(1, len(LENGTHS))  # the first sequence ends at its placeholder
    gradient = embeddings.grad[rows, positions["placeholder_positions"][rows]]
    assert (gradient == 0).all()  # layer 0 never sees the placeholder's own embedding
    assert embeddings.grad[rows, positions["last_positions"][rows]].abs().sum() > 0


@pytest.mark.parametrize("span", [(1, 9), (-1, 3), (5, 4)])
def test_a_range_beyond_the_model_is_refused(span):
    model = make_decoder("Qwen2")
    _, batch, positions = padded_batch(model.config.vocab_size)
    with pytest.raises(ValueError, match="layers 0 to 8"):
        run(model, batch, positions, first_layer=span[0], last_layer=span[1])


def test_positions_must_be_integers_of_one_shape():
    model = make_decoder("Qwen2")
    _, batch, positions = padded_batch(model.config.vocab_size)
    for wrong in (positions["placeholder_positions"][:2], positions["placeholder_positions"].float()):
        with pytest.raises(ValueError, match="placeholder_positions"):
            run(model, batch, positions | {"placeholder_positions": wrong})
