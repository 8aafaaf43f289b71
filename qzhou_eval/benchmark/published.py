"""Reads published scores and the card's tables from files, and checks their format."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.errors import BadInput
from qzhou_eval.system.paths import data_folder

_FOLDER = data_folder("results/published")


@dataclass(frozen=True)
class Published:
    """One model in the format of results/published/published_scores.json.

    ``scores`` are main scores, 0 to 1, by task and part (a split, or split/subset). ``mteb_versions`` is empty if the
    results repository took the model's scores from its card.
    """

    model: str
    scores: dict[str, dict[str, float]]
    revision: str | None = None
    mteb_versions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    models: list[Published]


def scores_of(benchmark: Benchmark, *, some: bool = False) -> dict[str, Published]:
    """Models with published scores on a benchmark, by their full name; none if no file here has any.

    Args:
        some: also those that have scores on only some of its tasks.
    """
    files = _files().get(benchmark.name, {})
    kinds = ("some", "all") if some else ("all",)
    several = (read_scores_file(_FOLDER / files[kind]) for kind in kinds if kind in files)
    return {name: one for models in several for name, one in models.items()}


def read_scores_file(path: Path) -> dict[str, Published]:
    """Models by their full name, from a file in the format of those in results/published.

    Raises:
        BadInput: the file cannot be read, or is in another format.
    """
    from pydantic import TypeAdapter, ValidationError  # a report of the miniature does not need it

    try:
        read = TypeAdapter(_File).validate_json(path.read_text("utf-8"), strict=True)
        return {entry.model: entry for entry in read.models}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{path}: not a file of published scores ({where}: {first['msg']})") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a file of published scores ({error})") from None


@cache
def _files() -> dict[str, dict[str, str]]:
    """The files of published scores by benchmark."""
    return json.loads((_FOLDER / "benchmarks.json").read_text("utf-8"))


def named(model: str, published: Iterable[str]) -> list[str]:
    """The full names that match ``model``, which is given with or without its organisation."""
    return [name for name in published if model in (name, name.split("/")[-1])]


def card_tables() -> dict[str, Any]:
    """The tables of the model card of QZhou-Embedding-Zh, and its leaderboard picture."""
    return json.loads((_FOLDER / "card_tables.json").read_text("utf-8"))
