"""Result files as an evaluation writes them, for tests of the code that reads them."""

import json

from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.results.variant import Record, Variant, record_for

STS, RERANKING = packaged_tasks()["MiniSTS"], packaged_tasks()["MiniReranking"]


def variant_by(profile: Profile, *, model: str, dim: int, width: int, **more) -> Variant:
    """A variant for a model and a profile: whole prompts cut, vectors normalised, no token prepending."""
    about = {"profile": profile.name, "profile_digest": profile.digest, "max_length": profile.max_length}
    how = {"token_prepending": None, "normalize": True, "truncate": "whole", "use_instruction": False}
    return Variant(model=model, dim=dim, width=width, **about | how | more)


def result_json(task: str, record: Record, scores: dict[str, float]) -> str:
    """The fields that are read from a result file of mteb: a task's main scores by split."""
    says = {"task_name": task, "mteb_version": record.mteb, "dataset_revision": record.data}
    return json.dumps(says | {"scores": {split: [{"main_score": score}] for split, score in scores.items()}})


def put(output, one, task, score):
    """Write a result file and record it, as a finished evaluation does."""
    path = output / one.folder / f"{task.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = record_for(task, "local-1")
    path.write_text(result_json(task.name, record, {task.splits[0]: score}))
    Manifest(output).add([one], task.name, record, {}, {})
    return path
