"""Cuts a text so that it has at most so many tokens. Needs no model."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def cut_text(tokenizer: "Tokenizer", text: str, room: int, end: str = "") -> str:
    """The longest beginning of ``text`` found that, with ``end`` after it, has at most ``room`` tokens; and ``end``.

    A cut inside a character that has several tokens takes the whole character away, since half of one is no text.
    """
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    left = room - len(tokenizer.encode(end, add_special_tokens=False).ids)
    kept = offsets[min(left, len(offsets)) - 1][1] if left > 0 and offsets else 0
    while kept and len(tokenizer.encode(text[:kept] + end, add_special_tokens=False).ids) > room:
        kept -= 1
    return text[:kept] + end
