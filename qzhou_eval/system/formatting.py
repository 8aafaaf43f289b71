"""Formats numbers, durations, layer ranges and untrusted text for people, and reads whole numbers."""

import html
import re
from collections.abc import Sequence

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


def scaled(value: float) -> str:
    """Format with three digits and a unit prefix: ``1.23 M``, ``41.0 k``; as a whole number below a thousand."""
    prefix = 0
    while round(value, 2 if value < 10 else 1 if value < 100 else 0) >= 1000 and prefix < len(_PREFIXES) - 1:
        value, prefix = value / 1000, prefix + 1
    if prefix == 0:
        return f"{value:.0f}"
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {_PREFIXES[prefix]}"


def duration(seconds: float) -> str:
    """Format a duration: ``<1 s``, ``40 s``, ``14 min``, ``2.5 h``."""
    if 0 < seconds < 1:
        return "<1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def layers_text(layers: tuple[int, int] | None) -> str:
    """Format a range of layers as it is given on the command line; None is ``off``."""
    return f"{layers[0]}-{layers[1]}" if layers else "off"


def first_few(names: Sequence[object], most: int = 3) -> str:
    """The first ``most`` of several names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def whole_number(text: str) -> int | None:
    """Read up to nine ASCII digits, else None; ``int`` would also accept signs, spaces, ``1_000`` and ``٣``."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def escaped(text: str) -> str:
    """Escape a name for one line of Markdown, so that it makes no tag, link, heading, code or table column."""
    one_line = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\`*_~#|\[\]])", r"\\\1", html.escape(one_line, quote=False))


def fenced(text: str) -> str:
    """Put text unchanged in a Markdown code block, with a fence that the text cannot close."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
