"""Load a checkpoint's tokenizer: from tokenizer.json if there is one, alike in every version of transformers.

Some versions of transformers rebuild some tokenizers from parts of tokenizer.json, and let tokenizer_config.json change
others. Vectors of all versions share one store, so the file is read as it is, and a tokenizer_config.json that
contradicts it is refused. If the file is missing, transformers builds the tokenizer from the other files.
"""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer

from qzhou_eval.errors import BadInput, in_one_line
from qzhou_eval.model.folder.files import JsonObject, read_if_there

FILE = "tokenizer.json"
_RULE = "special tokens of its post-processor, and those that add_bos_token and add_eos_token ask for"


def token_rule(decoder: Path) -> str:
    """Describe how text becomes token ids, for the fingerprint: this decides vectors too."""
    source = FILE if (decoder / FILE).exists() else f"transformers {version('transformers')}"
    return f"{source}; {_RULE}"


def open_tokenizer(decoder: Path) -> Tokenizer:
    """Load the tokenizer, without truncation or padding.

    Raises:
        BadInput: it cannot be loaded, or its files contradict each other.
    """
    try:
        found = Tokenizer.from_file(str(decoder / FILE)) if (decoder / FILE).exists() else _converted(decoder)
    except Exception as error:  # whatever a library raises for a broken file: KeyError, TypeError, its own types
        raise BadInput(f"{decoder}: cannot load the tokenizer ({in_one_line(error)})") from error
    found.no_truncation()
    found.no_padding()
    config = read_if_there(decoder / "tokenizer_config.json")
    found.encode_special_tokens = config.get("split_special_tokens") is True
    if (decoder / FILE).exists():
        _check_flags(found, decoder, config)
        _check_added(found, decoder, config)
    return found


def check_vocabulary(tokenizer: Tokenizer, decoder: Path, rows: int) -> bool:
    """Compare the tokenizer's ids with the embedding's rows; return whether some special token has no row.

    Raises:
        BadInput: a token that any text may contain has no row.
    """
    beyond = {number: token for token, number in tokenizer.get_vocab(with_added_tokens=True).items() if number >= rows}
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    for number in sorted(beyond.keys() - special):
        raise BadInput(
            f"{decoder}: the tokenizer has the token {beyond[number]!r} with id {number}, but the model has "
            f"embeddings for only {rows} tokens (config.json, vocab_size); the two do not belong together"
        )
    return bool(beyond)


def _converted(decoder: Path) -> Tokenizer:
    from transformers import AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    found = AutoTokenizer.from_pretrained(decoder, trust_remote_code=False)
    if not hasattr(found, "backend_tokenizer"):
        raise TypeError(f"{type(found).__name__} has no fast tokenizer; save one as {FILE}")
    return found.backend_tokenizer


def _check_flags(tokenizer: Tokenizer, decoder: Path, config: JsonObject) -> None:
    """Refuse settings in tokenizer_config.json that some versions obey although tokenizer.json says otherwise."""
    for flag, said in _states(tokenizer).items():
        wanted = config.get(flag)
        if isinstance(wanted, bool) and said not in (None, wanted):
            raise BadInput(
                f"{decoder}: tokenizer_config.json says {flag}: {str(wanted).lower()}, but {FILE} does the opposite; "
                "versions of transformers disagree on which to follow; correct one of the two"
            )


def _states(tokenizer: Tokenizer) -> dict[str, object]:
    """Return what tokenizer.json says about these flags; None where it says nothing."""
    normalizers = list(_nodes(tokenizer.normalizer))
    splitters = list(_nodes(tokenizer.pre_tokenizer))
    bert = next((node for node in normalizers if node["type"] == "BertNormalizer"), {})
    lower = True if any(node["type"] == "Lowercase" for node in normalizers) else bert.get("lowercase")
    prefix = [node["add_prefix_space"] for node in splitters if "add_prefix_space" in node]
    prefix += [node["prepend_scheme"] != "never" for node in splitters if "prepend_scheme" in node]
    prefix += [True for node in normalizers if node["type"] == "Prepend"]
    return {
        "do_lower_case": lower,
        "tokenize_chinese_chars": bert.get("handle_chinese_chars"),
        "add_prefix_space": any(prefix) if prefix else None,
    }


def _nodes(part: Normalizer | PreTokenizer | None) -> Iterator[JsonObject]:
    """Yield the steps of a normalizer or pre-tokenizer; a sequence is split into its steps."""
    if part is None:
        return
    state = json.loads(part.__getstate__())
    yield from state.get("normalizers") or state.get("pretokenizers") or [state]


def _check_added(tokenizer: Tokenizer, decoder: Path, config: JsonObject) -> None:
    """Refuse added tokens whose id in the tokenizer's other files differs from that in tokenizer.json."""
    listed = config.get("added_tokens_decoder") or {}
    wrong = BadInput(f"{decoder / 'tokenizer_config.json'}: added_tokens_decoder is not a mapping from ids to tokens")
    if not isinstance(listed, dict):
        raise wrong
    try:
        ids = {token["content"]: int(number) for number, token in listed.items()}
    except (AttributeError, TypeError, KeyError, ValueError):
        raise wrong from None
    others = read_if_there(decoder / "added_tokens.json")
    for file, tokens in (("tokenizer_config.json", ids), ("added_tokens.json", others)):
        for token, number in tokens.items():
            if (there := tokenizer.token_to_id(token)) != number:
                raise BadInput(
                    f"{decoder}: {file} gives the token {token!r} the id {number}, but {FILE} "
                    f"{'has no such token' if there is None else f'gives it {there}'}; they are of different tokenizers"
                )
