"""A run through the command line: one pass for every dimension, nothing done twice, nothing mixed up."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import mteb
import pytest
import sklearn
import tabulate
import torch
from faults import scores
from layouts import MINI

import qzhou_eval
from qzhou_eval import cli
from qzhou_eval.model.settings import resolve_device
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.statistics.item_scores import read_items
from qzhou_eval.system.paths import items_path

TASKS = ["MiniSTS", "MiniRetrieval"]
RESULTS = "results/**/Mini*.json"


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "out"


def command(tiny, output, *more, tasks=TASKS, verb="run"):
    base = [verb, "--model_name_or_path", str(tiny), "--profile", "qzhou-zh-mini", "--device", "cpu"]
    return [*base, "--tasks", *tasks, "--output_dir", str(output), "--eval_workers", "1", *more]


@pytest.fixture(scope="module")
def first(tiny, output):
    """One run at three dimensions."""
    assert cli.main(command(tiny, output, "--dim", "16", "64", "all")) == 0
    return output


def manifest(output):
    return json.loads((output / "manifest.json").read_text("utf-8"))


def shards(output):
    return sorted(output.glob("store/*/*.safetensors"))


def results(output):
    return {p.relative_to(output): p.read_bytes() for p in output.glob("results/**/*.json")}


def test_every_dimension_comes_from_one_pass_over_distinct_prompts(first):
    variants = manifest(first)["variants"]
    assert sorted(v["variant"]["dim"] for v in variants.values()) == [16, 64, 96]
    for task, texts in {"MiniSTS": 1280, "MiniRetrieval": 540}.items():
        counts = [v["tasks"][task] for v in variants.values()]
        assert {c["texts"] for c in counts} == {texts}
        assert {c["encoded"] for c in counts} == {c["prompts"] for c in counts}
    assert sum(1 for _ in first.glob("results/**/MiniSTS.json")) == 3


def test_results_carry_their_own_data_revision_and_both_sides_prompts(first):
    for path in first.glob("results/**/MiniRetrieval.json"):
        assert json.loads(path.read_text())["dataset_revision"].startswith("local-")
    samples = next(iter(manifest(first)["variants"].values()))["tasks"]["MiniRetrieval"]["samples"]
    assert samples["query"].startswith("This sentence: <|im_start|>“Instruct: Given a Chinese question")
    assert "Instruct" not in samples["document"]


def test_the_manifest_says_what_every_result_was_made_with(first, tiny):
    for entry in manifest(first)["variants"].values():
        model = entry["provenance"]["model"]
        assert model["name"] == "local/tiny"
        assert model["weights_sha256"] != model["tokenizer_sha256"]
        assert len(model["weights_sha256"]) == len(model["tokenizer_sha256"]) == 64
        assert model["remote_code"] is False
        assert entry["provenance"]["profile"]["digest"] == load_profile("qzhou-zh-mini").digest
        assert entry["provenance"]["token_prepending"].startswith("inputs of layers[1] to layers[7]")
        for task in entry["tasks"].values():
            (encoded,) = task["encoded_with"]
            assert encoded["attention"] == "packed, runs"
            assert encoded["device"] == "cpu"
            assert encoded["versions"]["torch"] == torch.__version__
            assert encoded["hardware"]["cores"] >= 1
            assert task["scored_with"]["scikit-learn"] == sklearn.__version__
            assert task["code"].keys() == {"version", "commit", "changed"}
            assert task["seed"] == mteb.get_task("STSB").seed
            assert task["cut"] == task["padding_tokens"] == 0 and task["tokens"] > 0
            assert task["seconds"] > 0 and task["share_of_ceiling"] > 0
            assert task["record"]["data"].startswith("local-")


@pytest.mark.slow
def test_the_same_inputs_give_bitwise_the_same_vectors_and_scores(tiny, first, tmp_path):
    assert cli.main(command(tiny, tmp_path, "--dim", "16", "64", "all")) == 0
    names = {path.name for path in first.glob("store/*/*.safetensors")}  # a shard's name is its content's digest
    assert {path.name for path in tmp_path.glob("store/*/*.safetensors")} == names
    scores = {path.relative_to(first): json.loads(path.read_text())["scores"] for path in first.glob(RESULTS)}
    assert len(scores) == 6
    for path, expected in scores.items():
        assert json.loads((tmp_path / path).read_text())["scores"] == expected


def test_a_second_run_computes_nothing(tiny, first, caplog):
    before, stored = results(first), shards(first)
    with caplog.at_level(logging.INFO):
        assert cli.main(command(tiny, first, "--dim", "16", "64", "all")) == 0
    assert "all 6 results are reused" in caplog.text
    assert results(first) == before
    assert shards(first) == stored


def test_a_run_that_keeps_everything_imports_neither_torch_nor_mteb(tiny, first):
    argv = command(tiny, first, "--dim", "16", "64", "all")
    code = f"import sys\nfrom qzhou_eval import cli\nassert cli.main({argv!r}) == 0\n"
    code += "print([name for name in ('torch', 'mteb', 'datasets', 'sklearn') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "all 6 results are reused" in done.stderr
    assert "Leaderboard" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_new_dimension_encodes_nothing(tiny, first, caplog):
    stored = shards(first)
    with caplog.at_level(logging.INFO):
        assert cli.main(command(tiny, first, "--dim", "24")) == 0
    assert shards(first) == stored
    assert caplog.text.count("all in the store") == len(TASKS)


def test_evaluate_alone_reads_the_store_loads_no_model_and_counts_the_same(tiny, first, monkeypatch):
    monkeypatch.setattr("qzhou_eval.run.subjects.openers.open_encoder", lambda *_: pytest.fail("the model was loaded"))
    assert cli.main(command(tiny, first, "--dim", "8", verb="evaluate")) == 0
    new, old = ([v for v in manifest(first)["variants"].values() if v["variant"]["dim"] == dim] for dim in (8, 16))
    for task in TASKS:
        assert len([p for p in first.glob(f"results/**/{task}.json") if "dim_8__" in p.parent.name]) == 1
        for what in ("texts", "samples", "instruction", "encoded_with"):
            assert new[0]["tasks"][task][what] == old[0]["tasks"][task][what]


@pytest.mark.slow
def test_several_workers_share_a_tasks_dimensions_and_it_has_one_line(tiny, first, tmp_path, caplog):
    both = ["MiniClassification", "MiniSTS"]
    with caplog.at_level(logging.INFO):
        assert cli.main(command(tiny, tmp_path, "--dim", "16", "64", "all", "--eval_workers", "2", tasks=both)) == 0
    lines = [line for line in caplog.messages if "by dimension" in line]
    assert sorted(line.split(",")[0] for line in lines) == both
    for line in lines:
        assert [word for word in line.split() if word.endswith(":")] == ["16:", "64:", "96:"]
    assert [sorted(v["tasks"]) for v in manifest(tmp_path)["variants"].values()] == [both] * 3
    for path in tmp_path.glob("results/**/MiniSTS.json"):  # made by another number of workers
        assert json.loads(path.read_text())["scores"] == scores(first)[str(path.relative_to(tmp_path))]


@pytest.mark.slow
def test_a_worker_has_one_thread_whatever_the_main_module_imports(tmp_path):
    script = tmp_path / "main.py"  # worker processes import it before they start
    script.write_text("""
