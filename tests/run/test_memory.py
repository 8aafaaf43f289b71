"""The memory estimates by which jobs are admitted, compared with what processes really use at their peak."""

import re
import resource
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import write_header, write_rows
from written import variant_by

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.results.variant import Variant
from qzhou_eval.run.memory_estimate import planning, scoring
from qzhou_eval.run.plan import Planner
from qzhou_eval.run.processes import SCORE, process_pool

PLAIN = load_profile("plain")
QUERIES, DOCUMENTS, CHARACTERS, WIDTH = 1_500, 15_000, 300, 1792
DIMS = (128, 512, 1792)


def peak() -> int:
    """Peak memory of the calling process in bytes, including what it shares with others.

    Linux passes ``ru_maxrss`` on to a child, so a large test process would be measured instead of its small worker.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def write_retrieval(root: Path) -> Path:
    """Write T2Retrieval's layout with texts of random characters, each query judged by two documents."""
    folder = root / packaged_tasks()["T2Retrieval"].path
    rng = np.random.default_rng(0)
    letters = rng.integers(0x4E00, 0x9FFF, (QUERIES + DOCUMENTS, CHARACTERS))
    texts = ["".join(map(chr, row)) for row in letters.tolist()]
    write_rows(folder / "corpus/dev.jsonl", [{"_id": f"d{n}", "text": texts[n]} for n in range(DOCUMENTS)])
    queries = [{"_id": f"q{n}", "text": texts[DOCUMENTS + n][:20]} for n in range(QUERIES)]
    write_rows(folder / "queries/dev.jsonl", queries)
    judged = [{"query-id": f"q{n}", "corpus-id": f"d{n + m}", "score": 1} for n in range(QUERIES) for m in (0, 7)]
    write_rows(folder / "data/dev.jsonl", judged)
    files = {"corpus": "corpus/dev.jsonl", "queries": "queries/dev.jsonl", "default": "data/dev.jsonl"}
    write_header(folder, {config: {"dev": file} for config, file in files.items()})
    return root


def variant(dim: int) -> Variant:
    same = {"revision": "1", "fingerprint": "e" * 64, "dtype": "bfloat16"}
    return variant_by(PLAIN, model="local/memory", dim=dim, width=WIDTH, experiment=(("dim", dim),), **same)


@pytest.mark.slow
def test_no_job_takes_more_than_its_estimate_nor_a_small_part_of_it(tmp_path):
    task = packaged_tasks()["T2Retrieval"]
    source = locate(task, write_retrieval(tmp_path / "data"))
    with process_pool(1) as pool, closing(Planner(pool, PLAIN, use_instruction=False)) as planner:
        plan = planner.submit(task, source).result()
        planned, prompts = pool.submit(peak).result(), plan.read()
    store = Store(tmp_path / "store", "e" * 64)
    store.create({})
    torch.manual_seed(0)
    for start in range(0, len(prompts), 4096):
        keys = [prompt_key(prompt) for prompt in prompts[start : start + 4096]]
        store.add(keys, torch.randn(len(keys), WIDTH).bfloat16())
    job = EvaluateJob(task, source, PLAIN, tmp_path / "store", tmp_path / "out", tuple(map(variant, DIMS)))
    with process_pool(1) as pool:
        pool.submit(evaluate, job, kind=SCORE).result()
        scored = pool.submit(peak).result()
    assert plan.distinct == len(prompts) == QUERIES + DOCUMENTS and plan.characters == sum(map(len, prompts))
    estimates = {
        "planning": (planned, planning(source.size)),
        "scoring": (scored, scoring(plan.distinct, plan.characters, WIDTH)),
    }
    for what, (taken, estimate) in estimates.items():
        assert estimate / 4 < taken < estimate, f"{what}: {taken / 2**20:.0f} MiB, estimated {estimate / 2**20:.0f}"
