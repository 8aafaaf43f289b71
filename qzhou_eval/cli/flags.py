"""Flags that several commands share, and the types of their values."""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.results.variant import is_label
from qzhou_eval.system.formatting import whole_number
from qzhou_eval.system.options import DEFAULT_PROFILE


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line and exit code 2, like all bad input."""

    def error(self, message: str) -> None:
        raise BadInput(f"{message} (see {self.prog} --help)")


def add_score_profile(parser) -> None:
    """``--score_profile``, for whatever counts splits."""
    parser.add_argument(
        "--score_profile",
        choices=("card", "mteb2"),
        default="card",
        help="MultilingualSentiment counts validation alone (card) or both splits (mteb2)",
    )


def add_offline(parser) -> None:
    """``--offline``, for whatever reads data or a model."""
    parser.add_argument("--offline", action="store_true", help="ask no network: data and model are on disk")


def profile_flag(parser) -> None:
    """``--profile``, for whatever renders prompts; None is the default one, so that it can be told from a choice."""
    parser.add_argument("--profile", type=path_or_name, help=f"name or YAML file (default: {DEFAULT_PROFILE})")


def boolean(value: str) -> bool:
    if value.lower() in ("true", "1", "yes"):
        return True
    if value.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{value!r}: give true or false")


def text(value: str) -> str:
    """Anything but nothing: an empty variable of a script is no wish."""
    if not value.strip():
        raise argparse.ArgumentTypeError("is empty; leave the flag out, or give it a value")
    return value


def whole(least: int, most: int) -> Callable[[str], int]:
    """Whole numbers in ASCII digits, between two bounds and on them."""

    def parse(value: str) -> int:
        number = whole_number(value)
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{value!r}: give a whole number from {least} to {most}")
        return number

    return parse


def number(least: float, most: float) -> Callable[[str], float]:
    """Decimal numbers in ASCII digits, between two bounds and on them."""

    def parse(value: str) -> float:
        found = float(value) if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?", value) else math.nan
        if not least <= found <= most:
            raise argparse.ArgumentTypeError(f"{value!r}: give a number from {least:g} to {most:g}")
        return found

    return parse


def layers(value: str) -> tuple[int, int]:
    """A range of layers, both ends included."""
    first, last = map(whole_number, value.split("-")) if value.count("-") == 1 else (None, None)
    if first is None or last is None or first > last:
        raise argparse.ArgumentTypeError(f"{value!r}: give a layer range such as 1-7")
    return first, last


def label(value: str) -> str:
    """A name for people."""
    if not is_label(value):
        raise argparse.ArgumentTypeError(
            f"{value!r}: give up to 60 letters, digits, spaces and . _ + = : -, the first a letter or digit"
        )
    return value


def reading(value: str) -> str | tuple[int, int]:
    """A way of token prepending."""
    if value in ("auto", "on", "off"):
        return value
    try:
        return layers(value)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{value!r}: choose auto, on, off or layers such as 1-7") from None


def path(value: str) -> Path:
    """Where something is or will be; ``~`` is the home folder in ``--flag=~/x`` too, where no shell sees it."""
    try:
        return Path(text(value)).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{value}: no such user") from None


def path_or_name(value: str) -> str:
    """The same where a name may stand as well."""
    return str(path(value)) if value.startswith("~") else text(value)


def existing_folder(value: str) -> Path:
    """A folder to read."""
    found = path(value)
    if not found.is_dir():
        raise argparse.ArgumentTypeError(
            f"{value}: {'is a file, not a folder' if found.exists() else 'no such folder'}"
        )
    return found.resolve()


def folder_to_fill(value: str) -> Path:
    """A folder to write into, which may have to be made."""
    found = path(value)
    for part in (found, *found.parents):
        if part.exists() and not part.is_dir():
            raise argparse.ArgumentTypeError(f"{value}: {part} is a file, not a folder")
    return found


def file_to_write(value: str) -> Path:
    """A file to write, in a folder that may have to be made."""
    found = path(value)
    if found.is_dir() or value.endswith("/"):
        raise argparse.ArgumentTypeError(f"{value}: is a folder; name a file")
    folder_to_fill(str(found.parent))
    return found
