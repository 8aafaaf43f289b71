"""Reads published scores and the card's tables from files, and checks their format."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qzhou_eval.errors import BadInput
from qzhou_eval.system.paths import data_folder


@dataclass(frozen=True)
class Published:
    """One model in the format of results/published/published_scores.json.

    ``scores`` are main scores, 0 to 1, by task and split. ``mteb_versions`` is empty if the results repository
    took the model's scores from its card.
    """

    model: str
    scores: dict[str, dict[str, float]]
    revision: str | None = None
    mteb_versions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    models: list[Published]


def read_published(file: Path | None = None) -> dict[str, Published]:
    """Published models by their full name, from the project's own copy or from a file in the same format.

    Raises:
        BadInput: the file cannot be read, or is in another format.
    """
    return _read(file or data_folder("results/published") / "published_scores.json")


def all_published() -> dict[str, Published]:
    """The models of :func:`read_published`, and those that have published scores on some of the tasks."""
    return _read(data_folder("results/published") / "some_tasks.json") | read_published()


def _read(path: Path) -> dict[str, Published]:
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


def named(model: str, published: Iterable[str]) -> list[str]:
    """The full names that match ``model``, which is given with or without its organisation."""
    return [name for name in published if model in (name, name.split("/")[-1])]


def card_tables() -> dict[str, Any]:
    """The tables of the model card of QZhou-Embedding-Zh, and its leaderboard picture."""
    return json.loads((data_folder("results/published") / "card_tables.json").read_text("utf-8"))
