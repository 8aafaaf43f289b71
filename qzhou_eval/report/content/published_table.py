"""The run compared with its model's published scores. Verdicts come from :mod:`qzhou_eval.checks.compare`."""

from dataclasses import replace

from qzhou_eval.benchmark.averages import column_names
from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.checks.compare.comparison import Comparison, Judged, judge_all
from qzhou_eval.checks.compare.differences import common_tasks
from qzhou_eval.checks.compare.rows import ComparedScore as Compared
from qzhou_eval.checks.compare.sides import Side, from_published, side_of
from qzhou_eval.errors import BadInput
from qzhou_eval.report.content.elements import Cell, Table, TableRow, Text
from qzhou_eval.results.setting import Setting
from qzhou_eval.results.task_scores import TaskScore


def against_published(
    setting: Setting, scores: list[TaskScore], benchmark: Benchmark, score_profile: str
) -> Judged | None:
    """Compare a setting with its model's published scores and the card's tables, as ``compare`` does.

    None without results at full width, the only width of published scores, or without published scores.
    """
    sides = _sides([score for score in scores if score.setting == setting], score_profile)
    full = next((side for side in sides if side.dim == side.width), None)
    if full is None:
        return None
    try:
        theirs = from_published(None, full.name, benchmark, score_profile)
    except BadInput:
        return None
    return judge_all([(full, theirs)], sides, score_profile) if common_tasks(full, theirs) else None


def _sides(scores: list[TaskScore], score_profile: str) -> list[Side]:
    """One side for each dimension, with the tasks of all folders."""
    found: dict[int, Side] = {}
    for place, recorded in {score.recorded.place: score.recorded for score in scores}.items():
        side = side_of(place, recorded, score_profile)
        first = found.setdefault(side.dim, side)
        found[side.dim] = replace(first, tasks=first.tasks | side.tasks)
    return list(found.values())


def published_table(judged: Comparison, model: str | Text) -> Table:
    """Ours, theirs, difference and verdict, task by task, then the means if all tasks are comparable."""
    benchmark = judged.benchmark
    order = column_names(benchmark)
    lines = [_line(row, benchmark.by_name[row.name].type) for row in judged.compared]
    means = [] if judged.left_out else judged.means
    lines += [_line(row, "mean") for row in sorted(means, key=lambda row: order.index(row.name))]
    columns = ("ours", "published", "difference", "tolerance", "verdict")
    notes = (Text("note.tolerance"),)
    return Table(benchmark, "published", "task", columns, tuple(lines), model, notes, on_screen=False)


def _line(row: Compared, group: str) -> TableRow:
    numbers = (Cell(row.ours), Cell(row.theirs), Cell(row.difference, difference=True), Cell(row.tolerance))
    return TableRow(row.name, (*numbers, Cell(row.verdict)), group, folded=row.verdict == "OK")
