"""Chooses the tasks that a table's means are over: those that all its rows have. Means over different tasks are never
in one table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from qzhou_eval.benchmark.averages import MEAN_TASK, Column, columns_of
from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.report.content.elements import Text
from qzhou_eval.report.content.estimates import Estimate, Scored


@dataclass(frozen=True, eq=False)
class Scope:
    """Rows that are shown together, and the tasks that each of them has.

    Attributes:
        tasks: type by type.
        left_out: the rows that do not have them all.
    """

    benchmark: Benchmark
    rows: tuple[Scored, ...]
    tasks: tuple[str, ...]
    left_out: tuple[Scored, ...] = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return columns_of(self.benchmark, self.tasks)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names: keys of :meth:`row`."""
        return tuple(column.name for column in self.columns)

    @property
    def headings(self) -> tuple[str | Text, ...]:
        """The columns' headings; a heading over a part of the tasks says which part."""
        return tuple(map(_heading, self.columns))

    @property
    def of(self) -> int:
        """How many tasks the benchmark has."""
        return len(self.benchmark.tasks)

    @property
    def is_whole(self) -> bool:
        return len(self.tasks) == self.of

    @property
    def over(self) -> Text | None:
        """The part of the benchmark that a title names; None for the whole benchmark."""
        if self.is_whole:
            return None
        return Text("benchmark.part", {"benchmark": self.benchmark.title, "have": len(self.tasks), "of": self.of})

    @property
    def mean_name(self) -> str | Text:
        """What the overall number is: the benchmark's mean, the mean of some tasks, or the only task's score."""
        if len(self.tasks) == 1:
            return self.tasks[0]
        heading = self.headings[self.names.index(self.overall_name)]
        return Text(f"column.{heading}") if isinstance(heading, str) else heading

    @property
    def overall_name(self) -> str:
        """The column of the overall number: the mean over the tasks, or the only column."""
        return MEAN_TASK if MEAN_TASK in self.names else self.names[0]

    def row(self, scored: Scored) -> dict[str, Estimate]:
        """A row's estimates by column name."""
        return scored.row(self.columns)

    def overall(self, scored: Scored) -> Estimate:
        """A row's mean over the tasks."""
        return self.row(scored)[self.overall_name]


def _heading(column: Column) -> str | Text:
    if column.is_whole:
        return column.name
    have = {"have": len(column.tasks), "of": column.of}
    if column.name == MEAN_TASK:
        return Text("mean.part", {"count": have["have"]})
    if len(column.tasks) == 1:
        return column.tasks[0]
    return Text("column.part", have | {"type": Text(f"column.{column.name}")})


def own(row: Scored, benchmark: Benchmark) -> Scope:
    """One row alone, over its own tasks."""
    return _scope([row], benchmark, row.have(benchmark))


def shared(rows: Sequence[Scored], benchmark: Benchmark) -> Scope | None:
    """All rows over the tasks that each of them has; None if there is no such task."""
    tasks = frozenset.intersection(*(row.have(benchmark) for row in rows))
    return _scope(rows, benchmark, tasks) if tasks else None


def scopes(rows: Sequence[Scored], benchmark: Benchmark) -> list[Scope]:
    """Every row with those that also have its tasks, and all rows over their common tasks; most tasks first.

    A row with only some of the tasks has a scope of its own only if no other scope compares it with another row.
    """
    have = [row.have(benchmark) for row in rows]
    sets = dict.fromkeys([*have, frozenset.intersection(*have)])
    ordered = sorted((tasks for tasks in sets if tasks), key=len, reverse=True)
    found = [_scope(rows, benchmark, tasks) for tasks in ordered]
    compared = {row for scope in found if len(scope.rows) > 1 for row in scope.rows}
    return [s for s in found if s.is_whole or len(s.rows) > 1 or s.rows[0] not in compared]


def largest(rows: Sequence[Scored], benchmark: Benchmark, *, around: Scored) -> Scope | None:
    """Of the scopes with ``around`` and other rows, the one with most results; None if no other row shares a task."""
    found = [scope for scope in scopes(rows, benchmark) if around in scope.rows and len(scope.rows) > 1]
    return max(found, key=lambda scope: len(scope.rows) * len(scope.tasks), default=None)


def _scope(rows: Sequence[Scored], benchmark: Benchmark, tasks: frozenset[str]) -> Scope:
    inside = tuple(row for row in rows if tasks <= row.have(benchmark))
    ordered = tuple(task for task in benchmark.names if task in tasks)
    return Scope(benchmark, inside, ordered, tuple(row for row in rows if row not in inside))
