"""Turns scores and their items into estimates: a value, and its values on resampled items.

All settings of a task are resampled together, so that differences of estimates are paired. Knows no table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from qzhou_eval.benchmark.averages import Column
from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.results.setting import Setting
from qzhou_eval.results.task_scores import TaskScore
from qzhou_eval.statistics.bootstrap import RESAMPLES, resample_together
from qzhou_eval.statistics.intervals import interval, separable


@dataclass(frozen=True, eq=False)
class Estimate:
    """Points, and the same on each resample, float64 (resamples,), None without items.

    ``published`` marks a number that never has items, such as a published score.
    """

    value: float | None
    draws: np.ndarray | None = None
    published: bool = False

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The paired difference; between a published score and a run's, only the run's spread counts."""
        if self.value is None or other.value is None:
            return Estimate(None)
        difference = self.value - other.value
        if self.published and other.published:
            return Estimate(difference)
        # A published score is the same on every resample.
        one, two = (np.asarray(side.value) if side.published else side.draws for side in (self, other))
        return Estimate(difference, None if one is None or two is None else one - two)

    @property
    def points(self) -> float:
        """The value of an estimate that has one."""
        if self.value is None:
            raise ValueError("there is no score")
        return self.value

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The 95 % interval; None without items."""
        return None if self.draws is None else interval(self.draws)

    @property
    def sure(self) -> bool | None:
        """Whether a difference is significant; None without items."""
        return None if self.draws is None else separable(self.draws)


@dataclass(frozen=True, eq=False)
class Scored:
    """One setting at one dimension: an estimate and a metric for each of its tasks.

    ``floors`` are estimates of baselines on the same data, by task and name, where they were kept.
    ``hidden`` is the size of the decoder's hidden states, from which vectors are made, if it was recorded.
    """

    setting: Setting
    dim: int
    width: int
    tasks: dict[str, Estimate] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    floors: dict[str, Mapping[str, Estimate]] = field(default_factory=dict)
    hidden: int | None = None

    def of(self, task: str) -> Estimate:
        """A task's estimate, empty if there is none."""
        return self.tasks.get(task, Estimate(None))

    def have(self, benchmark: Benchmark) -> frozenset[str]:
        """A benchmark's tasks that have a score."""
        return frozenset(task for task, e in self.tasks.items() if e.value is not None and task in benchmark.by_name)

    def row(self, columns: Iterable[Column]) -> dict[str, Estimate]:
        """Means by the columns' names; a mean has no interval if one of its tasks has no items."""
        values = {task: e.value for task, e in self.tasks.items()}
        resampled = {task: e.draws for task, e in self.tasks.items()}
        return {column.name: Estimate(column.mean(values), column.mean(resampled)) for column in columns}


def published(values: Mapping[str, float]) -> dict[str, Estimate]:
    """A published row: it has no items; NaN is a missing number."""
    known = {column: None if np.isnan(value) else float(value) for column, value in values.items()}
    return {column: Estimate(value, published=True) for column, value in known.items()}


def best_group(column: Iterable[Estimate]) -> list[bool]:
    """Which estimates are the best, equal to it, or not significantly below it; none if there are fewer than two."""
    column = list(column)
    known = [one for one in column if one.value is not None]
    if len(known) < 2:
        return [False] * len(column)
    best = max(known, key=lambda one: one.points)
    shown = round(best.points, 2)  # equal as shown, so marked alike
    return [one.value is not None and (round(one.value, 2) == shown or (best - one).sure is False) for one in column]


def scored(scores: Iterable[TaskScore], score_profile: str, resamples: int = RESAMPLES) -> list[Scored]:
    """The estimates of every setting and dimension, in the order of ``scores``.

    Raises:
        BadInput: a file of items that is damaged.
    """
    rows: dict[tuple, Scored] = {}
    by_task: dict[str, list[TaskScore]] = {}
    for score in scores:
        one = Scored(score.setting, score.dim, score.width, hidden=_hidden(score))
        rows.setdefault((score.setting, score.dim), one)
        by_task.setdefault(score.task, []).append(score)
    for task, several in by_task.items():
        resampled = _draws(task, several, score_profile, resamples)
        for score, draws in zip(several, resampled, strict=True):
            row = rows[score.setting, score.dim]
            row.tasks[task] = Estimate(score.score, draws)
            row.metrics[task] = str(score.recorded.tasks[task]["record"]["metric"])
    return list(rows.values())


def _hidden(score: TaskScore) -> int | None:
    model = (score.recorded.entry.get("provenance") or {}).get("model")
    size = model.get("hidden_size") if isinstance(model, dict) else None
    return size if isinstance(size, int) else None


def _draws(task: str, several: list[TaskScore], score_profile: str, resamples: int) -> list[np.ndarray | None]:
    """Points of each score on resampled items."""
    members = [
        (score.recorded.tasks[task]["record"]["data"], None if score.score is None else score.recorded.items(task))
        for score in several
    ]
    counted = several[0].recorded.of[task].counted(score_profile)
    found = resample_together(task, members, counted, resamples=resamples)
    return [None if drawn is None else 100 * drawn for drawn in found]


def of_benchmark(rows: Iterable[Scored], benchmark: Benchmark) -> list[Scored]:
    """The rows that have scores of a benchmark."""
    return [row for row in rows if row.have(benchmark)]