import sklearn.cluster, torch
from threadpoolctl import threadpool_info
from qzhou_eval.run.processes import process_pool
if __name__ == "__main__":
    with process_pool(1) as pool:
        print({library["num_threads"] for library in pool.submit(threadpool_info).result()})
        print(pool.submit(torch.get_num_threads).result())
""")
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    env = free | {"PYTHONPATH": str(Path(qzhou_eval.__file__).parents[1])}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == ["{1}", "1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "part"),
    [
        (["--token_prepending", "off"], "token_prepending_off"),
        (["--tp_layers", "1-6"], "token_prepending_1-6"),
        (["--normalize", "false"], "normalize_off"),
        (["--use_instruction", "false"], "instruction_off"),
        (["--max_length", "20"], "max_length_20"),
        (["--truncate", "text"], "truncate_text"),
        (["--dtype", "bfloat16"], "dtype_bfloat16"),
        (["--profile", "plain", "--use_instruction", "false"], "profile_plain"),
    ],
)
def test_whatever_changes_a_score_is_filed_apart(tiny, first, setting, part):
    before = results(first)
    assert cli.main(command(tiny, first, *setting, tasks=["MiniSTS"])) == 0
    after = results(first)
    new = after.keys() - before.keys()
    assert len([path for path in new if path.name == "MiniSTS.json"]) == 1
    assert all(part in path.parent.name for path in new)
    assert {path: after[path] for path in before} == before


@pytest.mark.slow
def test_a_changed_profile_of_the_same_name_is_filed_apart(tiny, first, tmp_path):
    before = results(first)
    path = tmp_path / "mine.yaml"
    path.write_text("name: qzhou-zh-mini\nextends: qzhou-zh-mini\nsource: test\nmax_length: 30\n")
    assert cli.main(command(tiny, first, "--profile", str(path), tasks=["MiniSTS"])) == 0
    after = results(first)
    assert {p: after[p] for p in before} == before
    assert any("profile_qzhou-zh-mini-" in p.parent.name for p in after.keys() - before.keys())


@pytest.mark.parametrize(
    "what",
    ["result", "items", *(pytest.param(x, marks=pytest.mark.slow) for x in ("swapped", "record", "without items"))],
)
def test_a_result_made_from_something_else_is_evaluated_again(tiny, first, tmp_path, what, caplog):
    output = shutil.copytree(first, tmp_path / "copy")
    path = next(output.glob("results/**/experiments/dim_16__profile*/MiniSTS.json"))
    good = json.loads(path.read_text())["scores"]
    if what == "result":
        path.write_text(path.read_text()[:100])
    elif what == "items":
        items_path(path).write_bytes(items_path(path).read_bytes()[:-1])
    elif what == "without items":  # as left by a version that wrote no items
        items_path(path).unlink()
        content = manifest(output)
        for entry in content["variants"].values():
            entry["tasks"]["MiniSTS"].pop("items")
        (output / "manifest.json").write_text(json.dumps(content))
    elif what == "swapped":  # complete JSON of another setting, as a kill between result and manifest can leave it
        path.write_text(path.read_text().replace('"main_score": ', '"main_score": 0.9, "old": '))
    else:
        content = manifest(output)
        for entry in content["variants"].values():
            entry["tasks"]["MiniSTS"]["record"]["scikit_learn"] = "1.9.1"
        (output / "manifest.json").write_text(json.dumps(content))
        path.write_text(json.dumps({"scores": {"test": [{"main_score": 0.123}]}}))
    with caplog.at_level(logging.INFO):
        assert cli.main(command(tiny, output, "--dim", "16", tasks=["MiniSTS"])) == 0
    assert json.loads(path.read_text())["scores"] == good
    assert read_items(items_path(path)).unit == "pairs"
    assert caplog.text.count("earlier results were made from other data") == 1
    assert ("the results are written, but no report: " in caplog.text) == (
        what == "record"
    )  # the other dimensions still have the other version


def test_a_quiet_run_prints_the_table_of_scores_alone(tiny, first, capsys):
    """The finished run again: no line on stderr, and only the first part of the report."""
    argv = command(tiny, first, "--dim", "16", "64", "all")
    assert cli.main(argv) == 0
    whole = capsys.readouterr().out
    assert cli.main([*argv, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.splitlines()[0].split()[0] == "model"
    assert out in whole and out.count("---  ") and "tiny" in out
    assert not re.search(r"Leaderboard|In short|written", out)


@pytest.mark.slow
def test_dry_run_prints_the_plan_and_writes_nothing(tiny, tmp_path, capsys):
    assert cli.main(command(tiny, tmp_path / "new", "--dry_run", "--dim", "16", "96")) == 0
    assert "MiniSTS" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


def test_one_bad_task_does_not_stop_the_others(tiny, tmp_path, capsys):
    root = tmp_path / "data"
    for task in ("STSB", "QBQTC"):
        path = root / {"STSB": "mteb/STSB", "QBQTC": "C-MTEB/QBQTC"}[task] / "data"
        shutil.copytree(MINI / "MiniSTS" / "data", path)
    bad = root / "C-MTEB/QBQTC/data/test.jsonl"
    bad.write_text(bad.read_text("utf-8").replace('"score"', '"rating"'), "utf-8")
    code = cli.main(
        command(tiny, tmp_path / "out", "--data_dir", str(root), "--profile", "qzhou-zh", tasks=["STSB", "QBQTC"])
    )
    assert code == cli.EXIT_FAILED_TASKS
    assert [p.name for p in (tmp_path / "out").glob("results/**/*.json") if p.stem.isupper()] == ["STSB.json"]
    out = capsys.readouterr().out
    assert "1 of 31 tasks run." in out


def test_the_device_is_what_torch_finds():
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == "cpu"


def test_report_reads_alone_and_fast(first, capsys):
    start = time.monotonic()
    assert cli.main(["report", str(first)]) == 0
    assert time.monotonic() - start < 5
    out = capsys.readouterr().out
    assert "Leaderboard on the miniature" in out
    assert (first / "report" / "report.md").is_file()
    assert tabulate.tabulate([["x"]], ["head"]).splitlines()[1] == "------"  # tables of other code keep their padding
