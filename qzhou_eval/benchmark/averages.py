"""Main score of a task, mean of a type, means over tasks and over types. A missing score makes the mean missing.

A mean is over the tasks of its column: all of a benchmark's, or only those available, which the column then shows.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from qzhou_eval.benchmark.registry import TYPES, all_tasks

Value = TypeVar("Value", float, np.ndarray)  # a score, or resampled ones (resamples,)
SCORE_PROFILES = ("card", "mteb2")
MEAN_TASK, MEAN_TYPE = "Mean(Task)", "Mean(TaskType)"
COLUMNS = (*TYPES, MEAN_TASK, MEAN_TYPE)

# MultilingualSentiment has two evaluation splits; the card counts validation, mteb 2.x the mean of both.
_CARD_SPLIT = {"MultilingualSentiment": "validation"}


def task_score(task: str, splits: Mapping[str, float], score_profile: str) -> float | None:
    """A task's main score from its scores by split; None if a counted split is missing."""
    counted = counted_splits(task, score_profile)
    if any(split not in splits for split in counted):
        return None
    return sum(splits[split] for split in counted) / len(counted)


def counted_splits(task: str, score_profile: str) -> list[str]:
    """The splits whose mean is a task's score.

    Args:
        score_profile: ``card`` or ``mteb2``; they differ only in MultilingualSentiment.
    """
    if score_profile == "card" and task in _CARD_SPLIT:
        return [_CARD_SPLIT[task]]
    return list(all_tasks()[task].splits)


@dataclass(frozen=True)
class Column:
    """A mean of means: the mean over groups of tasks of each group's mean.

    Attributes:
        name: one of :data:`COLUMNS`.
        groups: the tasks it averages: one group, or for ``Mean(TaskType)`` one per type.
        of: how many tasks it averages when none is missing.
    """

    name: str
    groups: tuple[tuple[str, ...], ...]
    of: int

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(task for group in self.groups for task in group)

    @property
    def is_whole(self) -> bool:
        return len(self.tasks) == self.of

    def mean(self, scores: Mapping[str, Value | None]) -> Value | None:
        """The mean of scores by task, each a number or resampled scores (resamples,); None if one is missing."""
        return _mean([_mean([scores.get(task) for task in group]) for group in self.groups])


def tasks_of(benchmark: str) -> list[str]:
    """A benchmark's tasks, grouped by type."""
    of_type: dict[str, list[str]] = {kind: [] for kind in TYPES}
    for task in all_tasks().values():
        if task.benchmark == benchmark:
            of_type[task.type].append(task.name)
    return [name for names in of_type.values() for name in names]


def count_by_type(benchmark: str) -> Counter[str]:
    """How many tasks of each type a benchmark has."""
    return Counter(task.type for task in all_tasks().values() if task.benchmark == benchmark)


def columns_of(benchmark: str, tasks: Collection[str]) -> tuple[Column, ...]:
    """The columns for some tasks of a benchmark: the card's eight columns if these are all of them.

    For only a part of the tasks: the types that have one and, from two types on, the mean over the tasks. There is no
    mean over types, in which one of eight tasks would weigh as much as all eight.
    """
    every = [task for task in all_tasks().values() if task.benchmark == benchmark]
    of_type = count_by_type(benchmark)
    here = [task for task in every if task.name in tasks]
    by_type = {kind: tuple(task.name for task in here if task.type == kind) for kind in TYPES}
    by_type = {kind: names for kind, names in by_type.items() if names}
    found = [Column(kind, (names,), of_type[kind]) for kind, names in by_type.items()]
    chosen = tuple(task.name for task in here)
    if len(by_type) > 1:
        found.append(Column(MEAN_TASK, (chosen,), len(every)))
    if len(chosen) == len(every):
        found.append(Column(MEAN_TYPE, tuple(by_type.values()), len(every)))
    return tuple(found)


def table_row(scores: Mapping[str, Value | None], benchmark: str) -> dict[str, Value | None]:
    """The card's eight columns from the scores by task of one ``benchmark`` (``cmteb`` or ``mini``).

    A score is a number, or an array of resampled scores (resamples,).
    """
    return {column.name: column.mean(scores) for column in columns_of(benchmark, tasks_of(benchmark))}


def mean_from_types(by_type: Mapping[str, float], benchmark: str) -> float:
    """Mean(Task) computed from type means, each weighted by how many tasks its type has."""
    of_type = count_by_type(benchmark)
    return sum(count * by_type[kind] for kind, count in of_type.items()) / of_type.total()


def _mean(values: list[Value | None]) -> Value | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return sum(known[1:], known[0]) / len(known)
