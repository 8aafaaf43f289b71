"""Prompts that wait for their turn in a file: what was planned is read back, and no file is left behind."""

import shutil
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from layouts import read_rows, write_header, write_rows

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.run.plan import Planner, plan_task
from qzhou_eval.run.processes import process_pool

ODD = [
    "一行\n两行",
    "\r\n",
    "a\u2028b\u2029c\x85d\x0be\x1cf",
    "nul \x00 byte",
    '"quoted\\"',
    "😀 and 𠮷",
    "\ufeffmark",
    "",
    "￿",
]
PLAIN = load_profile("plain")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Each test's own cache, as other tests run in parallel."""
    monkeypatch.setenv("QZHOU_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/plans"


@pytest.fixture
def odd(tmp_path):
    """STSB with texts that contain every character that ends a line somewhere."""
    folder = tmp_path / "data" / packaged_tasks()["STSB"].path
    rows = [{"sentence1": one, "sentence2": f"{one} {n}", "score": n % 6} for n, one in enumerate(ODD)]
    write_rows(folder / "data/test.jsonl", rows)
    write_header(folder, {"default": {"test": "data/test.jsonl"}})
    return tmp_path / "data"


@pytest.mark.slow
def test_a_plan_comes_back_from_its_file_and_the_file_goes(odd, cache):
    task = packaged_tasks()["STSB"]
    source = locate(task, odd)
    expected = plan_task(task, source, PLAIN, use_instruction=False)
    with process_pool(1) as pool, closing(Planner(pool, PLAIN, use_instruction=False)) as planner:
        plan = planner.submit(task, source).result()
        assert plan.read() == expected.prompts and len(expected.prompts) == 2 * len(ODD)
        assert (plan.texts, plan.distinct) == (expected.texts, len(expected.prompts))
        assert plan.characters == sum(map(len, expected.prompts))
        assert list(cache.iterdir()) == [plan.path]
        (odd / task.path / "data/test.jsonl").write_text("{}\n")
        with pytest.raises(BadInput, match="STSB"):
            planner.submit(task, locate(task, odd)).result()
    assert list(cache.iterdir()) == []


KILLED = """import os, sys
from qzhou_eval.run.plan import Planner
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.run.processes import process_pool
task = packaged_tasks()["MiniSTS"]
with process_pool(1) as pool:
    planner = Planner(pool, load_profile("plain"), use_instruction=False)
    plan = planner.submit(task, locate(task, None)).result()
    print(plan.path, flush=True)
    {end}"""


@pytest.mark.slow
def test_what_a_killed_run_left_goes_with_the_next(cache):
    def ran(end: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", KILLED.format(end=end)], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout.strip()

    code, path = ran("os.kill(os.getpid(), 9)")
    assert code == -signal.SIGKILL and [str(one) for one in cache.iterdir()] == [path]
    assert ran("planner.close()")[0] == 0
    assert list(cache.iterdir()) == []


def test_a_document_s_own_title_goes_where_the_template_has_a_place_for_it(official, tmp_path):
    task, gemma = packaged_tasks()["EcomRetrieval"], load_profile("embeddinggemma")
    documents = plan_task(task, locate(task, official), gemma, use_instruction=True).prompts
    assert sum(prompt.startswith("title: none | text: ") for prompt in documents) > 100
    shutil.copytree(official / task.path, tmp_path / "data" / task.path)
    path = tmp_path / "data" / task.path / "corpus/dev.jsonl"
    rows = read_rows(path)
    odd = "标题 {text} {title}"
    write_rows(path, [rows[0] | {"title": odd}, rows[1] | {"title": "标", "text": "题 甲"}, *rows[2:]])
    here = locate(task, tmp_path / "data")
    titled = plan_task(task, here, gemma, use_instruction=True).prompts
    assert f"title: {odd} | text: {rows[0]['text']}" in titled and "title: 标 | text: 题 甲" in titled
    assert f"title: none | text: {rows[2]['text']}" in titled
    plain = plan_task(task, here, PLAIN, use_instruction=True).prompts
    assert f"{odd} {rows[0]['text']}" in plain and "标 题 甲" in plain
