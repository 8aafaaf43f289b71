"""How far the difference of two runs spreads: a paired bootstrap over the items of each task that both have."""

from collections.abc import Iterable

import numpy as np

from qzhou_eval.averages import table_row
from qzhou_eval.compare.judge import Comparison
from qzhou_eval.statistics.bootstrap import draws
from qzhou_eval.statistics.intervals import interval
from qzhou_eval.tasks import all_tasks

Interval = tuple[float, float]


def intervals(one: Comparison) -> dict[str, Interval]:
    """95 % intervals of ours minus theirs in points, by task and by mean; without those that items do not give.

    Items are the same on both sides only if the data are.
    """
    differences = {row.name: _difference(one, row.name) for row in one.rows}
    benchmark = all_tasks()[one.rows[0].name].benchmark
    return _known(differences.items()) | _known(table_row(differences, benchmark).items())


def _known(resampled: Iterable[tuple[str, np.ndarray | None]]) -> dict[str, Interval]:
    return {name: interval(values) for name, values in resampled if values is not None}


def _difference(one: Comparison, task: str) -> np.ndarray | None:
    """Resampled differences of one task in points, (resamples,)."""
    ours, theirs = one.ours.tasks[task], one.theirs.tasks[task]
    if ours.items is None or theirs.items is None or ours.facts["data"] != theirs.facts["data"]:
        return None
    resampled = draws([ours.items(), theirs.items()], ours.counted, seed_for=f"{task} {ours.facts['data']}")
    return None if resampled is None else 100 * (resampled[0] - resampled[1])
