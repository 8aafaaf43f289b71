"""Judges scores and vectors by a baseline: OK, DRIFT or FAIL. Arithmetic on points and cosines; reads no file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qzhou_eval.checks.regression.baseline import unit
from qzhou_eval.checks.regression.comparable import Pair
from qzhou_eval.checks.tolerance import BEYOND, grade

VERDICTS = ("OK", "DRIFT", "FAIL")  # by grade, each worse than the one before


@dataclass(frozen=True)
class CheckedScore:
    """One task at one setting and dimension. Scores, difference and tolerance in points (0 to 100).

    A ``score`` of NaN fails. ``cosine`` is the lowest of the probe's, None if the baseline has no probe.
    """

    setting: str
    task: str
    dim: int
    baseline: float
    score: float
    tolerance: float
    cosine: float | None
    min_cosine: float

    @property
    def difference(self) -> float:
        """This run's score minus the baseline's."""
        return self.score - self.baseline

    @property
    def size(self) -> float:
        """The absolute difference, rounded as the scores are."""
        return round(abs(self.difference), 6)

    @property
    def verdict(self) -> str:
        return VERDICTS[BEYOND if self.vectors_moved else grade(self.difference, self.tolerance)]

    @property
    def vectors_moved(self) -> bool:
        """Whether a vector of the probe has changed by more than ``min_cosine`` allows."""
        return self.cosine is not None and not self.cosine >= self.min_cosine

    @property
    def severity(self) -> tuple[int, float, float, int]:
        """A sort key: greater is worse; among equals, the widest dimension."""
        share = math.inf if math.isnan(self.size) else self.size / max(self.tolerance, 1e-9)
        turn = 0.0 if self.cosine is None else round(1 - self.cosine, 6)
        return VERDICTS.index(self.verdict), share, turn, self.dim


def judge(found: list[Pair], tolerances: Mapping[str | None, float], min_cosine: float) -> list[CheckedScore]:
    """A row for every score of the baseline.

    Args:
        tolerances: points, by task or for all (None), in place of the baseline's own.
        min_cosine: a task fails if the cosine of a vector of its probe to the baseline's is below this.
    """
    rows = []
    for pair in found:
        for task, base in pair.base.tasks.items():
            ours = pair.run.tasks[task]
            tolerance = tolerances.get(task, tolerances.get(None, base.tolerance))
            probe = base.vectors()
            for dim, score in base.scores.items():
                cosine = lowest_cosine(probe, ours.probe(dim)) if probe else None
                rows.append(
                    CheckedScore(pair.base.label, task, dim, score, ours.scores[dim], tolerance, cosine, min_cosine)
                )
    return rows


def lowest_cosine(theirs: Mapping[str, np.ndarray], ours: Mapping[str, np.ndarray]) -> float:
    """The lowest cosine of a baseline's vectors, cut to the run's dimension, to the run's; 0 if the run lacks one.

    Args:
        theirs: the baseline's, by side, (n, dim or wider).
        ours: the run's, by side, (n or more, dim).
    """
    lowest = 1.0
    for side, vectors in theirs.items():
        found = ours.get(side, vectors[:0])[: len(vectors)]
        if len(found) < len(vectors):
            return 0.0
        cut = vectors[:, : found.shape[1]]
        lowest = min(lowest, float((unit(cut) * unit(found)).sum(axis=1).min()))
    return lowest


def worst_dimensions(rows: list[CheckedScore]) -> list[CheckedScore]:
    """The worst row of each setting and task."""
    worst: dict[tuple[str, str], CheckedScore] = {}
    for row in rows:
        key = (row.setting, row.task)
        worst[key] = max(worst.get(key, row), row, key=lambda one: one.severity)
    return list(worst.values())


def counts(rows: list[CheckedScore]) -> dict[str, int]:
    """How many rows have each verdict."""
    verdicts = [row.verdict for row in rows]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}
