"""Store -> scores: one task at all dimensions through mteb's own evaluators, one JSON per dimension.

Runs in a worker process; reads the store, writes results, and knows no model. mteb is imported
inside the functions: the main process, which only submits jobs, does without it.
"""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from qzhou_eval.files import publish, temporary_in, write_text
from qzhou_eval.profile import Profile
from qzhou_eval.results import Variant
from qzhou_eval.tasks import DataSource, Task


@dataclass(frozen=True)
class EvaluateJob:
    """One task at some dimensions, all from the same stored vectors."""

    task: Task
    source: DataSource
    profile: Profile
    store_dir: Path
    output_dir: Path
    variants: tuple[Variant, ...]


def evaluate(job: EvaluateJob) -> dict[int, float]:
    """Score the job's task at each of its variants and write mteb's TaskResult JSON for each.

    Returns:
        The main score, 0 to 1, by dimension.

    Raises:
        BadInput: the data cannot be read, or a prompt is not in the store.
    """
    from qzhou_eval.mteb_adapter import StoreEncoder, TaskVectors
    from qzhou_eval.mteb_tasks import load_task, readable_errors
    from qzhou_eval.store import Store

    store = Store(job.store_dir, job.variants[0].fingerprint)
    store.refresh(verify=False)
    vectors = TaskVectors(store, job.task, job.profile, use_instruction=job.variants[0].use_instruction)
    mteb_task = load_task(job.task, job.source)
    scores = {}
    for variant in job.variants:
        encoder = StoreEncoder(vectors, model_meta(variant), dim=variant.dim, normalize=variant.normalize)
        with readable_errors(job.task, job.source):
            result = _score(mteb_task, encoder)
        _write(job.output_dir / variant.folder, result, encoder.mteb_model_meta)
        scores[variant.dim] = float(result.get_score())
    return scores


def _score(mteb_task, encoder):
    """What ``mteb.evaluate`` does for one task and encoder, without its import of sentence-transformers."""
    from mteb.results import TaskResult

    start = time.monotonic()
    by_split = {
        split: mteb_task.evaluate(encoder, split, encode_kwargs={"batch_size": 1024, "show_progress_bar": False})
        for split in mteb_task.eval_splits
    }
    return TaskResult.from_task_results(
        mteb_task, by_split, evaluation_time=time.monotonic() - start, date=datetime.now(UTC)
    )


def model_meta(variant: Variant):
    """mteb's ``ModelMeta`` of the model at one variant."""
    from mteb.models import ModelMeta
    from mteb.models.model_meta import ScoringFunction

    return ModelMeta.create_empty(
        overwrites=dict(
            name=variant.model,
            revision=variant.revision,
            languages=["zho-Hans"],
            max_tokens=variant.max_length,
            embed_dim=variant.dim,
            framework=["PyTorch", "Transformers"],
            similarity_fn_name=ScoringFunction.COSINE,
            use_instructions=variant.use_instruction,
            experiment_kwargs=dict(variant.experiment) or None,
        )
    )


def _write(folder: Path, result, meta) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "model_meta.json", json.dumps(meta.to_dict(), default=str, indent=4))
    with temporary_in(folder) as temporary:
        result.to_disk(temporary)
        publish(temporary, folder / f"{result.task_name}.json")
