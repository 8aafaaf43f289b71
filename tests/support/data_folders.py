"""A task's data folder, copied for a test to spoil, and what planning says about it."""

import shutil
from pathlib import Path

import pytest
from stored import PROFILE

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.run.plan import plan_task

FILES = {
    "STSB": "data/test.jsonl",
    "Waimai": "data/train.jsonl",
    "CLSClusteringS2S": "data/test.jsonl",
    "Ocnli": "data/validation.jsonl",
    "EcomRetrieval": "corpus/dev.jsonl",
    "T2Reranking": "top_ranked/dev.jsonl",
}


def copied(official: Path, root: Path, name: str) -> Path:
    """Copy one task's folder into a data folder of its own."""
    return shutil.copytree(official / packaged_tasks()[name].path, root / packaged_tasks()[name].path)


def plan(root: Path, name: str):
    task = packaged_tasks()[name]
    return plan_task(task, locate(task, root), PROFILE, use_instruction=False)


def refusal(root: Path, name: str) -> str:
    with pytest.raises(BadInput) as raised:
        plan(root, name)
    said = str(raised.value)
    assert said.startswith(f"{name}: {root}") and len(said.splitlines()) == 1
    return said.removeprefix(f"{name}: {root}/{packaged_tasks()[name].path}")
