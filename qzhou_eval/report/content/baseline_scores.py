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
    """Notes naming the tasks on which a row is not significantly better than chance, or than character n-grams."""
    weak = {
        name: tuple(task for task in tasks if task in row.floors and not _above(row.of(task), row.floors[task][name]))
        for name in COLUMNS
    }
    return tuple(Text(f"note.not_above_{name}", {"tasks": found}) for name, found in weak.items() if found)


def _above(one: Estimate, floor: Estimate) -> bool:
    """Whether a score is significantly better; without items, better at all. The n-grams themselves count as better."""
    more = one - floor
    if more.value is None or (more.draws is not None and not more.draws.any()):
        return True
    return more.value > 0 and more.sure is not False
