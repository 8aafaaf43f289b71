"""Tables -> drawings: MRL curves and what token prepending adds. Draws what :mod:`.tables` computed."""

import math
from collections.abc import Sequence

from qzhou_eval.report.svg import BAD, GOOD, INK, LINE, MUTED, PAPER, SERIES, inline, new_figure, style
from qzhou_eval.report.values import Cell, Row, Table
from qzhou_eval.report.words import Words

WIDTH = 340  # units: a panel's pixels on a phone
CURVE_HEIGHT = 250
ROW = 23
RIGHT = 1.51  # where figures beside a forest end, in widths of its axes
OCTAVES_BETWEEN_LABELS = 0.55


def curves(mrl: Sequence[Table], costs: Sequence[Table], name: str) -> dict[str, str]:
    """By column, its score over the dimensions with its interval, and below it the difference to the widest.

    Args:
        mrl: table 3 of up to four settings, which get the page's series colours in this order.
        costs: their differences to the widest dimension.
    """
    drawn = {}
    with style():
        for at, column in enumerate(mrl[0].columns):
            if all(row.cells[at].value is None for table in mrl for row in table.rows):
                continue
            figure = new_figure(WIDTH, CURVE_HEIGHT)
            top, bottom = figure.subplots(
                2, 1, sharex=True, height_ratios=(3, 2), gridspec_kw={"hspace": 0.16, "left": 0.14, "right": 0.97}
            )
            figure.subplots_adjust(top=0.97, bottom=0.11)
            for color, table, cost in zip(SERIES, mrl, costs, strict=False):
                _curve(top, table.rows, at, color)
                _curve(bottom, [*cost.rows, _nothing_lost(table)], at, color, hollow=True)
            bottom.axhline(0, color=MUTED, linewidth=1, zorder=1)
            bottom.set_ylim(*_limits([row.cells[at] for table in costs for row in table.rows]))
            _dimension_axis(bottom, sorted({int(row.name) for table in mrl for row in table.rows}))
            for axes in (top, bottom):
                axes.grid(axis="y")
                axes.tick_params(length=0)
                axes.spines["left"].set_visible(False)
                axes.locator_params(axis="y", nbins=5 if axes is top else 4)
            bottom.yaxis.set_major_formatter(_signed)
            drawn[column] = inline(figure, f"{name}c{at}")
    return drawn


def _curve(axes, rows: Sequence[Row], at: int, color: str, *, hollow: bool = False) -> None:
    points = [(math.log2(int(row.name)), row.cells[at]) for row in rows if row.cells[at].value is not None]
    if not points:
        return
    places, cells = zip(*points, strict=True)
    if all(cell.low is not None for cell in cells):
        axes.fill_between(places, [c.low for c in cells], [c.high for c in cells], color=color, alpha=0.16, linewidth=0)
    axes.plot(places, [cell.value for cell in cells], color=color, linewidth=1.6, zorder=3)
    for place, cell in points:
        open_ = hollow and cell.unsure
        axes.plot(place, cell.value, "o", ms=4.5, color=color, mfc=PAPER if open_ else color, mew=1.3, zorder=4)


def _nothing_lost(table: Table) -> Row:
    """The widest dimension's difference to itself, where the lines end."""
    cells = (Cell(None if cell.value is None else 0.0, 0.0, 0.0) for cell in table.rows[-1].cells)
    return Row(table.rows[-1].name, tuple(cells))


def _dimension_axis(axes, dims: list[int]) -> None:
    """A tick for each dimension, on a scale of octaves; a label where there is room, the widest first."""
    labelled: list[int] = []
    for dim in reversed(dims):
        if not labelled or math.log2(labelled[-1] / dim) >= OCTAVES_BETWEEN_LABELS:
            labelled.append(dim)
    axes.set_xticks([math.log2(dim) for dim in dims], [str(dim) if dim in labelled else "" for dim in dims])
    axes.margins(x=0.06)


def forest(table: Table, means: dict[str, Cell], words: Words, name: str) -> dict[str, str]:
    """By type, each task's difference as a dot with its interval, the strongest first, and the type's mean below.

    Args:
        table: tasks with the difference as last column.
        means: by column of the card, the difference of the means; those that are no type make the last panel.
    """
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.cells[-1].value is not None:
            groups.setdefault(row.group, []).append(row)
    drawn = {}
    with style():
        for at, (kind, rows) in enumerate(groups.items()):
            ordered = sorted(rows, key=lambda row: -row.cells[-1].value)
            lines = [(words.say(row.name), row.cells[-1]) for row in ordered]
            if len(rows) > 1 and means[kind].value is not None:
                lines.append((words("figure.mean"), means[kind]))
            drawn[kind] = _forest_panel(lines, f"{name}f{at}", mean=len(lines) > len(rows))
        overall = [(words.column(c), means[c]) for c in means if c not in groups and means[c].value is not None]
        if overall:
            drawn[""] = _forest_panel(overall, f"{name}f{len(groups)}", mean=False, marker="D")
    return drawn


def _forest_panel(lines: Sequence[tuple[str, Cell]], name: str, *, mean: bool, marker: str = "o") -> str:
    height = ROW * len(lines) + 30
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes((0.41, 28 / height, 0.39, ROW * len(lines) / height))
    axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
    for place, (_, cell) in enumerate(lines):
        last = mean and place == len(lines) - 1
        color = MUTED if cell.unsure else GOOD if cell.value > 0 else BAD
        if cell.low is not None:
            axes.plot([cell.low, cell.high], [place, place], color=color, linewidth=2, zorder=2)
        shape = "D" if last else marker
        size = 5 if shape == "D" else 6
        axes.plot(
            cell.value, place, shape, ms=size, color=color, mfc=PAPER if cell.unsure else color, mew=1.4, zorder=3
        )
        figures = ("≈ " if cell.unsure else "") + _minus(f"{cell.value:+z.2f}")
        axes.text(RIGHT, place, figures, transform=axes.get_yaxis_transform(), ha="right", va="center")
        if last:
            axes.axhline(place - 0.5, xmin=-0.95, xmax=RIGHT, color=LINE, linewidth=0.8, clip_on=False)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlim(*_limits([cell for _, cell in lines]))
    axes.set_yticks(range(len(lines)), [label for label, _ in lines], color=INK)
    axes.grid(axis="x")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(_signed)
    return inline(figure, name)


def _signed(value: float, _place: int) -> str:
    """A tick's label."""
    return _minus(f"{value:+z.3g}") if value else "0"


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


def _limits(cells: Sequence[Cell]) -> tuple[float, float]:
    """What holds every difference, its interval and 0, with a margin."""
    ends = [end for cell in cells for end in (cell.value, cell.low, cell.high) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin
