"""Ranks a run among the published models of CMTEB, with the columns and ranks of mteb's leaderboard.

Knows only scores by task: no folders, dimensions or prompts. Formats nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qzhou_eval.benchmark.averages import table_row, task_score
from qzhou_eval.benchmark.published import Published, named, read_published
from qzhou_eval.benchmark.registry import TYPES, all_tasks
from qzhou_eval.statistics.intervals import CONFIDENCE, interval

BORDA = "Rank (Borda)"
MEANS = ("Mean(Task)", "Mean(TaskType)")


@dataclass(frozen=True)
class Placement:
    """The rank of one run.

    Attributes:
        table: by model, sorted by Borda rank: ``BORDA`` (Int64), the two means and the six types in points. Published
            models have their full names; a run with a missing task has no rank and no mean, and is last.
        run: the run's row in ``table``.
        replaces: the published model that the run replaces, being the same model, which is not counted twice. None
            if there is none, or the run is not counted.
        models: how many models the ranks are counted over, the run included if it is counted.
        left_out: published models that are not counted, because they lack a split that the score profile counts.
        borda_rank: the run's rank by Borda count, 1 is best; None if a task is missing.
        mean_rank: the same by Mean(Task).
        mean_rank_interval: the best and worst rank by Mean(Task) that the interval of the run's mean reaches, the
            published scores taken as they are; None unless every task has draws.
        score_profile: ``card`` or ``mteb2``, for the run and for the published models.
    """

    table: pd.DataFrame
    run: str
    replaces: str | None
    models: int
    left_out: tuple[str, ...]
    borda_rank: int | None
    mean_rank: int | None
    mean_rank_interval: tuple[int, int] | None
    score_profile: str


def place(
    label: str,
    model: str,
    scores: Mapping[str, float | None],
    score_profile: str,
    *,
    draws: Mapping[str, np.ndarray | None] | None = None,
    confidence: float = CONFIDENCE,
) -> Placement:
    """Rank a run among the published models.

    Args:
        label: what the run is called; its row is ``<label> (this run)``.
        model: its model, ``org/name``, or ``local/name`` for a folder, which counts as the published model ``name``.
        scores: points by task of CMTEB; None or missing if there is no result.
        draws: points by task, float64 (resamples,), paired over the tasks; None where a task has none.
    """
    published = read_published()
    points = task_points(published, score_profile)
    run = f"{label} (this run)"
    mine = {name: scores.get(name) for name in points.columns}
    complete = all(score is not None for score in mine.values())
    twins = named(model.removeprefix("local/"), points.index) if complete else []
    others = points.drop(index=twins)
    counted = pd.concat([others, pd.DataFrame(mine, index=[run])]) if complete else others
    rows = {name: table_row(row, "cmteb") for name, row in counted.iterrows()} | {run: table_row(mine, "cmteb")}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[*MEANS, *TYPES], dtype=float)
    table.insert(0, BORDA, borda_ranks(counted).reindex(table.index).astype("Int64"))
    table = table.rename_axis("model").sort_values([BORDA, MEANS[0]], ascending=[True, False])
    means = table[MEANS[0]].drop(run).to_numpy()
    return Placement(
        table=table,
        run=run,
        replaces=twins[0] if twins else None,
        models=len(counted),
        left_out=tuple(name for name in published if name not in points.index),
        borda_rank=int(table.at[run, BORDA]) if complete else None,
        mean_rank=_rank(table.at[run, MEANS[0]], means) if complete else None,
        mean_rank_interval=_rank_interval(draws or {}, means, confidence) if complete else None,
        score_profile=score_profile,
    )


def _rank(mean: float, others: np.ndarray) -> int:
    """The rank of a mean: 1 if no other is above it."""
    return 1 + int((others > mean).sum())


def _rank_interval(
    draws: Mapping[str, np.ndarray | None], others: np.ndarray, confidence: float
) -> tuple[int, int] | None:
    """The best and worst rank: those at the upper and lower end of the mean's interval."""
    means = table_row(draws, "cmteb")[MEANS[0]]
    if means is None:
        return None
    low, high = interval(means, confidence)
    return _rank(high, others), _rank(low, others)


def task_points(published: Mapping[str, Published], score_profile: str) -> pd.DataFrame:
    """Points of published models (rows) on every task of CMTEB (columns).

    Models without a split that the score profile counts are left out: if both splits of MultilingualSentiment count,
    those that have only one.
    """
    tasks = [task.name for task in all_tasks().values() if task.benchmark == "cmteb"]
    rows = {
        model: [task_score(task, entry.scores.get(task, {}), score_profile) for task in tasks]
        for model, entry in published.items()
    }
    return 100 * pd.DataFrame.from_dict(rows, orient="index", columns=tasks, dtype=float).dropna()


def borda_ranks(points: pd.DataFrame) -> pd.Series:
    """Ranks by Borda count of models (rows) over tasks (columns), none missing; 1 is best, equal counts share the best.

    Computed as on mteb's leaderboard: on each task a model gets the number of models less its rank, equal scores the
    mean of their ranks.
    """
    counts = (len(points) - points.rank(ascending=False, method="average")).sum(axis=1)
    return counts.rank(ascending=False, method="min").astype(int)
