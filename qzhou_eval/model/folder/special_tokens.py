"""Find the special tokens before and after every text, independent of the version of transformers.

Two files specify them: tokenizer.json by its post-processor, tokenizer_config.json by ``add_bos_token`` and
``add_eos_token``. In transformers 4 some classes follow the second; transformers 5 follows only the first. Here the
second adds what the first leaves out, and a token that the first adds although the second forbids it is an error.
"""

import logging
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.files import read_if_there

log = logging.getLogger(__name__)

EOS = "eos_token"


def special_tokens(tokenizer: Tokenizer, decoder: Path) -> tuple[list[int], list[int]]:
    """Return the token ids before and after any text (Gemma: <bos>; Qwen3: none).

    Raises:
        BadInput: the two files contradict each other, or a token that they ask for is missing.
    """
    config = read_if_there(decoder / "tokenizer_config.json")
    head, tail = _of_post_processor(tokenizer, decoder)
    for flag, name, side, where in (
        ("add_bos_token", "bos_token", head, "before"),
        ("add_eos_token", EOS, tail, "after"),
    ):
        asked = config.get(flag)
        if asked not in (None, True, False):
            raise BadInput(f"{decoder / 'tokenizer_config.json'}: {flag} is {asked!r}; expected true or false")
        if asked is None:
            continue
        token = _named(decoder, name)
        number = tokenizer.token_to_id(token) if isinstance(token, str) else None
        both = f"{decoder}: tokenizer_config.json says {flag}: {str(asked).lower()}"
        if not asked:
            if number in side:
                raise BadInput(f"{both}, but tokenizer.json adds {token} {where} each text; correct one of the two")
            continue
        if number is None:
            raise BadInput(f"{both}, but its {name}, {token!r}, is not a token of the tokenizer")
        if side and number not in side:
            raise BadInput(f"{both} ({token}), but tokenizer.json adds another token {where} each text; correct one")
        if not side:
            side.append(number)
            _say_once(f"{both}, but tokenizer.json adds none; {token} is added {where} each text, as asked")
    return head, tail


def end_token(asked: str, decoder: Path) -> str:
    """The end token that a profile asks for: the one that it names or, for ``eos_token``, the tokenizer's own.

    Raises:
        BadInput: the tokenizer's files name none.
    """
    if asked != EOS:
        return asked
    token = _named(decoder, EOS)
    if not isinstance(token, str):
        raise BadInput(f"{decoder}: the profile asks for the tokenizer's {EOS}, but tokenizer_config.json names none")
    return token


def _named(decoder: Path, name: str) -> object:
    """The token that the tokenizer's files call so, such as ``eos_token``."""
    files = read_if_there(decoder / "special_tokens_map.json") | read_if_there(decoder / "tokenizer_config.json")
    token = files.get(name)
    return token.get("content") if isinstance(token, dict) else token


def _of_post_processor(tokenizer: Tokenizer, decoder: Path) -> tuple[list[int], list[int]]:
    for letter in ("a", "1", "中"):
        encoded = tokenizer.encode(letter, add_special_tokens=True)
        own = [place for place, added in enumerate(encoded.special_tokens_mask) if not added]
        if own:
            return encoded.ids[: own[0]], encoded.ids[own[-1] + 1 :]
    raise BadInput(f"{decoder}: the tokenizer produces no token for any letter")


@cache
def _say_once(words: str) -> None:
    log.warning(words)
