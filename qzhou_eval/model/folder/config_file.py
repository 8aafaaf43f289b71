"""Read a model's config.json: sizes, whatever their names, and which tokens a token attends to.

Nothing is loaded here. A forward pass checks what the configuration says: see :mod:`qzhou_eval.model.direction`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.files import JsonObject, whole_number, whole_number_if_there

# Model types of transformers 4.51 and 5.23 with a masked language model, and other text encoders.
_ENCODERS = """
    albert bert big_bird camembert canine convbert data2vec-text deberta deberta-v2 distilbert dpr electra ernie
    ernie_m esm esmc eurobert flaubert fnet funnel gte ibert jina_embeddings_v3 layoutlm layoutlmv2 layoutlmv3 lilt
    longformer luke markuplm mega megatron-bert mobilebert modernbert modernvbert mpnet mra neomme new nezha nomic_bert
    nystromformer perceiver qdqbert reformer rembert roberta roberta-prelayernorm roc_bert roformer splinter
    squeezebert tapas ultrabert ultravbert visual_bert xlm xlm-roberta xlm-roberta-xl xlnet xmod yoso"""
_ENCODER_DECODERS = """
    bart bigbird_pegasus blenderbot blenderbot-small encoder-decoder fsmt gptsan-japanese led longt5 m2m_100 marian
    mbart mt5 mvp nllb-moe pegasus pegasus_x plbart prophetnet seamless_m4t seamless_m4t_v2 switch_transformers t5
    t5gemma t5gemma2 umt5 whisper xlm-prophetnet"""
_BOTH_WAYS: dict[str, dict[object, bool]] = {  # field -> value -> whether a token attends to those after it too
    "is_causal": {True: False, False: True},
    "use_bidirectional_attention": {True: True, "all": True, False: False, "vision": False},
}
# Their position table begins after the padding token's number.
_POSITIONS_AFTER_PADDING = """
    camembert data2vec-text esm ibert lilt longformer luke markuplm mpnet roberta roberta-prelayernorm xlm-roberta
    xlm-roberta-xl xmod"""
_NESTED = ("text_config", "llm_config", "language_config")
_TOKENS = re.compile(r"(?:^|\.)(?:embed_tokens|wte|word_embeddings|tokens_embed|embed_in|tok_embeddings)\.weight$")
_POSITIONS = re.compile(r"(?:^|\.)(?:wpe|embed_positions|position_embeddings|positions_embed)\.weight$")


@dataclass(frozen=True)
class Architecture:
    """A model's sizes.

    Attributes:
        kind: the model type.
        layers: number of layers.
        hidden: size of a hidden state.
        vocabulary: rows of the embedding matrix.
        positions: number of tokens that it was made for, None if unknown.
        learned_positions: whether each position has a row in a table, so that there are no more than ``positions``.
    """

    kind: str
    layers: int
    hidden: int
    vocabulary: int
    positions: int | None
    learned_positions: bool


def read_architecture(path: Path, config: JsonObject, shapes: dict[str, tuple[int, ...]]) -> Architecture:
    """Read the sizes from a config.json, wherever they are in it and whatever they are called.

    Args:
        path: the file, for messages.
        shapes: shapes of the stored tensors.

    Raises:
        BadInput: a size is missing, not a number, or contradicts a tensor.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise BadInput(f"{path}: model_type is {kind!r}; expected the name of an architecture")
    text = _of_text(config)
    vocabulary = whole_number_if_there(path, text, "vocab_size") or whole_number(path, config, "vocab_size")
    rows = {shape[0] for name, shape in shapes.items() if _TOKENS.search(name)}
    if len(rows) == 1 and rows != {vocabulary}:
        raise BadInput(f"{path}: vocab_size is {vocabulary}, but the embedding matrix has {rows.pop()} rows")
    table = {shape[0] for name, shape in shapes.items() if _POSITIONS.search(name)}
    positions = whole_number_if_there(path, text, "max_position_embeddings", "n_positions", "n_ctx")
    positions = positions or (min(table) if table else None)
    if positions is not None and kind in _POSITIONS_AFTER_PADDING.split():
        padding = text.get("pad_token_id", 1)
        positions -= 1 + padding if isinstance(padding, int) else 0
    return Architecture(
        kind=kind,
        layers=whole_number(path, text, "num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        hidden=whole_number(path, text, "hidden_size", "n_embd", "d_model", "dim"),
        vocabulary=vocabulary,
        positions=positions,
        learned_positions=bool(table),
    )


def refuse_quantised(path: Path, config: JsonObject) -> None:
    """Refuse a checkpoint whose stored weights are quantised.

    Raises:
        BadInput: it is, by its configuration; the message names the method.
    """
    quantised = config.get("quantization_config")
    method = quantised.get("quant_method") if isinstance(quantised, dict) else None
    if quantised and method != "gguf":  # a GGUF file's tensors are dequantised before transformers can save them
        raise BadInput(
            f"{path}: quantised ({method or 'quantization_config'}); scores of quantised weights are not the model's: "
            "give the checkpoint that it was made from"
        )


def attends_both_ways(path: Path, config: JsonObject) -> bool:
    """Return whether, by the configuration, a token attends to those after it too, as in an encoder.

    Raises:
        BadInput: an encoder-decoder, or a field with an unknown value.
    """
    kind = config.get("model_type")
    if config.get("is_encoder_decoder") is True or kind in _ENCODER_DECODERS.split():
        raise BadInput(f"{path}: {kind} is an encoder-decoder; encoders and decoders are supported")
    for fields in (config, _of_text(config)):
        for field, meanings in _BOTH_WAYS.items():
            value = fields.get(field)
            if value is None:
                continue
            if not isinstance(value, bool | str) or value not in meanings:
                raise BadInput(f"{path}: {field} is {value!r}; expected true or false")
            if meanings[value]:
                return True
    return kind in _ENCODERS.split() and config.get("is_decoder") is not True


def _of_text(config: JsonObject) -> JsonObject:
    """The part of a config.json that describes the text model: a nested one in models of text and images, else all."""
    nested = (config.get(name) for name in _NESTED)
    return next((part for part in nested if isinstance(part, dict)), config)
