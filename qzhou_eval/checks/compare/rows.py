"""Judges differences of scores by tolerances: OK, CLOSE or OFF. Pure arithmetic on scores x 100."""

import math
from dataclasses import dataclass, replace

from qzhou_eval.benchmark.averages import MEAN_TASK, column_names, table_row
from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.checks.compare.differences import common_tasks
from qzhou_eval.checks.compare.sides import Side
from qzhou_eval.checks.tolerance import TOLERANCE, grade, tolerance_of

REASONS = (
    f"tolerance: {TOLERANCE['STS']} is the 0.001 of mteb's results repository; classification "
    f"({TOLERANCE['Classification']}) and clustering ({TOLERANCE['Clustering']}) move more under bfloat16-sized noise; "
    "the tolerance of a mean follows from those of its tasks. CLOSE is up to three times the tolerance."
)
VERDICTS = ("OK", "CLOSE", "OFF")  # by grade
ROUNDING = 0.01  # published tables have two decimals


@dataclass(frozen=True)
class ComparedScore:
    """One compared number; it has no tolerance if the two sides are not expected to be equal."""

    name: str
    ours: float | None
    theirs: float | None
    tolerance: float | None

    @property
    def difference(self) -> float | None:
        """Ours minus theirs; None if one is missing."""
        return None if self.ours is None or self.theirs is None else self.ours - self.theirs

    @property
    def verdict(self) -> str | None:
        """OK, CLOSE or OFF; None if there is nothing to judge."""
        if self.difference is None or self.tolerance is None:
            return None
        return VERDICTS[grade(self.difference, self.tolerance)]


def task_rows(ours: Side, theirs: Side) -> list[ComparedScore]:
    """A row for each task that both sides have."""
    return [
        ComparedScore(name, ours.tasks[name].score, theirs.tasks[name].score, tolerance_of(ours.tasks[name].task.type))
        for name in common_tasks(ours, theirs)
    ]


def mean_rows(
    ours: dict[str, float | None], theirs: dict[str, float | None], benchmark: Benchmark
) -> list[ComparedScore]:
    """Type means and overall means of two table rows, where both have them."""
    rows = [
        ComparedScore(column, ours[column], theirs[column], column_tolerance(column, benchmark))
        for column in column_names(benchmark)
    ]
    return [row for row in rows if row.difference is not None]


def without_tolerance(rows: list[ComparedScore]) -> list[ComparedScore]:
    """The same numbers without tolerances, so that they get no verdict."""
    return [replace(row, tolerance=None) for row in rows]


def side_row(side: Side, benchmark: Benchmark) -> dict[str, float | None]:
    """A side's columns."""
    return table_row({name: task.score for name, task in side.tasks.items()}, benchmark)


def column_tolerance(column: str, benchmark: Benchmark) -> float:
    """The tolerance of a mean: its tasks' tolerances combined as independent errors, plus a table's rounding."""
    of_type = benchmark.of_type

    def weight(kind: str) -> float:
        if column in of_type:
            return 1 / of_type[kind] if kind == column else 0.0
        return 1 / len(benchmark.tasks) if column == MEAN_TASK else 1 / (len(of_type) * of_type[kind])

    return math.sqrt(sum((weight(task.type) * tolerance_of(task.type)) ** 2 for task in benchmark.tasks)) + ROUNDING
