"""The table of tasks: type, data set, splits, metric. It is read without mteb; a test compares it with mteb's."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from qzhou_eval.errors import BadInput, did_you_mean

TaskType: TypeAlias = Literal["Classification", "Clustering", "PairClassification", "Reranking", "Retrieval", "STS"]
TYPES: tuple[TaskType, ...] = get_args(TaskType)
TABLES = ("cmteb", "mini")


@dataclass(frozen=True)
class Task:
    """One task of a benchmark; ``path`` and ``revision`` are its data set's on the hub.

    ``card_revision`` and ``card_metric`` are those of mteb 1.38.30, where they differ. ``texts`` and ``characters`` are
    the size of the official data: distinct texts and all their characters, of each split and side, and of the training
    split if the task fits a classifier. ``task_class`` is the class, as ``module:Class``, of a task that mteb does not
    know by name.
    """

    name: str
    benchmark: str
    type: TaskType
    path: str
    revision: str
    splits: tuple[str, ...]
    metric: str
    card_revision: str | None = None
    card_metric: str | None = None
    texts: int = 0
    characters: int = 0
    task_class: str | None = None


@cache
def all_tasks() -> dict[str, Task]:
    """Every known task by name: the 31 of ``MTEB(cmn, v1)``, then the packaged miniature's six."""
    return {
        name: Task(name, benchmark, **fields | {"splits": tuple(fields["splits"])})
        for benchmark in TABLES
        for name, fields in _table(benchmark)["tasks"].items()
    }


def _table(benchmark: str) -> dict[str, dict[str, Any]]:
    return json.loads((Path(__file__).parent / "tables" / f"{benchmark}.json").read_text("utf-8"))


def task_named(name: str) -> Task:
    """The task that the argument TASK names.

    Raises:
        BadInput: an unknown task.
    """
    _check_known("TASK", [name], list(all_tasks()))
    return all_tasks()[name]


def select(names: list[str] | None, types: list[str] | None) -> list[Task]:
    """The tasks to run, in the table's order; without names, the 31 of CMTEB.

    Raises:
        BadInput: an unknown name or type, or nothing left.
    """
    known = all_tasks()
    _check_known("--tasks", names, list(known))
    _check_known("--task_types", types, list(TYPES))
    chosen = [t for t in known.values() if (t.name in names if names is not None else t.benchmark == "cmteb")]
    chosen = [t for t in chosen if types is None or t.type in types]
    if not chosen:
        raise BadInput("no task to run: --tasks and --task_types leave none")
    return chosen


def _check_known(flag: str, given: list[str] | None, known: list[str]) -> None:
    for name in given or []:
        if name not in known:
            hint = "separate names by spaces; " if "," in name else did_you_mean(name, known, cutoff=0.5)
            raise BadInput(f"{flag} {name}: unknown; {hint}known: {', '.join(known)}")


def named_tasks(flag: str, names: list[str] | None, tasks: list[Task]) -> frozenset[str]:
    """The tasks that a flag names: all of the run's if it is given without names, none if it is not given.

    Raises:
        BadInput: one of them is not a task of this run.
    """
    known = [task.name for task in tasks]
    for name in names or []:
        if name not in known:
            raise BadInput(f"{flag} {name}: not a task of this run, which has {', '.join(known)}")
    return frozenset(known if names == [] else names or [])
