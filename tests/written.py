"""Result files as an evaluation leaves them, for tests of what reads them."""

import json

from qzhou_eval.results import Record


def result_json(task: str, record: Record, scores: dict[str, float]) -> str:
    """What mteb writes of a task's main scores by split, as far as it is read."""
    says = {"task_name": task, "mteb_version": record.mteb, "dataset_revision": record.data}
    return json.dumps(says | {"scores": {split: [{"main_score": score}] for split, score in scores.items()}})
