"""Numbers and text from elsewhere as a person reads and writes them."""

import html
import re

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


def scaled(value: float) -> str:
    """Three digits and a prefix: ``1.23 M``, ``41.0 k``; whole below a thousand."""
    prefix = 0
    while round(value, 2 if value < 10 else 1 if value < 100 else 0) >= 1000 and prefix < len(_PREFIXES) - 1:
        value, prefix = value / 1000, prefix + 1
    if prefix == 0:
        return f"{value:.0f}"
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {_PREFIXES[prefix]}"


def duration(seconds: float) -> str:
    """``<1 s``, ``40 s``, ``14 min``, ``2.5 h``."""
    if 0 < seconds < 1:
        return "<1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def whole_number(text: str) -> int | None:
    """A whole number in up to nine ASCII digits, else None: ``int`` takes signs, spaces, ``1_000`` and ``٣``, too."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def escaped(text: str) -> str:
    """A name on one line: no tag, link, heading or code of it is live, and no column is opened."""
    one_line = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\`*_~#|\[\]])", r"\\\1", html.escape(one_line, quote=False))


def fenced(text: str) -> str:
    """Text as it is, in a block that nothing in it can end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
