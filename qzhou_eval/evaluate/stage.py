"""Scores one task from the store at all dimensions, and writes one mteb result file with its items per dimension.

Runs in a worker process; reads the store, writes results, and needs no model. mteb is imported
inside the functions: the main process only submits jobs and does not need it.
"""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import UnusableScore
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.results.entries import MadeWith
from qzhou_eval.results.manifest import Manifest, supersede
from qzhou_eval.results.part_scores import scores_by_part
from qzhou_eval.results.variant import SHARED, Variant
from qzhou_eval.statistics.item_scores import Items, write_items
from qzhou_eval.system.files import publish, temporary_in, write_text
from qzhou_eval.system.paths import items_path

log = logging.getLogger(__name__)

_ROUNDING = 1e-6
_SIGNED = ("STS", "Summarization", "Regression", "InstructionReranking")  # types with scores below 0


@dataclass(frozen=True)
class EvaluateJob:
    """One task to score at some dimensions, all from the same stored vectors.

    ``score_profile`` decides which splits count in the returned scores. ``baseline``: also score chance and character
    n-grams on the task's data.
    """

    task: Task
    source: DataSource
    profile: Profile
    store_dir: Path
    output_dir: Path
    variants: tuple[Variant, ...]
    evaluators: str = SHARED
    score_profile: str = "card"
    baseline: bool = False


@dataclass(frozen=True)
class Evaluated:
    """The outcome of a job.

    Attributes:
        scores: the main score, 0 to 1, by dimension: the mean over the splits and subsets that count.
        texts: how many texts mteb asked for at one dimension, counting repetitions.
        samples: the first rendered prompt of each side ("query", "document", or "text").
        encoded_with: what the vectors were made with, as recorded in the store.
        official: whether a local folder's data have the statistics of the official data; None if that is unknown.
    """

    scores: dict[int, float]
    texts: int
    samples: dict[str, str]
    encoded_with: list[MadeWith]
    official: bool | None


def evaluate(job: EvaluateJob) -> Evaluated:
    """Score the job's task at each of its variants and write mteb's TaskResult JSON for each.

    Raises:
        BadInput: the data cannot be used, or a prompt is not in the store.
        UnusableScore: a score is not a number or out of range; nothing is written then.
    """
    from qzhou_eval.encode.store import Store
    from qzhou_eval.evaluate.mteb_adapter.installed import installed_adapter
    from qzhou_eval.evaluate.mteb_adapter.stored_vectors import TaskVectors

    mteb = installed_adapter()
    store = Store(job.store_dir, job.variants[0].fingerprint)
    store.refresh(verify=False)
    vectors = TaskVectors(store, job.task, job.profile, use_instruction=job.variants[0].use_instruction)
    scored, texts, official = _score(mteb, job, vectors)
    by_dim = {variant.dim: scores_by_part(job.task, result.scores) for variant, result, _ in scored}
    _check(job.task, by_dim, [dim for dim in by_dim if vectors.collapsed(dim)], texts)
    if job.baseline:
        _keep_baseline(job)  # before the results: once they are recorded, the job is not repeated
    recorded = Manifest(job.output_dir)  # results that a stopped run left unrecorded are overwritten
    for variant, result, items in scored:
        probed = items and replace(items, probe=vectors.probe(variant.dim))
        if recorded.has(variant, job.task.name):
            supersede(job.output_dir, variant.folder, job.task.name)
        _write(job.output_dir / variant.folder, result, probed, mteb.meta(variant))
    scores = {dim: _main_score(job, by_part) for dim, by_part in by_dim.items()}
    return Evaluated(scores, texts, vectors.samples, vectors.made_with, official)


def _main_score(job: EvaluateJob, by_part: dict[str, float]) -> float:
    score = job.task.score(by_part, job.score_profile)
    assert score is not None  # all parts were scored
    return score


def _score(mteb, job: EvaluateJob, vectors) -> tuple[list, int, bool | None]:
    """The adapter's output for each variant, how many texts were asked for, and whether the data look official.

    The data are freed on return.
    """
    mteb_task = mteb.load(job.task, job.source)
    local = job.source.revision.startswith("local-")
    official = mteb.has_official_statistics(mteb_task) if local else None
    scored, texts = [], 0
    for one in mteb.score(mteb_task, job.task, job.source, vectors, job.variants, evaluators=job.evaluators):
        scored.append(one)
        texts = texts or vectors.texts  # counted at the first dimension; later ones may ask for them again
    return scored, texts, official


def _keep_baseline(job: EvaluateJob) -> None:
    """Score the baseline; a failure is only logged, since the task's results do not depend on it."""
    from qzhou_eval.evaluate.baseline import measure

    try:
        measure(job.task, job.source, job.output_dir)
    except Exception as error:
        log.warning("%s: chance and character n-grams are not scored on its data: %s", job.task.name, error)


def _check(task: Task, by_dim: dict[int, dict[str, float]], collapsed: list[int], texts: int) -> None:
    """Refuse scores that are not numbers or out of range; warn if all texts have the same vector and yet a score."""
    same = f"the model gives the same vector for all {texts:,} texts"
    lowest = -1 if task.type in _SIGNED else 0
    for dim, by_part in by_dim.items():
        for part, score in by_part.items():
            if not lowest - _ROUNDING <= score <= 1 + _ROUNDING:  # nan is refused too
                cause = f": {same}" if dim in collapsed else ""
                raise UnusableScore(f"its score at dimension {dim} on {part} is {score}{cause}")
    if collapsed:
        log.warning("%s: %s, at dimension %s", task.name, same, ", ".join(map(str, sorted(collapsed))))


def _write(folder: Path, result, items: Items | None, meta: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "model_meta.json", json.dumps(meta, default=str, indent=4))
    path = folder / f"{result.task_name}.json"
    if items is None:
        items_path(path).unlink(missing_ok=True)
    else:
        write_items(items_path(path), items)
    with temporary_in(folder) as temporary:
        result.to_disk(temporary)
        publish(temporary, path)
