"""Doubtful results are made again beside the old ones and compared; a flag that changes nothing says so."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from qzhou_eval import Embedder, cli
from qzhou_eval.model import settings
from qzhou_eval.model.made_with import flags_that_differ
from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.results import variant
from qzhou_eval.run.rerun_comparison import scores_line

TASKS = ["MiniSTS", "MiniReranking"]


def command(tiny, output, *more, verb="run"):
    base = [verb, "--model_name_or_path", str(tiny), "--profile", "qzhou-zh-mini", "--device", "cpu", "--dim", "16"]
    return [*base, "--tasks", *TASKS, "--output_dir", str(output), "--eval_workers", "1", *more]


@pytest.fixture(scope="module")
def first(tiny, tmp_path_factory):
    output = tmp_path_factory.mktemp("again") / "out"
    assert cli.main(command(tiny, output, "--attention", "packed")) == 0
    return output


@pytest.fixture
def output(first, tmp_path):
    return shutil.copytree(first, tmp_path / "out")


def said(caplog, pattern: str) -> list[str]:
    return [line for line in caplog.messages if re.search(pattern, line)]


def by_key(output: Path, pattern: str) -> dict[bytes, np.ndarray]:
    shards = [load_file(path) for path in output.glob(f"store/*/{pattern}")]
    return {bytes(key): row for shard in shards for key, row in zip(shard["keys"], shard["vectors"], strict=True)}


def test_flags_that_ask_for_another_way_than_what_is_kept_are_named_in_one_line(tiny, output, caplog):
    assert cli.main(command(tiny, output, "--attention", "packed")) == 0
    assert not said(caplog, "reused despite ")
    more = ["--attention", "padded", "--evaluators", "mteb", "--batch_tokens", "64"]
    assert cli.main(command(tiny, output, *more)) == 0
    assert said(caplog, "are reused despite ") == [
        "vectors of MiniReranking, MiniSTS are reused despite --attention padded (made with packed, runs); "
        "--batch_tokens 64 (made with longest first, up to 1024 tokens); --reencode encodes them again",
        "scores of MiniReranking, MiniSTS are reused despite other --evaluators; --reevaluate evaluates them again",
    ]
    caplog.clear()
    shutil.rmtree(output / "results")  # only the store is left
    (output / "manifest.json").unlink()
    assert cli.main(command(tiny, output, "--attention", "padded")) == 0
    (line,) = said(caplog, "are reused despite ")
    assert "--attention padded (made with packed, runs)" in line


@pytest.mark.slow
def test_vectors_made_again_are_compared_and_used(tiny, output, caplog):
    old = by_key(output, "[0-9a-f]*.safetensors")
    more = ["--attention", "padded", "--reencode", "MiniSTS"]
    assert cli.main(command(tiny, output, *more)) == 0
    new = by_key(output, "r1-*.safetensors")
    assert new and new.keys() < old.keys()
    assert not list(output.glob("store/*/*.open"))
    pairs = [(row / np.linalg.norm(row), old[key] / np.linalg.norm(old[key])) for key, row in new.items()]
    (line,) = said(caplog, "made again: ")
    found = re.fullmatch(r"MiniSTS: ([\d,]+) vectors made again: largest difference (\S+), lowest cosine (\S+)", line)
    assert int(found[1].replace(",", "")) == len(new)
    assert float(found[2]) == pytest.approx(max(np.abs(a - b).max() for a, b in pairs), rel=0.06, abs=1e-9)
    assert float(found[3]) == pytest.approx(min(a @ b for a, b in pairs), abs=1e-6)
    (scores,) = said(caplog, "scored again")
    assert scores.startswith("MiniSTS: scored again at 16: the score differs by at most 0.0")
    manifest = json.loads((output / "manifest.json").read_text("utf-8"))
    (entry,) = manifest["variants"].values()
    made = {task: [one["attention"] for one in entry["tasks"][task]["encoded_with"]] for task in TASKS}
    assert made["MiniSTS"] == ["padded, sdpa"]
    assert "packed, runs" in made["MiniReranking"]


@pytest.mark.slow
def test_a_second_encoding_that_is_stopped_goes_on_where_it_stopped(tiny, output, monkeypatch, caplog):
    def stop(self, *_):
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr("qzhou_eval.encode.shard_writer._check", stop)
        assert cli.main(command(tiny, output, "--reencode", verb="encode")) == cli.EXIT_INTERRUPTED
    assert len(list(output.glob("store/*/r1.open"))) == 1
    assert cli.main(command(tiny, output, "--reencode", "MiniSTS", verb="encode")) == 0
    assert not list(output.glob("store/*/*.open"))
    assert cli.main(command(tiny, output, "--reencode", "MiniSTS", verb="encode")) == 0
    rounds = {path.name.split("-")[0] for path in output.glob("store/*/r*.safetensors")}
    assert rounds == {"r1", "r2"}


@pytest.mark.slow
def test_scores_are_evaluated_again_and_compared(tiny, output, caplog):
    path = next(output.glob("results/**/MiniSTS.json"))
    before = path.read_bytes()
    assert cli.main(command(tiny, output, "--evaluators", "mteb", "--reevaluate", "MiniSTS")) == 0
    assert said(caplog, "scored again") == [
        "MiniSTS: scored again at 16: the score differs by at most 0.0000 points, any metric by 0.0e+00"
    ]
    assert json.loads(path.read_bytes())["scores"] == json.loads(before)["scores"]
    caplog.clear()
    assert cli.main(command(tiny, output, "--evaluators", "mteb")) == 0
    assert said(caplog, "are reused despite other") == [  # MiniSTS is not listed: its record says mteb
        "scores of MiniReranking are reused despite other --evaluators; --reevaluate evaluates them again"
    ]


def test_scores_that_moved_are_said_by_how_much():
    before = {8: {"test": [{"main_score": 0.5, "others": [{"map": 0.25}], "nan": float("nan")}]}}
    now = {8: {"test": [{"main_score": 0.51, "others": [{"map": 0.75}], "nan": float("nan")}]}}
    assert scores_line(before, now).endswith("the score differs by at most 1.0000 points, any metric by 5.0e-01")
    now[8]["test"][0]["nan"] = 0.5
    assert scores_line(before, now).endswith("any metric by inf")


@pytest.mark.parametrize(("flag", "verb"), [("--reencode", "run"), ("--reevaluate", "evaluate")])
def test_a_task_that_the_run_does_not_have_is_one_line(tiny, tmp_path, capsys, flag, verb):
    assert cli.main(command(tiny, tmp_path / "out", flag, "AFQMC", verb=verb)) == cli.EXIT_BAD_INPUT
    assert f"{flag} AFQMC: not a task of this run, which has MiniReranking, MiniSTS" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_fix_that_changes_vectors_or_scores_makes_what_was_there_invalid(tiny, output, monkeypatch, caplog):
    settings_of = Embedder.from_pretrained(str(tiny), profile="qzhou-zh-mini", device="cpu")
    before = settings_of.settings.fingerprint(settings_of.checkpoint, settings_of.profile)
    monkeypatch.setattr(settings, "ENCODING_VERSION", settings.ENCODING_VERSION + 1)
    assert settings_of.settings.fingerprint(settings_of.checkpoint, settings_of.profile) != before
    monkeypatch.undo()
    monkeypatch.setattr(variant, "SCORING_VERSION", variant.SCORING_VERSION + 1)
    assert cli.main(command(tiny, output)) == 0
    assert said(caplog, "2 earlier results were made from other data, settings or libraries")
    manifest = json.loads((output / "manifest.json").read_text("utf-8"))
    (entry,) = manifest["variants"].values()
    assert {task["record"]["scoring_version"] for task in entry["tasks"].values()} == {variant.SCORING_VERSION}


def test_only_flags_that_are_given_and_differ_are_named():
    made = {"attention": "packed, runs", "batch_plan": "longest first, up to 1024 tokens", "device": "cuda:1"}
    asked = EncoderOptions(attention="packed", batch_tokens=1024, device="cuda")
    assert flags_that_differ(EncoderOptions(), [made, {}]) == []
    assert flags_that_differ(asked, [made, {}]) == []
    asked = EncoderOptions(**asdict(asked) | {"compile": True, "device": "cpu"})
    assert flags_that_differ(asked, [made, made]) == [
        "--compile (made with packed, runs)",
        "--device cpu (made on cuda:1)",
    ]


def test_windows_is_refused_in_one_line():
    code = "import sys; sys.modules['fcntl'] = None; from qzhou_eval.cli import main; sys.exit(main(['report', 'x']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == cli.EXIT_BAD_INPUT
    assert done.stderr == "error: qzhou-eval needs Linux or macOS: Windows lacks the file locks it uses; use WSL 2\n"
