"""Texts as data and users give them: their checks, and documents that have titles of their own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from qzhou_eval.errors import BadInput


class TitledText(NamedTuple):
    """A document with a title; ``joined`` is both as mteb joins them, for templates without a place for a title."""

    joined: str
    title: str
    body: str


AnyText = str | TitledText


def joined(text: AnyText) -> str:
    """The text, after its title if it has one."""
    return text.joined if isinstance(text, TitledText) else text


def batch_texts(batches: Iterable[Mapping[str, list[str]]]) -> Iterator[AnyText]:
    """The texts in batches as mteb 2.x makes them: ``text``, and of documents ``title`` ("" for none) and ``body``."""
    for batch in batches:
        if "title" not in batch:
            yield from batch["text"]
            continue
        for text, title, body in zip(batch["text"], batch["title"], batch["body"], strict=True):
            yield TitledText(text, title, body) if title else text


def as_texts(values: Iterable[str], what: str = "text") -> list[str]:
    """Texts from a list, tuple, generator or array of strings.

    Raises:
        BadInput: not a sequence of strings (a single string is not one), or one is not Unicode; names its position.
    """
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise BadInput(f"{what}s: expected a list of strings, not {type(values).__name__}")
    try:
        texts = list(values)
    except TypeError:  # a zero-dimensional array
        raise BadInput(f"{what}s: expected a list of strings, not {type(values).__name__}") from None
    check_texts(texts, what)
    return texts


def check_texts(texts: Sequence[AnyText], what: str = "text") -> None:
    """Check each text, a title included, as :func:`check_text` does.

    Raises:
        BadInput: names the position.
    """
    for position, text in enumerate(texts):
        for part in text if isinstance(text, TitledText) else (text,):
            check_text(part, f"{what} {position}")


def check_text(text: object, where: str) -> None:
    """Refuse what no tokenizer accepts: another type, or half of a surrogate pair.

    Raises:
        BadInput: the message says ``where`` it is.
    """
    if not isinstance(text, str):
        raise BadInput(f"{where}: {text!r:.60} is {type(text).__name__}, not a string")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        lost = ascii(text[error.start])
        raise BadInput(f"{where}: {lost} at character {error.start} is half of a surrogate pair") from None
