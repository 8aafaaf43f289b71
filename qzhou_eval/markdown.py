"""Text from elsewhere, as Markdown shows it."""

import html
import re


def escaped(text: str) -> str:
    """A name on one line: no tag, link, heading or code of it is live, and no column is opened."""
    one_line = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\`*_~#|\[\]])", r"\\\1", html.escape(one_line, quote=False))


def fenced(text: str) -> str:
    """Text as it is, in a block that nothing in it can end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
