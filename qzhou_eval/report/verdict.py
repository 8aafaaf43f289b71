"""The run's own model held against its published scores. Verdicts are :mod:`qzhou_eval.compare`'s."""

from qzhou_eval.averages import COLUMNS
from qzhou_eval.compare.differences import common_tasks
from qzhou_eval.compare.judge import Comparison, judge
from qzhou_eval.compare.sides import from_published, side_of
from qzhou_eval.compare.verdicts import Row as Compared
from qzhou_eval.errors import BadInput
from qzhou_eval.noted import Noted
from qzhou_eval.report.uncertainty import Scored
from qzhou_eval.report.values import Cell, Row, Said, Table
from qzhou_eval.tasks import all_tasks


def against_published(row: Scored, noted: Noted, score_profile: str) -> Comparison | None:
    """A setting at full width, noted so, against its model's published scores; None if there are none."""
    if row.dim != row.width:
        return None  # published scores are at full width
    side = side_of(noted.place, noted, score_profile)
    try:
        theirs = from_published(None, side.name, score_profile)
    except BadInput:
        return None
    return judge(side, theirs) if common_tasks(side, theirs) else None


def published_table(judged: Comparison, model: str) -> Table:
    """Ours, theirs, difference and verdict, task by task, then the means."""
    lines = [_line(row, all_tasks()[row.name].type) for row in judged.rows]
    lines += [_line(row, "mean") for row in sorted(judged.means, key=lambda row: COLUMNS.index(row.name))]
    columns = ("ours", "published", "difference", "tolerance", "verdict")
    notes = (Said("note.tolerance"),)
    return Table("cmteb", "published", "task", columns, tuple(lines), model, notes, on_screen=False)


def _line(row: Compared, group: str) -> Row:
    numbers = (Cell(row.ours), Cell(row.theirs), Cell(row.difference, difference=True), Cell(row.tolerance))
    return Row(row.name, (*numbers, Cell(row.verdict)), group, folded=row.verdict == "OK")
