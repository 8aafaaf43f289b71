"""Scores chance and character n-grams on one task's data. Runs in a worker process; needs no model."""

from pathlib import Path

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.task import Task
from qzhou_eval.encode.char_ngrams import variant, vectors
from qzhou_eval.results.baselines import Baseline, keep
from qzhou_eval.results.part_scores import scores_by_part
from qzhou_eval.results.variant import SHARED


def measure(task: Task, source: DataSource, output_dir: Path) -> None:
    """Score n-gram vectors with mteb 2.26.24's own evaluators, and write the result together with the score of chance.

    Nothing is written for a task in whose metric chance has no known score.

    Raises:
        BadInput: the data cannot be used.
    """
    from qzhou_eval.evaluate.mteb_adapter import v2 as mteb
    from qzhou_eval.evaluate.mteb_adapter.chance import chance, has_chance
    from qzhou_eval.evaluate.mteb_adapter.stored_vectors import TextVectors

    if not has_chance(task):
        return
    mteb_task = mteb.load(task, source)
    by_chance = chance(mteb_task, task)
    scored = mteb.score(mteb_task, task, source, TextVectors(vectors), [variant()], evaluators=SHARED)
    ((_, result, items),) = scored
    by_ngrams = scores_by_part(task, result.scores)
    assert result.mteb_version is not None  # a new result has the installed version
    found = Baseline(
        task=task.name,
        data=source.revision,
        metric=task.metric,
        mteb=result.mteb_version,
        chance=by_chance,
        char_ngrams=by_ngrams,
    )
    keep(output_dir, found, items)
