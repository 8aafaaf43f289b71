"""Marks, footnotes and intervals as both kinds of comparison print them."""

from qzhou_eval.statistics.intervals import significant

MARK = "*"
MARK_NOTE = f"{MARK} shown on request (--allow-mismatch): what differs makes this row not comparable, it does not count"
DIMENSION_NOTE = f"{MARK} without the tasks that do not compare"
NONE = "≈"
SPREAD_NOTE = (
    f"interval: of the difference, by a paired bootstrap over the tasks' items; {NONE}: not significant (the interval "
    "contains 0)"
)


def interval_cell(spread: tuple[float, float] | None) -> str:
    """A 95 % interval of a difference, marked where it contains 0; -0.00 is an end below 0."""
    if spread is None:
        return "-"
    return f"{spread[0]:+.2f} to {spread[1]:+.2f}{'' if significant(spread) else ' ' + NONE}"
