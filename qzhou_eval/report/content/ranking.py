"""Ranks a run among a benchmark's published models, with the columns and ranks of mteb's leaderboard.

Knows only scores by task: no folders, dimensions or prompts. Formats nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qzhou_eval.benchmark.averages import MEANS, table_row
from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.published import Published, named, scores_of
from qzhou_eval.benchmark.task import Task
from qzhou_eval.statistics.intervals import CONFIDENCE, interval

BORDA = "Rank (Borda)"


@dataclass(frozen=True)
class Placement:
    """The rank of one run.

    Attributes:
        table: by model, sorted by Borda rank: ``BORDA`` (Int64), the two means and the types in points, missing where
            a split or subset is. Published models have their full names; a run with a missing task has no rank and is
            last.
        run: the run's row in ``table``.
        replaces: the published model that the run replaces, being the same model, which is not counted twice. None
            if there is none, or the run is not counted.
        models: how many models the ranks are counted over, the run included if it is counted.
        left_out: published models that are not counted, because they have no score at all on a task.
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
    benchmark: Benchmark,
    score_profile: str,
    *,
    draws: Mapping[str, np.ndarray | None] | None = None,
    confidence: float = CONFIDENCE,
) -> Placement:
    """Rank a run among the published models.

    Args:
        label: what the run is called; its row is ``<label> (this run)``.
        model: its model, ``org/name``, or ``local/name`` for a folder, which counts as the published model ``name``.
        scores: points by task of the benchmark; None or missing if there is no result.
        draws: points by task, float64 (resamples,), paired over the tasks; None where a task has none.
    """
    published = scores_of(benchmark)
    run = f"{label} (this run)"
    mine = {name: scores.get(name) for name in benchmark.names}
    complete = all(score is not None for score in mine.values())
    twins = named(model.removeprefix("local/"), published) if complete else []
    others = {name: entry for name, entry in published.items() if name not in twins}
    counted = task_points(others, benchmark, score_profile, partly=True).dropna()
    left_out = tuple(name for name in others if name not in counted.index)
    others = {name: others[name] for name in counted.index}
    if complete:
        counted = pd.concat([counted, pd.DataFrame(mine, index=[run])])
    rows = task_points(others, benchmark, score_profile).to_dict("index") | {run: mine}
    table = _columns(rows, benchmark)
    table.insert(0, BORDA, borda_ranks(counted).reindex(table.index).astype("Int64"))
    table = table.rename_axis("model").sort_values([BORDA, MEANS[0]], ascending=[True, False])
    means = table[MEANS[0]].drop(run).dropna().to_numpy()
    return Placement(
        table=table,
        run=run,
        replaces=twins[0] if twins else None,
        models=len(counted),
        left_out=left_out,
        borda_rank=int(table.at[run, BORDA]) if complete else None,
        mean_rank=_rank(table.at[run, MEANS[0]], means) if complete else None,
        mean_rank_interval=_rank_interval(draws or {}, benchmark, means, confidence) if complete else None,
        score_profile=score_profile,
    )


def _columns(rows: Mapping[str, Mapping[str, float | None]], benchmark: Benchmark) -> pd.DataFrame:
    """The two means and the types of each row of points by task."""
    known = {name: {task: None if pd.isna(one) else one for task, one in row.items()} for name, row in rows.items()}
    found = {name: table_row(row, benchmark) for name, row in known.items()}
    return pd.DataFrame.from_dict(found, orient="index", columns=[*MEANS, *benchmark.types], dtype=float)


def _rank(mean: float, others: np.ndarray) -> int:
    """The rank of a mean: 1 if no other is above it."""
    return 1 + int((others > mean).sum())


def _rank_interval(
    draws: Mapping[str, np.ndarray | None], benchmark: Benchmark, others: np.ndarray, confidence: float
) -> tuple[int, int] | None:
    """The best and worst rank: those at the upper and lower end of the mean's interval."""
    means = table_row(draws, benchmark)[MEANS[0]]
    if means is None:
        return None
    low, high = interval(means, confidence)
    return _rank(high, others), _rank(low, others)


def task_points(
    published: Mapping[str, Published], benchmark: Benchmark, score_profile: str, *, partly: bool = False
) -> pd.DataFrame:
    """Points of published models (rows) on every task of a benchmark (columns); NaN where a counted part is missing.

    Args:
        partly: use the mean of those counted parts that there are, as mteb's leaderboard does for its ranks.
    """
    rows = {
        model: [_score(entry.scores.get(task.name, {}), task, score_profile, partly=partly) for task in benchmark.tasks]
        for model, entry in published.items()
    }
    return 100 * pd.DataFrame.from_dict(rows, orient="index", columns=list(benchmark.names), dtype=float)


def _score(by_part: Mapping[str, float], task: Task, score_profile: str, *, partly: bool) -> float | None:
    if not partly:
        return task.score(by_part, score_profile)
    found = [by_part[part] for part in task.counted(score_profile) if part in by_part]
    return sum(found) / len(found) if found else None


def borda_ranks(points: pd.DataFrame) -> pd.Series:
    """Ranks by Borda count of models (rows) over tasks (columns), none missing; 1 is best, equal counts share the best.

    Computed as on mteb's leaderboard: on each task a model gets the number of models less its rank, equal scores the
    mean of their ranks.
    """
    counts = (len(points) - points.rank(ascending=False, method="average")).sum(axis=1)
    return counts.rank(ascending=False, method="min").astype(int)
