"""The run's own model held against its published scores. Verdicts are :mod:`qzhou_eval.compare`'s."""

from pathlib import Path

from qzhou_eval.averages import COLUMNS
from qzhou_eval.compare.differences import common_tasks
from qzhou_eval.compare.judge import Comparison, judge
from qzhou_eval.compare.sides import Side, from_folder, from_published
from qzhou_eval.compare.verdicts import Row as Compared
from qzhou_eval.errors import BadInput
from qzhou_eval.generation import CARD_MTEB
from qzhou_eval.report.read import Setting
from qzhou_eval.report.uncertainty import Scored
from qzhou_eval.report.values import Cell, Row, Said, Table
from qzhou_eval.tasks import all_tasks


def sides_of(output_dirs: list[Path], score_profile: str) -> list[Side]:
    """What ``compare`` knows of the folders' results."""
    return [side for folder in output_dirs for side in from_folder(folder, score_profile)]


def against_published(row: Scored, sides: list[Side], score_profile: str) -> Comparison | None:
    """A setting at full width against its model's published scores; None if there are none."""
    side = next((side for side in sides if _is_of(side, row)), None)
    if side is None or row.dim != row.width:
        return None  # published scores are at full width
    try:
        theirs = from_published(None, side.name, score_profile)
    except BadInput:
        return None
    return judge(side, theirs) if common_tasks(side, theirs) else None


def _is_of(side: Side, row: Scored) -> bool:
    """Whether a side is a row: both name the same variant of a manifest, in their own words."""
    setting: Setting = row.setting
    own = tuple((key, value) for key, value in setting.experiment if key != "mteb")
    generation = "card" if ("mteb", CARD_MTEB) in setting.experiment else "current"
    return (side.model, side.revision, side.setting, side.generation, side.dim) == (
        *(setting.model, setting.revision, own, generation),
        row.dim,
    )


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
