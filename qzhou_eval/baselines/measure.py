"""One task's data -> the scores of chance and of character n-grams. Runs in a worker process; knows no model."""

from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.baselines.kept import Baseline, keep
from qzhou_eval.baselines.ngram import variant, vectors
from qzhou_eval.results import SHARED
from qzhou_eval.tasks import DataSource, Task


@dataclass(frozen=True)
class BaselineJob:
    """A task on its data, under mteb 2.26.24."""

    task: Task
    source: DataSource
    output_dir: Path


def measure(job: BaselineJob) -> None:
    """Score the task by mteb's own evaluators from n-gram vectors, and keep that beside the score of chance.

    Raises:
        BadInput: the data cannot be used.
    """
    from qzhou_eval.adapter import current as mteb
    from qzhou_eval.adapter.chance import chance
    from qzhou_eval.adapter.vectors import TextVectors

    mteb_task = mteb.load(job.task, job.source)
    by_chance = {split: chance(mteb_task, job.task, split) for split in job.task.splits}
    of_texts = TextVectors(vectors)
    ((_, result, items),) = mteb.score(mteb_task, job.task, job.source, of_texts, [variant()], evaluators=SHARED)
    by_ngrams = {split: float(rows[0]["main_score"]) for split, rows in result.scores.items()}
    about = {"task": job.task.name, "data": job.source.revision, "metric": job.task.metric, "mteb": result.mteb_version}
    keep(job.output_dir, Baseline(**about, chance=by_chance, char_ngrams=by_ngrams), items)
