"""Intervals of the difference of two sides, by a paired bootstrap over the items of each task."""

from collections.abc import Iterable

import numpy as np

from qzhou_eval.benchmark.averages import table_row
from qzhou_eval.checks.compare.comparison import Comparison
from qzhou_eval.checks.compare.sides import TaskSide
from qzhou_eval.statistics.bootstrap import resample_scores
from qzhou_eval.statistics.intervals import interval
from qzhou_eval.statistics.item_scores import read_items

Interval = tuple[float, float]
AT_HAND = "tasks at hand"


def intervals(one: Comparison) -> dict[str, Interval]:
    """95 % intervals of ours minus theirs in points, by task, by mean and for the mean of the comparable tasks.

    Rows without items have no interval. Items are the same on both sides only if the data are. Published scores have
    no items: compared with another model's run, the interval covers the run's own spread only.
    """
    differences = {row.name: _difference(one, row.name) for row in one.rows}
    found = _known(differences.items()) | _known(table_row(differences, one.benchmark).items())
    at_hand = [differences[row.name] for row in one.compared if row.difference is not None]
    known = [resampled for resampled in at_hand if resampled is not None]
    if known and len(known) == len(at_hand):
        found[AT_HAND] = interval(np.mean(known, axis=0))
    return found


def _known(resampled: Iterable[tuple[str, np.ndarray | None]]) -> dict[str, Interval]:
    return {name: interval(values) for name, values in resampled if values is not None}


def _difference(one: Comparison, task: str) -> np.ndarray | None:
    """Resampled differences of one task in points, (resamples,)."""
    ours, theirs = one.ours.tasks[task], one.theirs.tasks[task]
    if one.theirs.published and not one.replication and theirs.score is not None:
        resampled = _draws([ours], task)
        return None if resampled is None else 100 * resampled[0] - theirs.score
    if not ours.has_data_of(theirs):
        return None
    resampled = _draws([ours, theirs], task)
    return None if resampled is None else 100 * (resampled[0] - resampled[1])


def _draws(sides: list[TaskSide], task: str) -> np.ndarray | None:
    """Scores of each side on the same resamples, (sides, resamples); None if a side has no items."""
    files = [side.items for side in sides if side.items is not None]
    if len(files) < len(sides):
        return None
    several = [read_items(file) for file in files]
    return resample_scores(several, sides[0].counted, seed_for=f"{task} {sides[0].facts['data']}")
