"""Draws tables: MRL curves, and the points gained by token prepending. Values come from report/content/."""

import math
from collections.abc import Callable, Iterable, Sequence

from qzhou_eval.report.content.elements import Cell, Table, TableRow, Text
from qzhou_eval.report.formats.language import Words
from qzhou_eval.report.formats.svg import BAD, GOOD, INK, LINE, MUTED, NORMAL, SERIES, Drawing, Scale

WIDTH = 340  # units: a panel's pixels on a phone
LEFT, RIGHT = 48, 330  # where curves begin and end
TOP, BOTTOM = (20, 139), (168, 247)  # of the scores and of the differences below them
CURVE_HEIGHT = 284
ROW = 23
FOREST = (139, 272)  # where a forest begins and ends, its labels to the left and its figures to the right
OCTAVES_BETWEEN_LABELS = 0.55


def curves(mrl: Sequence[Table], costs: Sequence[Table], words: Words) -> dict[str, str]:
    """By column, its score over the dimensions with its interval, and below it the difference from the widest.

    Args:
        mrl: table 3 of up to four settings over the same tasks, which get the page's series colours in this order.
        costs: their differences from the widest dimension.
    """
    drawn = {}
    for at, column in enumerate(mrl[0].columns):
        cells = [row.cells[at] for table in mrl for row in table.rows if row.cells[at].value is not None]
        if not cells:
            continue
        drawing = Drawing(WIDTH, CURVE_HEIGHT)
        across = _dimensions(drawing, sorted({_dimension(row) for table in mrl for row in table.rows}))
        scores = Scale(*_limits(_ends(cells)), TOP[1], TOP[0])
        lost = Scale(*_limits([0.0, *_ends(row.cells[at] for t in costs for row in t.rows)]), BOTTOM[1], BOTTOM[0])
        _grid(drawing, scores, _plain, most=5)
        _grid(drawing, lost, _signed, most=4)
        drawing.line([(LEFT, lost(0)), (RIGHT, lost(0))], MUTED)
        for (top, _), key in ((TOP, "score"), (BOTTOM, "difference")):
            drawing.text((LEFT, top - 9), words(f"axis.{key}"), anchor="start")
        drawing.text(((LEFT + RIGHT) / 2, BOTTOM[1] + 27), words("axis.dimensions"))
        for color, table, cost in zip(SERIES, mrl, costs, strict=False):
            of_scores, of_lost = (_column(rows, at) for rows in (table.rows, [*cost.rows, _nothing_lost(table)]))
            _curve(drawing, (across, scores), of_scores, color)
            _curve(drawing, (across, lost), of_lost, color, hollow=True)
        drawn[words.column(column)] = str(drawing)
    return drawn


def _dimensions(drawing: Drawing, dims: list[int]) -> Scale:
    """The horizontal scale, in octaves, with labels for the dimensions where there is room, the widest first."""
    low, high = math.log2(dims[0]), math.log2(dims[-1])
    margin = 0.06 * (high - low) or 1.0
    across = Scale(low - margin, high + margin, LEFT, RIGHT)
    labelled: list[int] = []
    for dim in reversed(dims):
        if not labelled or math.log2(labelled[-1] / dim) >= OCTAVES_BETWEEN_LABELS:
            labelled.append(dim)
            drawing.text((across(math.log2(dim)), BOTTOM[1] + 12), str(dim))
    return across


def _grid(drawing: Drawing, scale: Scale, shown: Callable[[list[float]], list[str]], *, most: int) -> None:
    """Draw a panel's horizontal lines with their values, and its bottom line."""
    ticks = scale.ticks(most)
    for tick, label in zip(ticks, shown(ticks), strict=True):
        drawing.line([(LEFT, scale(tick)), (RIGHT, scale(tick))], LINE, 0.8)
        drawing.text((LEFT - 5, scale(tick)), label, anchor="end")
    drawing.line([(LEFT, scale.start), (RIGHT, scale.start)], LINE)


def _column(rows: Sequence[TableRow], at: int) -> list[tuple[float, Cell]]:
    """One column's cells that have a value, each with its dimension's octave."""
    return [(math.log2(_dimension(row)), row.cells[at]) for row in rows if row.cells[at].value is not None]


def _dimension(row: TableRow) -> int:
    """The dimension that a row of table 3 is named by."""
    assert isinstance(row.name, str)
    return int(row.name)


