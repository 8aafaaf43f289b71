"""Where the run stands among published models -> a table and a finding. Ranks are :mod:`.placement`'s."""

from collections.abc import Iterable

from qzhou_eval.averages import COLUMNS
from qzhou_eval.report.cells import BEST, with_best
from qzhou_eval.report.placement import MEANS, PictureOrder, Placement, picture_order, place
from qzhou_eval.report.scope import own
from qzhou_eval.report.tables import PUBLISHED
from qzhou_eval.report.uncertainty import Scored, published
from qzhou_eval.report.values import Cell, Finding, Row, Said, Table
from qzhou_eval.tasks import TYPES

FIRST, AROUND = 10, 6  # rows that are shown at once: the first, and so many before and after the run
SHOWN = (*MEANS, *TYPES)


def standing(main: Scored, label: str | Said, score_profile: str) -> tuple[Finding, Table] | None:
    """The run among the published models of CMTEB; None with a missing task."""
    scores = {task: one.value for task, one in main.tasks.items()}
    draws = {task: one.draws for task, one in main.tasks.items()}
    placed = place(main.setting.label, main.setting.model, scores, score_profile, draws=draws)
    if placed.borda_rank is None:
        return None
    return _finding(placed), _table(placed, main, label)


def _finding(placed: Placement) -> Finding:
    figure = Said("finding.rank", {"rank": placed.borda_rank, "of": placed.models})
    if placed.mean_rank_interval is None:
        text = Said("finding.mean_rank", {"rank": placed.mean_rank})
    else:
        best, worst = placed.mean_rank_interval
        between = "finding.mean_rank_sure" if best == worst else "finding.mean_rank_range"
        text = Said(between, {"rank": placed.mean_rank, "best": best, "worst": worst})
    return Finding("placement", figure, Said("finding.borda"), (text,))


def _table(placed: Placement, main: Scored, label: str | Said) -> Table:
    lines = []
    for name, row in placed.table.iterrows():
        if name == placed.run:
            lines.append((Said("row.this_run", {"model": label}), own(main, "cmteb").row(main), True))
        else:
            lines.append((name, published(row[list(COLUMNS)]), False))
    at = list(placed.table.index).index(placed.run)
    ranks = [int(rank) for rank in placed.table.iloc[:, 0]]
    rows = tuple(
        Row(row.name, (Cell(rank), *row.cells), ours=row.ours, folded=number >= FIRST and abs(number - at) > AROUND)
        for number, (rank, row) in enumerate(zip(ranks, with_best(lines, SHOWN), strict=True))
    )
    notes = (*_notes(placed), *_of_the_picture(picture_order(placed.score_profile)), BEST, PUBLISHED)
    return Table("cmteb", "placement", "model", ("rank", *SHOWN), rows, label, notes)


def _notes(placed: Placement) -> Iterable[Said]:
    yield Said("note.ranks", {"models": placed.models})
    if placed.replaces:
        yield Said("note.replaces", {"model": placed.replaces})
    if placed.left_out:
        yield Said("note.left_out", {"models": placed.left_out})


def _of_the_picture(order: PictureOrder) -> Iterable[Said]:
    """Where the order differs from the card's picture of the leaderboard, and over which models it is counted."""
    swapped = "; ".join(f"{one} / {two}" for one, two in order.swapped)
    values = {"title": order.title, "models": order.models, "swapped": swapped}
    yield Said("note.picture_differs" if swapped else "note.picture_agrees", values)
    if swapped and not order.swapped_in_earlier:
        yield Said("note.picture_earlier", {"models": order.earlier})
    if order.absent:
        yield Said("note.picture_absent", {"models": order.absent})
    if order.since:
        yield Said("note.picture_since", {"models": order.since})
