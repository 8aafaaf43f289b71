"""Flags that several commands share, and the types of their values."""

import argparse
from pathlib import Path

from qzhou_eval.errors import BadInput


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


def boolean(value: str) -> bool:
    if value.lower() in ("true", "1", "yes"):
        return True
    if value.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{value!r}: give true or false")


def layers(value: str) -> tuple[int, int]:
    first, dash, last = value.partition("-")
    if not (dash and first.isdigit() and last.isdigit()):
        raise argparse.ArgumentTypeError(f"{value!r}: give a layer range such as 1-7")
    return int(first), int(last)


def existing_folder(value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{value}: no such folder")
    return path.resolve()