def _curve(
    drawing: Drawing,
    scales: tuple[Scale, Scale],
    points: Sequence[tuple[float, Cell]],
    color: str,
    *,
    hollow: bool = False,
) -> None:
    """Draw a line with a dot for each cell, over the band of their intervals; hollow dots are not significant."""
    across, up = scales
    placed = [(across(octave), cell) for octave, cell in points]
    ends = [(x, *cell.bounds) for x, cell in placed if cell.bounds is not None]
    if len(ends) == len(placed):
        drawing.band([(x, up(high)) for x, _, high in ends], [(x, up(low)) for x, low, _ in ends], color)
    drawing.line([(x, up(cell.points)) for x, cell in placed], color, 1.6)
    for x, cell in placed:
        drawing.mark((x, up(cell.points)), color, size=4.5, hollow=hollow and cell.unsure)


def _nothing_lost(table: Table) -> TableRow:
    """The widest dimension's difference from itself, 0, where the lines end."""
    cells = (Cell(None if cell.value is None else 0.0, (0.0, 0.0)) for cell in table.rows[-1].cells)
    return TableRow(table.rows[-1].name, tuple(cells))


def forest(table: Table, means: Sequence[tuple[str | Text, Cell]], words: Words) -> dict[str, str]:
    """By type, each task's difference as a dot with its interval, the largest first, and the type's mean below.

    Args:
        table: tasks with the difference as last column, type by type.
        means: what the mean of each of these types is called, and its difference; then overall means, which make the
            last panel.
    """
    groups: dict[str, list[TableRow]] = {}
    for row in table.rows:
        if row.cells[-1].value is not None:
            groups.setdefault(row.group, []).append(row)
    drawn = {}
    for (kind, rows), (_, mean) in zip(groups.items(), means, strict=False):
        ordered = sorted(rows, key=lambda row: -row.cells[-1].points)
        lines = [(words.render(row.name), row.cells[-1]) for row in ordered]
        if len(rows) > 1:
            lines.append((words("figure.mean"), mean))
        drawn[words.column(kind)] = _forest_panel(lines, mean=len(lines) > len(rows))
    overall = [(words.column(name), cell) for name, cell in means[len(groups) :]]
    if overall:
        drawn[words.column("overall")] = _forest_panel(overall, mean=False, diamonds=True)
    return drawn


def _forest_panel(lines: Sequence[tuple[str, Cell]], *, mean: bool, diamonds: bool = False) -> str:
    bottom = 2 + ROW * len(lines)
    drawing = Drawing(WIDTH, bottom + 28)
    across = Scale(*_limits([0.0, *_ends(cell for _, cell in lines)]), *FOREST)
    ticks = across.ticks(4)
    for tick, label in zip(ticks, _signed(ticks), strict=True):
        drawing.line([(across(tick), 2), (across(tick), bottom)], LINE, 0.8)
        drawing.text((across(tick), bottom + 12), label)
    drawing.line([(FOREST[0], bottom), (FOREST[1], bottom)], LINE)
    drawing.line([(across(0), 2), (across(0), bottom)], MUTED)
    for place, (label, cell) in enumerate(lines):
        last = mean and place == len(lines) - 1
        height = 2 + ROW * (place + 0.5)
        if last:
            drawing.line([(14, height - ROW / 2), (WIDTH, height - ROW / 2)], LINE, 0.8)
        drawing.text((FOREST[0] - 5, height), label, INK, anchor="end")
        color = MUTED if cell.unsure else GOOD if cell.points > 0 else BAD
        if cell.bounds is not None:
            drawing.line([(across(end), height) for end in cell.bounds], color, 2)
        drawing.mark((across(cell.points), height), color, size=6, hollow=bool(cell.unsure), diamond=last or diamonds)
        figures = ("≈ " if cell.unsure else "") + _minus(f"{cell.value:+z.2f}")
        drawing.text((WIDTH, height), figures, INK, size=NORMAL, anchor="end")
    return str(drawing)


def _plain(ticks: list[float]) -> list[str]:
    """Labels of scores, all with the same number of decimals."""
    decimals = max((len(f"{tick:.6g}".partition(".")[2]) for tick in ticks), default=0)
    return [_minus(f"{tick:.{decimals}f}") for tick in ticks]


def _signed(ticks: list[float]) -> list[str]:
    """Labels of differences, with their signs."""
    return [_minus(f"{tick:+z.3g}") if tick else "0" for tick in ticks]


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


def _ends(cells: Iterable[Cell]) -> list[float]:
    """Every value and every end of an interval."""
    return [end for cell in cells if cell.value is not None for end in (cell.points, *(cell.bounds or ()))]


def _limits(ends: Sequence[float]) -> tuple[float, float]:
    """Limits that contain all of them, with a margin."""
    low, high = min(ends), max(ends)
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin
