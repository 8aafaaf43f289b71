"""Turns estimates into cells and rows, and chooses the notes under their table."""

from collections.abc import Iterable, Mapping, Sequence

from qzhou_eval.report.content.elements import Cell, TableRow, Text
from qzhou_eval.report.content.estimates import Estimate, best_group

BEST = Text("note.best")
MISSING = Text("note.missing")
UNSURE = Text("note.unsure")
NO_ITEMS = Text("note.no_items")
NO_INTERVAL = Text("note.no_interval")

Line = tuple[str | Text, Mapping[str, Estimate], bool]  # a row's name, its columns, whether it is the run's own


def plain(one: Estimate, *, best: bool = False) -> Cell:
    """A score's cell."""
    return Cell(one.value, one.bounds, best=best)


def difference(one: Estimate) -> Cell:
    """A difference's cell, marked where it is not significant."""
    return Cell(one.value, one.bounds, difference=True, unsure=one.sure is False)


def with_best(lines: Sequence[Line], columns: Sequence[str]) -> tuple[TableRow, ...]:
    """Rows of scores, each column's best group marked."""
    best = {column: best_group(row[column] for _, row, _ in lines) for column in columns}
    return tuple(
        TableRow(name, tuple(plain(row[c], best=best[c][at]) for c in columns), ours=ours)
        for at, (name, row, ours) in enumerate(lines)
    )


def of_scores(lines: Sequence[Line]) -> Iterable[Text]:
    """The notes under rows of scores."""
    found = [one for _, row, _ in lines for one in row.values()]
    without = any(one.value is not None and one.draws is None and not one.published for one in found)
    if any(one.draws is not None for one in found):
        yield from [BEST] * (len(lines) > 1)
        yield from [NO_INTERVAL] * without
    elif without:
        yield NO_ITEMS


def of_differences(rows: Iterable[TableRow]) -> tuple[Text, ...]:
    """The notes under a table of differences."""
    cells = [cell for row in rows for cell in row.cells if cell.difference and cell.value is not None]
    return (UNSURE, *[NO_INTERVAL] * any(cell.bounds is None for cell in cells))


def of_holes(rows: Iterable[TableRow]) -> tuple[Text, ...]:
    """The note under a table with missing results."""
    return (MISSING,) if any(cell.value is None for row in rows for cell in row.cells) else ()
