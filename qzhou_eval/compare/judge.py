"""Pairs -> comparisons: differences, rows and verdicts, all of it before anything is printed."""

from dataclasses import dataclass

from qzhou_eval.compare.differences import Difference, common_tasks, differences
from qzhou_eval.compare.sides import Side
from qzhou_eval.compare.verdicts import Row, mean_rows, side_row, task_rows
from qzhou_eval.published import card_tables
from qzhou_eval.tasks import all_tasks

CARD_MODEL = "Kingsoft-LLM/QZhou-Embedding-Zh"


@dataclass(frozen=True)
class Comparison:
    """Two sides, what differs, and their scores side by side."""

    ours: Side
    theirs: Side
    differences: list[Difference]
    rows: list[Row]
    means: list[Row]

    @property
    def unlike(self) -> list[str]:
        """Facts that make scores incomparable."""
        return list(dict.fromkeys(d.fact for d in self.differences if not d.comparable))

    @property
    def marked(self) -> set[str]:
        """Tasks whose scores do not compare."""
        unlike = [d for d in self.differences if not d.comparable]
        return {task for d in unlike for task in (d.tasks or self.ours.tasks)}

    @property
    def verdicts(self) -> list[str]:
        """What counts: of tasks that compare, and of means if all of them do."""
        rows = [row for row in self.rows if row.name not in self.marked]
        return [row.verdict for row in [*rows, *([] if self.marked else self.means)] if row.verdict]

    @property
    def unmatched(self) -> dict[str, list[str]]:
        """Tasks that one side alone has, by side."""
        both = common_tasks(self.ours, self.theirs)
        return {side.source: [t for t in side.tasks if t not in both] for side in (self.ours, self.theirs)}


def judge(ours: Side, theirs: Side) -> Comparison:
    """Compare two sides that have tasks in common."""
    rows = task_rows(ours, theirs)
    benchmark = all_tasks()[rows[0].name].benchmark
    means = mean_rows(side_row(ours, benchmark), side_row(theirs, benchmark), benchmark)
    return Comparison(ours, theirs, differences(ours, theirs), rows, means)


@dataclass(frozen=True)
class CardRow:
    """A result held against one row of the card's tables 1, 2 and 3. ``unlike`` as in :class:`Comparison`."""

    ours: Side
    title: str
    means: list[Row]
    unlike: list[str]


def card_rows(sides: list[Side], published: Side) -> list[CardRow]:
    """The rows of the card's tables that complete results of its model stand for.

    Args:
        published: the model's published scores; what differs from them decides on comparing, at any dimension.
    """
    card = card_tables()
    found = []
    for ours in sides:
        row = side_row(ours, "cmteb")
        if ours.name != published.name or row["Mean(TaskType)"] is None:
            continue
        unlike = list(dict.fromkeys(d.fact for d in differences(ours, published) if not d.comparable))
        for table, name in _stands_for(ours):
            if name in card[table]["rows"]:
                theirs = dict(zip(card["columns"], card[table]["rows"][name], strict=True))
                title = f"{table.replace('_', ' ')}, {name}"
                found.append(CardRow(ours, title, mean_rows(row, theirs, "cmteb"), unlike))
    return found


def _stands_for(ours: Side) -> list[tuple[str, str]]:
    """The tables' rows, as (table, row). Table 2's Original was trained without TP: another model than ours."""
    full = ours.dim == ours.width
    if dict(ours.setting).get("token_prepending") == "off":
        return [("table_2", "Original")] if full else []
    narrow = [("table_3", str(ours.dim))]
    return [("table_1", ours.name), ("table_2", "TP"), *narrow] if full else narrow
