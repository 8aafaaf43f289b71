"""Result files as an evaluation leaves them, for tests of what reads them."""

import json

from qzhou_eval.profile import Profile
from qzhou_eval.results import Record, Variant


def variant_by(profile: Profile, *, model: str, dim: int, width: int, **more) -> Variant:
    """A variant of a model by a profile, with whole prompts cut, vectors normalised and no token prepending."""
    about = {"profile": profile.name, "profile_digest": profile.digest, "max_length": profile.max_length}
    how = {"token_prepending": None, "normalize": True, "truncate": "whole", "use_instruction": False}
    return Variant(model=model, dim=dim, width=width, **about | how | more)


def result_json(task: str, record: Record, scores: dict[str, float]) -> str:
    """What mteb writes of a task's main scores by split, as far as it is read."""
    says = {"task_name": task, "mteb_version": record.mteb, "dataset_revision": record.data}
    return json.dumps(says | {"scores": {split: [{"main_score": score}] for split, score in scores.items()}})
