"""Turns estimates into tables with a row for each task that has a result."""

from collections.abc import Sequence

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.report.content.baseline_scores import COLUMNS, not_above
from qzhou_eval.report.content.cells import difference, of_differences, of_holes, plain
from qzhou_eval.report.content.elements import Cell, Table, TableRow, Text
from qzhou_eval.report.content.estimates import Scored
from qzhou_eval.report.content.mean_tables import by_setting, layers_of, token_prepending_pairs
from qzhou_eval.report.content.scope import own

NAMED = 6  # up to this many missing tasks are named


def per_task(rows: list[Scored], benchmark: Benchmark) -> list[Table]:
    """For each setting: tasks by dimension, and for several dimensions the difference of each from the widest.

    Shown on the screen only for a part of the benchmark, unless the tables of means already show each task.
    """
    found = []
    for name, several in by_setting(rows).items():
        here = [task for task in benchmark.names if any(one.of(task).value is not None for one in several)]
        floors = COLUMNS if all(task in several[-1].floors for task in here) else ()
        lines = tuple(
            _row(
                benchmark,
                task,
                [plain(one.of(task)) for one in several] + [plain(several[-1].floors[task][c]) for c in floors],
            )
            for task in here
        )
        columns = (*(str(one.dim or "full") for one in several), *floors)
        missing = _missing(benchmark, here)
        scope = own(several[-1], benchmark)
        hidden = scope.is_whole or all(len(c.tasks) == 1 for c in scope.columns if c.is_type)
        notes = (*not_above(several[-1], here), *missing, *of_holes(lines))
        found.append(Table(benchmark, "tasks", "task", columns, lines, name, notes, on_screen=not hidden))
        if cost := _cost(benchmark, several, here):
            notes = (*of_differences(cost[1]), *missing, *of_holes(cost[1]))
            found.append(Table(benchmark, "task_cost", "task", *cost, name, notes, on_screen=False))
    return found


def _missing(benchmark: Benchmark, here: Sequence[str]) -> tuple[Text, ...]:
    every = benchmark.names
    missing = tuple(task for task in every if task not in here)
    if not missing:
        return ()
    key = "note.tasks_missing_named" if len(missing) <= NAMED else "note.tasks_missing"
    return (Text(key, {"missing": len(missing), "of": len(every), "names": missing}),)


def _cost(
    benchmark: Benchmark, several: list[Scored], tasks: list[str]
) -> tuple[tuple[str, ...], tuple[TableRow, ...]] | None:
    """Each narrower dimension's difference from the widest, then the widest's score; None if they share no task."""
    full = several[-1]
    of_full = [task for task in tasks if full.of(task).value is not None]
    narrower = [one for one in several[:-1] if any(one.of(task).value is not None for task in of_full)]
    lines = []
    for task in of_full:
        steps = [difference(one.of(task) - full.of(task)) for one in narrower]
        if any(step.value is not None for step in steps):
            lines.append(_row(benchmark, task, [*steps, plain(full.of(task))]))
    return (tuple(str(one.dim) for one in (*narrower, full)), tuple(lines)) if lines else None


def token_prepending_by_task(rows: list[Scored], benchmark: Benchmark) -> list[Table]:
    """For each pair of table 2: every task without, with, and the difference."""
    found = []
    for name, scope in token_prepending_pairs(rows, benchmark).items():
        off, *sides = scope.rows
        for on in sides:
            lines = []
            for task in scope.tasks:
                without, with_it = off.of(task), on.of(task)
                lines.append(_row(benchmark, task, [plain(without), plain(with_it), difference(with_it - without)]))
            title = name if len(sides) == 1 else Text("row.layers", {"name": name, "side": layers_of(on)})
            of = ("token_prepending_tasks", "task", ("TP off", "TP on", "difference"), tuple(lines), title)
            found.append(Table(benchmark, *of, notes=of_differences(lines), on_screen=False))
    return found


def _row(benchmark: Benchmark, task: str, cells: Sequence[Cell]) -> TableRow:
    return TableRow(task, tuple(cells), benchmark.by_name[task].type)
