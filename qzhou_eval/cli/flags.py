"""Flags that several commands share, and the types of their values."""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from qzhou_eval.errors import BadInput
from qzhou_eval.results.variant import is_label
from qzhou_eval.system.formatting import whole_number


class Parser(argparse.ArgumentParser):
    """An argument parser that reports errors like all bad input: in one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see {self.prog} --help)")


def add_score_profile(parser) -> None:
    """Add ``--score_profile``, for commands that count splits."""
    parser.add_argument(
        "--score_profile",
        choices=("card", "mteb2"),
        default="card",
        help="MultilingualSentiment counts only validation (card, the default) or both splits (mteb2)",
    )


def add_benchmark(parser, what: str) -> None:
    """Add ``--benchmark``; ``what`` completes its help."""
    parser.add_argument(
        "--benchmark",
        type=path_or_name,
        metavar="NAME|FILE",
        help=f"a benchmark of mteb such as 'MTEB(eng, v2)', or a YAML file of your own data {what}",
    )


def add_offline(parser) -> None:
    """Add ``--offline``, for commands that read data or a model."""
    parser.add_argument("--offline", action="store_true", help="use no network; data and model must be on disk")


def profile_flag(parser) -> None:
    """Add ``--profile``, for commands that render prompts."""
    parser.add_argument(
        "--profile",
        type=path_or_name,
        help="name or YAML file, or checkpoint: what the model's files say (default: the model's own, else checkpoint)",
    )


def boolean(value: str) -> bool:
    if value.lower() in ("true", "1", "yes"):
        return True
    if value.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{value!r}: give true or false")


def text(value: str) -> str:
    """Non-empty text: an empty value is usually an unset variable in a script."""
    if not value.strip():
        raise argparse.ArgumentTypeError("is empty; give a value or leave out the flag")
    return value


def whole(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers in ASCII digits, from ``least`` to ``most``, both included."""

    def parse(value: str) -> int:
        number = whole_number(value)
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{value!r}: give a whole number from {least} to {most}")
        return number

    return parse


def number(least: float, most: float) -> Callable[[str], float]:
    """A parser of decimal numbers in ASCII digits, from ``least`` to ``most``, both included."""

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
    """A display name."""
    if not is_label(value):
        raise argparse.ArgumentTypeError(
            f"{value!r}: give up to 60 letters, digits, spaces and . _ + = : -, starting with a letter or digit"
        )
    return value


def reading(value: str) -> str | tuple[int, int]:
    """A value of ``--token_prepending``."""
    if value in ("auto", "on", "off"):
        return value
    try:
        return layers(value)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{value!r}: choose auto, on, off or layers such as 1-7") from None


def path(value: str) -> Path:
    """A path that may not exist yet; ``~`` is expanded, which the shell does not do in ``--flag=~/x``."""
    try:
        return Path(text(value)).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{value}: no such user") from None


def path_or_name(value: str) -> str:
    """A path or a name; ``~`` at the start is expanded."""
    return str(path(value)) if value.startswith("~") else text(value)


def existing_folder(value: str) -> Path:
    """An existing folder to read."""
    found = path(value)
    if not found.is_dir():
        raise argparse.ArgumentTypeError(
            f"{value}: {'is a file, not a folder' if found.exists() else 'no such folder'}"
        )
    return found.resolve()


def folder_to_fill(value: str) -> Path:
    """A folder to write to, which may not exist yet."""
    found = path(value)
    for part in (found, *found.parents):
        if part.exists() and not part.is_dir():
            raise argparse.ArgumentTypeError(f"{value}: {part} is a file, not a folder")
    return found


def file_to_write(value: str) -> Path:
    """A file to write, in a folder that may not exist yet."""
    found = path(value)
    if found.is_dir() or value.endswith("/"):
        raise argparse.ArgumentTypeError(f"{value}: is a folder; name a file")
    folder_to_fill(str(found.parent))
    return found
