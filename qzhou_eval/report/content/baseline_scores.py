"""Scores to compare a model with: chance and character n-grams on the same data, where their scores were kept."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from qzhou_eval.benchmark.task import Task
from qzhou_eval.report.content.elements import Text
from qzhou_eval.report.content.estimates import Estimate, Scored
from qzhou_eval.results.baselines import Baseline, read
from qzhou_eval.results.task_scores import TaskScore
from qzhou_eval.statistics.bootstrap import RESAMPLES, resample_scores
from qzhou_eval.statistics.item_scores import Items

COLUMNS = ("chance", "char_ngrams")


def add_floors(
    rows: Iterable[Scored], scores: Iterable[TaskScore], output_dirs: list[Path], score_profile: str
) -> None:
    """Add to rows the baseline scores that the output folders hold for the same task, data and mteb.

    Raises:
        BadInput: a damaged file.
    """
    by_setting = {(row.setting, row.dim): row for row in rows}
    found: dict[tuple, Mapping[str, Estimate] | None] = {}
    for score in scores:
        record = score.recorded.tasks[score.task]["record"]
        key = score.task, str(record["data"]), str(record["mteb"])
        if key not in found:
            kept = next(filter(None, (read(folder, *key) for folder in output_dirs)), None)
            found[key] = kept and _estimates(*kept, score.recorded.of[score.task], score_profile)
        if (floors := found[key]) is not None:
            by_setting[score.setting, score.dim].floors[score.task] = floors


def _estimates(
    baseline: Baseline, items: Items | None, task: Task, score_profile: str
) -> Mapping[str, Estimate] | None:
    """Points by :data:`COLUMNS`; the n-grams use the same resamples as every other result on the data."""
    chance = task.score(baseline.chance, score_profile)
    ngrams = task.score(baseline.char_ngrams, score_profile)
    if chance is None or ngrams is None:
        return None
    splits = task.counted(score_profile)
    drawn = None
    if items is not None and all(split in items.splits for split in splits):
        drawn = resample_scores([items], splits, seed_for=f"{baseline.task} {baseline.data}", resamples=RESAMPLES)
    of_ngrams = Estimate(100 * ngrams, None if drawn is None else 100 * drawn[0])
    return {"chance": Estimate(100 * chance, published=True), "char_ngrams": of_ngrams}


def not_above(row: Scored, tasks: Iterable[str]) -> tuple[Text, ...]:
    """Notes naming the tasks on which a row is worse, or not significantly better, than chance and than n-grams."""
    found: dict[str, list[str]] = {}
    for name in COLUMNS:
        for task in tasks:
            if task in row.floors and (how := _beside(row.of(task), row.floors[task][name])):
                found.setdefault(f"note.{how}_{name}", []).append(task)
    return tuple(Text(key, {"tasks": tuple(of)}) for key, of in found.items())


def _beside(one: Estimate, floor: Estimate) -> str:
    """``below`` or ``not_above`` a floor; else empty, as for the n-grams themselves. Without items any difference
    counts."""
    more = one - floor
    if more.value is None or (more.draws is not None and not more.draws.any()):
        return ""
    if more.sure is False or more.value == 0:
        return "not_above"
    return "below" if more.value < 0 else ""
