"""Means over a benchmark's tasks, by type and over all. A missing score makes the mean missing.

A mean is over the tasks of its column: all of a benchmark's, or only those available, which the column then shows.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from qzhou_eval.benchmark.benchmark import Benchmark

Value = TypeVar("Value", float, np.ndarray)  # a score, or resampled ones (resamples,)
SCORE_PROFILES = ("card", "mteb2")
MEANS = MEAN_TASK, MEAN_TYPE = ("Mean(Task)", "Mean(TaskType)")


@dataclass(frozen=True)
class Column:
    """A mean of means: the mean over groups of tasks of each group's mean.

    Attributes:
        name: a type, or one of :data:`MEANS`.
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
    def is_type(self) -> bool:
        return self.name not in MEANS

    @property
    def is_whole(self) -> bool:
        return len(self.tasks) == self.of

    def mean(self, scores: Mapping[str, Value | None]) -> Value | None:
        """The mean of scores by task, each a number or resampled scores (resamples,); None if one is missing."""
        return _mean([_mean([scores.get(task) for task in group]) for group in self.groups])


def columns_of(benchmark: Benchmark, tasks: Collection[str]) -> tuple[Column, ...]:
    """The columns for some tasks of a benchmark: for all, its types' and the two overall means.

    For only a part of the tasks: the types that have one and, from two types on, the mean over the tasks. There is no
    mean over types, in which one of eight tasks would weigh as much as all eight.
    """
    here = [task for task in benchmark.tasks if task.name in tasks]
    by_type = {kind: tuple(task.name for task in here if task.type == kind) for kind in benchmark.types}
    by_type = {kind: names for kind, names in by_type.items() if names}
    found = [Column(kind, (names,), benchmark.of_type[kind]) for kind, names in by_type.items()]
    chosen = tuple(task.name for task in here)
    if len(by_type) > 1:
        found.append(Column(MEAN_TASK, (chosen,), len(benchmark.tasks)))
    if len(chosen) == len(benchmark.tasks) and len(by_type) > 1:
        found.append(Column(MEAN_TYPE, tuple(by_type.values()), len(benchmark.tasks)))
    return tuple(found)


def column_names(benchmark: Benchmark) -> tuple[str, ...]:
    """The names of all of a benchmark's columns."""
    return tuple(column.name for column in columns_of(benchmark, benchmark.names))


def table_row(scores: Mapping[str, Value | None], benchmark: Benchmark) -> dict[str, Value | None]:
    """A benchmark's columns from the scores by task, each a number or an array of resampled scores (resamples,)."""
    return {column.name: column.mean(scores) for column in columns_of(benchmark, benchmark.names)}


def mean_from_types(by_type: Mapping[str, float], benchmark: Benchmark) -> float:
    """Mean(Task) computed from type means, each weighted by how many tasks its type has."""
    of_type = benchmark.of_type
    return sum(count * by_type[kind] for kind, count in of_type.items()) / of_type.total()


def _mean(values: list[Value | None]) -> Value | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return sum(known[1:], known[0]) / len(known)
