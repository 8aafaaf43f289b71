"""Marks, footnotes and interval cells that both kinds of comparison print."""

from qzhou_eval.statistics.intervals import significant

MARK = "*"
MARK_NOTE = f"{MARK} shown because of --allow-mismatch: not comparable because of the differences above, not counted"
DIMENSION_NOTE = f"{MARK} without the tasks that are not comparable"
NONE = "≈"
SPREAD_NOTE = (
    f"interval: of the difference, by a paired bootstrap over the tasks' items; {NONE}: not significant (95 % interval "
    "includes 0)"
)


def interval_cell(spread: tuple[float, float] | None) -> str:
    """A 95 % interval of a difference, marked if it includes 0; -0.00 means an end below 0."""
    if spread is None:
        return "-"
    return f"{spread[0]:+.2f} to {spread[1]:+.2f}{'' if significant(spread) else ' ' + NONE}"
