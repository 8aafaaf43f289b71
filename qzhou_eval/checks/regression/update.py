"""Makes a new baseline from runs, with tolerances from their own spread. Judges nothing."""

from collections.abc import Mapping, Sequence

import numpy as np

from qzhou_eval.checks.regression.baseline import Baseline, Result, TaskBaseline, packed
from qzhou_eval.checks.regression.measured import MeasuredRun, MeasuredTask
from qzhou_eval.checks.tolerance import tolerance_of
from qzhou_eval.statistics.bootstrap import resample_scores

NOISE = 0.2  # standard errors by which correct runs may differ; measured in docs/ci.md

Tolerances = Mapping[str | None, float]  # points, by task or for all (None), in place of what the rule gives


def rule(kind: str, spread: float | None, between_runs: float | None) -> float:
    """A task's tolerance, points: the most that correct runs differ by at official size, at this size, or differed by.

    Args:
        kind: the task's type.
        spread: the score's standard error over the items, points; None if it is unknown.
        between_runs: the largest difference seen, points; None for a single run.
    """
    return round(max(tolerance_of(kind), NOISE * (spread or 0.0), between_runs or 0.0), 3)


def new_baseline(runs: list[MeasuredRun], tolerances: Tolerances) -> Baseline:
    """Make a baseline from one folder of results: scores, their spread, tolerances and the probe."""
    results = []
    for run in runs:
        profile = str(run.settings["score_profile"])
        tasks = {name: _task(name, task, profile, tolerances) for name, task in run.tasks.items()}
        fields = {name: getattr(run, name) for name in ("model", "experiment", "settings", "made_from")}
        results.append(Result(**fields, tasks=tasks))
    return Baseline(format=1, results=results)


def widened(baseline: Baseline, others: Sequence[list[MeasuredRun]], tolerances: Tolerances) -> Baseline:
    """Add to a baseline how much further runs differ, as a number and in the tolerances.

    Args:
        others: for each folder, its runs in the order of the baseline's settings.
    """
    results = []
    for number, base in enumerate(baseline.results):
        tasks = {}
        for name, task in base.tasks.items():
            seen = [task.scores, *(runs[number].tasks[name].scores for runs in others)]
            between = round(max(float(np.ptp([scores[dim] for scores in seen])) for dim in task.scores), 6)
            tolerance = _tolerance(others[0][number].tasks[name], task.spread, between, tolerances)
            tasks[name] = task.model_copy(update={"between_runs": between, "tolerance": tolerance})
        results.append(base.model_copy(update={"tasks": tasks}))
    return baseline.model_copy(update={"results": results})


def _task(name: str, task: MeasuredTask, score_profile: str, tolerances: Tolerances) -> TaskBaseline:
    spread = _standard_error(name, task, score_profile)
    widest = task.probe(max(task.scores))
    return TaskBaseline(
        settings=task.settings,
        scores=task.scores,
        spread=spread,
        between_runs=None,
        tolerance=_tolerance(task, spread, None, tolerances),
        probe={side: packed(vectors) for side, vectors in widest.items()},
    )


def _standard_error(name: str, task: MeasuredTask, score_profile: str) -> float | None:
    """The largest of the dimensions' standard errors, points; None without at least two items."""
    several = [items for items in task.items.values() if items]
    resampled = (
        resample_scores(several, task.of.counted(score_profile), seed_for=name, corrected=False) if several else None
    )
    return None if resampled is None else round(float(100 * resampled.std(axis=1).max()), 3)


def _tolerance(task: MeasuredTask, spread: float | None, between_runs: float | None, tolerances: Tolerances) -> float:
    ruled = rule(task.of.type, spread, between_runs)
    return tolerances.get(task.of.name, tolerances.get(None, ruled))
