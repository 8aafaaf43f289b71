"""What goes wrong silently between mteb, datasets and their user; each test shows that it does not go wrong here.

Tested elsewhere: two data roots with the same names and headers (test_mteb), texts and sides of every encode call
(test_mteb), main scores and data set paths of both generations (test_mteb, test_generations), an unreachable hub and
data without a required split (test_bad_input), the memory of digests (test_digests).
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mteb
import pandas as pd
import pytest
from commands import run_command
from layouts import MINI, read_rows, write_header, write_rows
from mteb.models import EncoderProtocol, ModelMeta
from stored import PROFILE, WIDTH, fill_store, variant

from qzhou_eval import cli
from qzhou_eval.benchmark.data_sources import DataSource, locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter import v2
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.run.plan import plan_task

ROOT = Path(cli.__file__).parents[2]
STSB = packaged_tasks()["STSB"]
PAIRS = read_rows(MINI / "MiniSTS/data/test.jsonl")[:60]


def write_pairs(path: Path, pairs: list[dict]) -> None:
    """Write rows as JSON lines, or as parquet that is as long as its texts: no compression, no dictionary."""
    if path.suffix == ".jsonl":
        write_rows(path, pairs)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pd.DataFrame(pairs).to_parquet(path, index=False, **options)


def reversed_texts(pairs: list[dict]) -> list[dict]:
    return [row | {"sentence1": row["sentence1"][::-1]} for row in pairs]


def asked_for(root: Path) -> set[str]:
    task = v2.load(STSB, locate(STSB, root))
    return {text for call in v2.calls(task, STSB, locate(STSB, root)) for text in call.texts}


def overwritten(path: Path, pairs: list[dict]) -> None:
    write_pairs(path, pairs)


def swapped(path: Path, pairs: list[dict]) -> None:
    other = path.with_name(f"other{path.suffix}")
    write_pairs(other, pairs)
    other.replace(path)


@pytest.mark.parametrize("edit", [overwritten, swapped])
@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
@pytest.mark.parametrize("file", ["data/test.jsonl", "data/test.parquet"])
def test_an_edit_is_seen_that_leaves_size_and_times(tmp_path, file, header, edit):
    """datasets keys its cache by the header alone if there is one, else by path and times."""
    folder = tmp_path / STSB.path
    write_pairs(folder / file, PAIRS)
    if header:
        write_header(folder, {"default": {"test": file}})
    before, stat = asked_for(tmp_path), (folder / file).stat()
    revision = locate(STSB, tmp_path).revision
    edit(folder / file, reversed_texts(PAIRS))
    os.utime(folder / file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert ((folder / file).stat().st_size, (folder / file).stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert asked_for(tmp_path) == {row[side] for row in reversed_texts(PAIRS) for side in ("sentence1", "sentence2")}
    assert asked_for(tmp_path) != before
    assert locate(STSB, tmp_path).revision != revision


@pytest.fixture
def pointed(tmp_path) -> DataSource:
    write_pairs(tmp_path / "data" / STSB.path / "data/test.jsonl", PAIRS)
    return locate(STSB, tmp_path / "data")


PUBLISHED = load_profile("qzhou-zh")


def job(tmp_path: Path, source: DataSource, output: str) -> EvaluateJob:
    return EvaluateJob(STSB, source, PUBLISHED, tmp_path / "store", tmp_path / output, (variant(8), variant(WIDTH)))


def test_one_task_is_evaluated_twice_in_one_process(tmp_path, pointed):
    """mteb forgets a local path when it unloads a task and uses the hub the next time."""
    fill_store(tmp_path, STSB, pointed, PUBLISHED)
    scores = [evaluate(job(tmp_path, pointed, output)).scores for output in ("one", "two")]
    assert scores[0] == scores[1] and scores[0].keys() == {8, WIDTH}
    loaded = v2.load(STSB, pointed)
    for _ in range(2):
        assert len(v2.calls(loaded, STSB, pointed)) == 2
        assert loaded.data_loaded and loaded.metadata.dataset["path"] == str(pointed.folder)


def test_the_result_names_the_digest_of_local_data_and_never_the_hubs_revision(tmp_path, pointed):
    fill_store(tmp_path, STSB, pointed, PUBLISHED)
    evaluate(job(tmp_path, pointed, "out"))
    for path in tmp_path.glob("out/results/**/STSB.json"):
        assert json.loads(path.read_text())["dataset_revision"] == pointed.revision
    assert pointed.revision.startswith("local-") and STSB.revision not in pointed.revision
    assert locate(STSB, None) == DataSource(None, STSB.revision, size=3 * STSB.characters)


@pytest.mark.slow
def test_the_benchmarks_shared_task_objects_are_left_alone(pointed):
    """mteb returns the same objects at every call: a changed one would stay changed as long as the process lives."""

    def seen():
        tasks = mteb.get_benchmark("MTEB(cmn, v1)").tasks
        return {t.metadata.name: (dict(t.metadata.dataset), list(t.eval_splits), t.data_loaded) for t in tasks}

    before = seen()
    v2.calls(v2.load(STSB, pointed), STSB, pointed)
    assert seen() == before
    assert mteb.get_task("STSB").metadata.dataset == {"path": STSB.path, "revision": STSB.revision}


def test_our_encoder_is_one_for_mteb():
    """Without its meta mteb replaces a model with an empty one; without the similarities it refuses the model."""
    encoder = v2._Encoder(None, v2.model_meta(variant(8)), dim=8, normalize=True)
    assert isinstance(encoder, EncoderProtocol)
    assert isinstance(encoder.mteb_model_meta, ModelMeta)
    assert encoder.mteb_model_meta.name == variant(8).model


@pytest.mark.parametrize(
    ("name", "shape"), [("STSB", type(None)), ("EcomRetrieval", dict), ("Waimai", str), ("T2Reranking", str)]
)
def test_instructions_are_the_profiles_whatever_shape_mtebs_own_prompt_has(official, name, shape):
    task = packaged_tasks()[name]
    theirs = mteb.get_task(name).metadata.prompt
    assert type(theirs) is shape
    words = list(theirs.values()) if isinstance(theirs, dict) else [theirs] if theirs else []
    ours = f"Instruct: {PUBLISHED.tasks[name].instruction}\nQuery: "
    source = locate(task, official)
    for use_instruction in (True, False):
        plan = plan_task(task, source, PUBLISHED, use_instruction=use_instruction)
        instructed = [prompt for prompt in plan.prompts if ours in prompt]
        bare = [prompt for prompt in plan.prompts if "Instruct: " not in prompt]
        assert len(instructed) + len(bare) == len(plan.prompts)
        assert bool(instructed) == use_instruction
        assert bool(bare) == (not use_instruction or PUBLISHED.tasks[name].instruct == "queries")
        if not use_instruction:
            assert not any(word in prompt for word in words for prompt in plan.prompts)


def test_both_splits_of_multilingual_sentiment_are_asked_for(tmp_path):
    """One split alone would pass for the whole task."""
    task = packaged_tasks()["MultilingualSentiment"]
    assert task.splits == ("validation", "test")
    rows = read_rows(MINI / "MiniClassification/data/test.jsonl")
    for split, part in {"train": rows, "validation": rows[:90]}.items():
        write_rows(tmp_path / task.path / f"data/{split}.jsonl", part)
    source = locate(task, tmp_path)
    with pytest.raises(BadInput, match=r"MultilingualSentiment: .* there is no split test"):
        plan_task(task, source, PROFILE, use_instruction=False)
    write_rows(tmp_path / task.path / "data/test.jsonl", rows[90:])
    plan = plan_task(task, locate(task, tmp_path), PROFILE, use_instruction=False)
    assert all(any(row["text"] in prompt for prompt in plan.prompts) for row in rows)


@pytest.mark.parametrize("name", ["STSB", "QBQTC"])
def test_a_folder_in_the_current_one_does_not_pass_for_the_hub(tmp_path, monkeypatch, name):
    """datasets prefers ./mteb/STSB to the hub's mteb/STSB, and mteb would record the hub's revision."""
    task = packaged_tasks()[name]
    write_pairs(tmp_path / task.path / "data/test.jsonl", PAIRS)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=f"{task.path}: is read instead of the hub's data set.*--data_dir ."):
        v2.load(task, locate(task, None))
    assert v2.load(task, locate(task, Path())).data_loaded


def test_a_folder_in_the_current_one_does_not_shadow_the_data_folder(tmp_path, monkeypatch):
    write_pairs(tmp_path / "here" / STSB.path / "data/test.jsonl", reversed_texts(PAIRS))
    write_pairs(tmp_path / "data" / STSB.path / "data/test.jsonl", PAIRS)
    monkeypatch.chdir(tmp_path / "here")
    for root in (tmp_path / "data", Path("../data")):
        assert asked_for(root) == {row[side] for row in PAIRS for side in ("sentence1", "sentence2")}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file except the interpreter's own."""
    files = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}


