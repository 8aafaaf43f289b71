"""Which tokens stand in front of and behind every text, by the two files that say so, in every version of transformers.

tokenizer.json has a post-processor, tokenizer_config.json ``add_bos_token`` and ``add_eos_token``. Transformers 4 lets
some classes follow the second, transformers 5 follows the first alone. Here the second adds what the first leaves out,
and what the first adds against the second is refused.
"""

import logging
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.files import read_if_there

log = logging.getLogger(__name__)


def special_tokens(tokenizer: Tokenizer, decoder: Path) -> tuple[list[int], list[int]]:
    """Token ids in front of and behind any text (Gemma: <bos>; Qwen3: none).

    Raises:
        BadInput: the two files contradict each other, or a token that is asked for is not there.
    """
    config = read_if_there(decoder / "tokenizer_config.json")
    named = read_if_there(decoder / "special_tokens_map.json") | config
    head, tail = _of_post_processor(tokenizer, decoder)
    for flag, name, side, where in (
        ("add_bos_token", "bos_token", head, "in front of"),
        ("add_eos_token", "eos_token", tail, "behind"),
    ):
        asked = config.get(flag)
        if asked not in (None, True, False):
            raise BadInput(f"{decoder / 'tokenizer_config.json'}: {flag} is {asked!r}; expected true or false")
        if asked is None:
            continue
        token = named.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        number = tokenizer.token_to_id(token) if isinstance(token, str) else None
        both = f"{decoder}: tokenizer_config.json says {flag}: {str(asked).lower()}"
        if asked and number is None:
            raise BadInput(f"{both}, but its {name}, {token!r}, is no token of the tokenizer")
        if asked and side and number not in side:
            raise BadInput(f"{both} ({token}), but tokenizer.json puts another token {where} each text; correct one")
        if not asked and number in side:
            raise BadInput(f"{both}, but tokenizer.json puts {token} {where} each text; correct one of the two")
        if asked and not side:
            side.append(number)
            _say_once(f"{both}, tokenizer.json adds none: {token} is sent {where} each text, as the first says")
    return head, tail


def _of_post_processor(tokenizer: Tokenizer, decoder: Path) -> tuple[list[int], list[int]]:
    for letter in ("a", "1", "中"):
        encoded = tokenizer.encode(letter, add_special_tokens=True)
        own = [place for place, added in enumerate(encoded.special_tokens_mask) if not added]
        if own:
            return encoded.ids[: own[0]], encoded.ids[own[-1] + 1 :]
    raise BadInput(f"{decoder}: the tokenizer makes no token of any letter")


@cache
def _say_once(words: str) -> None:
    log.warning(words)