@pytest.mark.slow
def test_a_real_run_neither_asks_mtebs_results_nor_writes_there_nor_into_the_package(tiny, finished, tmp_path):
    """In a current folder named like the data sets' owners, with a result of the same model in mteb's own cache."""
    data, here, theirs = tmp_path / "data", tmp_path / "here", tmp_path / "mteb-cache"
    write_pairs(data / STSB.path / "data/test.jsonl", PAIRS)
    for owner in ("mteb", "C-MTEB"):
        write_pairs(here / owner / "STSB/data/test.jsonl", reversed_texts(PAIRS))
    for result in finished.glob("results/**/*.json"):  # of the same model, with the same settings, on other data
        planted = theirs / result.relative_to(finished)
        planted.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(result, planted)
    package = Path(importlib.util.find_spec("mteb").origin).parent
    before = [stamps(folder) for folder in (theirs, here, data, package)]
    argv = run_command(tiny, data, tmp_path / "out", "--tasks", "STSB")
    homes = {"MTEB_CACHE": str(theirs), "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "qzhou_eval.cli", *argv]
    done = subprocess.run(command, cwd=here, env=os.environ | homes, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [stamps(folder) for folder in (theirs, here, data, package)] == before
    assert not list((tmp_path / "home").rglob("*mteb*"))
    revision = locate(STSB, data).revision
    found = [json.loads(path.read_text()) for path in tmp_path.glob("out/results/**/STSB.json")]
    assert len(found) == 3 and {result["dataset_revision"] for result in found} == {revision}
    planted = {json.loads(path.read_text())["scores"]["test"][0]["main_score"] for path in theirs.rglob("STSB.json")}
    assert planted.isdisjoint({result["scores"]["test"][0]["main_score"] for result in found})


@pytest.mark.slow
def test_a_rerun_after_an_edit_that_leaves_size_and_times_evaluates_again(tiny, tmp_path, caplog):
    data, output = tmp_path / "data", tmp_path / "out"
    file = data / STSB.path / "data/test.jsonl"
    write_pairs(file, PAIRS)
    argv = run_command(tiny, data, output, "--tasks", "STSB", "--dim", "96")
    results, stat = [], file.stat()
    for pairs in (PAIRS, reversed_texts(PAIRS)):
        write_pairs(file, pairs)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert cli.main(argv) == 0
        (result,) = output.glob("results/**/STSB.json")
        results.append(json.loads(result.read_text()))
    assert results[0]["scores"] != results[1]["scores"]
    assert results[0]["dataset_revision"] != results[1]["dataset_revision"]
    assert "1 earlier results were made from other data" in caplog.text


@pytest.mark.real
def test_mtebs_random_baseline_has_its_published_scores_on_the_official_stsb(data_root):
    """A task pointed at a folder as we do, with mteb's model and evaluators: the results repository's own numbers."""
    task = replace(STSB, splits=("validation", "test"))  # the benchmark counts only the test split
    source = locate(task, data_root / "cmteb")
    model = mteb.get_model("mteb/baseline-random-encoder")
    (result,) = mteb.evaluate(model, v2.load(task, source), cache=None, co2_tracker=False).task_results
    assert result.dataset_revision == source.revision
    scores = {split: rows[0]["main_score"] for split, rows in result.scores.items()}
    assert scores == {"validation": pytest.approx(0.058537, abs=5e-7), "test": pytest.approx(0.025209, abs=5e-7)}
