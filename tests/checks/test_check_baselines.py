"""Baseline files: how they are written, how far honest runs may differ from them, and what is not a valid baseline."""

import json
import re
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from checking import changed
from comparing import BAD

from qzhou_eval import cli
from qzhou_eval.benchmark.packaged import cmteb, miniature
from qzhou_eval.checks.regression.verdict import CheckedScore
from qzhou_eval.checks.regression.write import Checked, console, junit, markdown
from qzhou_eval.cli import _parser
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.results.manifest import _sha256

TYPES = cmteb().types


def rescored(finished, copy, moved):
    """A copy with main scores (0 to 1) shifted by ``moved``, by task and dimension."""
    shutil.copytree(finished, copy)
    content = json.loads((copy / "manifest.json").read_text())
    for place, entry in content["variants"].items():
        for task in entry["tasks"]:
            path = copy / place / f"{task}.json"
            result = json.loads(path.read_text("utf-8"))
            for rows in result["scores"].values():
                rows[0]["main_score"] += moved.get((task, entry["variant"]["dim"]), 0)
            path.write_text(json.dumps(result))
            entry["tasks"][task]["sha256"] = _sha256(path)
    (copy / "manifest.json").write_text(json.dumps(content))
    return copy


def test_repeated_runs_measure_what_honest_runs_differ_by(finished, baseline, tmp_path, capsys):
    more = rescored(finished, tmp_path / "more", {("STSB", 16): 0.02, ("T2Reranking", 64): 1e-5})
    less = rescored(finished, tmp_path / "less", {("STSB", 16): -0.03})
    argv = ["check", str(finished), str(more), str(less), "--baseline", str(tmp_path / "b.json"), "--update-baseline"]
    assert cli.main(argv) == 0
    assert (
        "the 3 runs differ by up to 5 points, the lowest cosine of their probes is 1.0000000" in capsys.readouterr().out
    )
    one = json.loads(baseline.read_text("utf-8"))["results"][0]["tasks"]
    three = json.loads((tmp_path / "b.json").read_text("utf-8"))["results"][0]["tasks"]
    assert one["STSB"]["between_runs"] is None and three["STSB"]["scores"] == one["STSB"]["scores"]
    assert three["STSB"]["between_runs"] == three["STSB"]["tolerance"] == pytest.approx(5, abs=1e-4)
    assert three["T2Reranking"]["between_runs"] == pytest.approx(1e-3, abs=1e-5)
    assert three["T2Reranking"]["tolerance"] == one["T2Reranking"]["tolerance"]


def test_a_baseline_is_written_alike_each_time_and_with_given_tolerances(finished, baseline, tmp_path):
    argv = ["check", str(finished), "--baseline", str(tmp_path / "new/b.json"), "--update-baseline"]
    assert cli.main(argv) == 0
    assert (tmp_path / "new/b.json").read_bytes() == baseline.read_bytes()
    assert cli.main([*argv, "--tolerance", "STSB=0.05"]) == 0
    tasks = json.loads((tmp_path / "new/b.json").read_text("utf-8"))["results"][0]["tasks"]
    assert tasks["STSB"]["tolerance"] == 0.05 and tasks["T2Reranking"]["tolerance"] != 0.05


def broken(tmp_path, baseline, **fields):
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(json.loads(baseline.read_text("utf-8")) | fields), "utf-8")
    return path


def test_bad_input_is_one_line_before_anything_is_written(finished, baseline, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.json").write_text("words")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "file").write_text("")
    nan = changed(baseline, tmp_path / "nan.json", lambda _, task: task.update(tolerance=float("nan")))
    negative = changed(baseline, tmp_path / "negative.json", lambda _, task: task.update(tolerance=-1))
    probe = changed(baseline, tmp_path / "probe.json", lambda _, task: task.update(probe={"text": "AAAA"}))
    code64 = changed(baseline, tmp_path / "code.json", lambda _, task: task.update(probe={"text": "ä"}))
    scoreless = changed(baseline, tmp_path / "scores.json", lambda _, task: task.update(scores={}))
    named = ["--baseline", baseline]
    for argv, message in (
        ([tmp_path / "empty", *named], "no results there"),
        ([tmp_path / "nowhere", *named], "no results there"),
        ([finished, "--baseline", tmp_path / "no.json"], "no such file; --update-baseline writes one"),
        ([finished, "--baseline", tmp_path / "empty"], "is a folder; name a file"),
        *(([finished, "--baseline", tmp_path / f"{n}.json"], "not a baseline") for n in ("words", "bytes", "list")),
        ([finished, "--baseline", broken(tmp_path, baseline, format=2)], "not a baseline (format: "),
        *(([finished, "--baseline", file], "not a baseline (results.0.") for file in (nan, negative, probe, scoreless)),
        ([finished, "--baseline", code64], "the probe does not hold vectors of 96 float16 components"),
        ([finished, finished, *named], "only one folder can be checked at a time"),
        (
            [finished, *named, "--tolerance", "STSX=1"],
            "--tolerance STSX: not in the baseline, which has T2Reranking, STSB",
        ),
        ([finished, *named, "--tolerance", "x"], "give points such as 0.5, or STSB=0.5"),
        ([finished, *named, "--tolerance", "=1"], "give points such as 0.5, or STSB=0.5"),
        ([finished, *named, "--tolerance", "-1"], "give points such as 0.5, or STSB=0.5"),
        ([finished, *named, "--tolerance", "nan"], "give points such as 0.5, or STSB=0.5"),
        ([finished, *named, "--min_cosine", "1.5"], "--min_cosine: '1.5': give a number from -1 to 1"),
        ([finished, *named, "--min_cosine", "nan"], "--min_cosine: 'nan': give a number from -1 to 1"),
        ([finished, *named, "--junit", tmp_path / "empty"], "is a folder; name a file"),
        ([finished, *named, "--junit", tmp_path / "file/j.xml"], "is a file, not a folder"),
        ([finished, *named, "--summary", "/proc/s.md"], "cannot write there"),
        ([finished, *named, "--summary", baseline], "this file is already used by another flag"),
        ([finished, *named, "--update-baseline", "--strict"], "--strict: --update-baseline checks nothing"),
        ([finished, "--baseline", tmp_path / "empty", "--update-baseline"], "is a folder; name a file"),
        ([tmp_path / "empty", "--baseline", tmp_path / "new.json", "--update-baseline"], "no results there"),
    ):
        before = sorted(tmp_path.rglob("*")), baseline.read_bytes()
        capsys.readouterr()
        assert cli.main(["check", *map(str, argv)]) == BAD, argv
        captured = capsys.readouterr()
        assert captured.out == "" and len(captured.err.splitlines()) == 1, argv
        assert message in captured.err, argv
        assert (sorted(tmp_path.rglob("*")), baseline.read_bytes()) == before, argv


HOSTILE = "a\x00b\x1b[31m<script>&\"'|`]]>\ud800\ufffe\u2028\nx"


def test_hostile_names_stay_text():
    row = CheckedScore(HOSTILE, HOSTILE, 16, 50.0, 40.0, 0.1, 0.5, 0.99999)
    checked = Checked([row, row], [HOSTILE], strict=False)
    suite = ET.fromstring(junit(checked).encode())[0]
    assert [case.find("failure").get("type") for case in suite] == ["FAIL", "FAIL"]
    assert suite[0].get("classname").startswith("a b [31m<script>&\"'|`]]>")
    shown = markdown(checked)
    assert "<script>" not in shown and "\\|" in shown and "\x1b" not in shown + console(checked)
    assert all(line.count("|") - line.count("\\|") == 9 for line in shown.splitlines() if line.startswith("| a"))


def test_the_packaged_baseline_is_of_the_whole_miniature():
    file = CHECKPOINT.parent / "baseline.json"
    assert file.stat().st_size < 200_000
    content = json.loads(file.read_text("utf-8"))
    mini = list(miniature().names)
    dims = {"local/mini-qwen3": 8, "local/char-ngram": 1}
    assert len(content["results"]) == 3 and len(mini) == len(TYPES)
    for result in content["results"]:
        assert sorted(result["tasks"]) == sorted(mini)
        assert all(len(task["scores"]) == dims[result["model"]] for task in result["tasks"].values())
        assert all(task["probe"] for task in result["tasks"].values())


def test_the_documented_workflow_is_yaml_whose_commands_have_these_flags():
    page = (Path(__file__).parents[2] / "docs" / "ci.md").read_text("utf-8")
    (workflow,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    steps = yaml.safe_load(workflow)["jobs"]["gate"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL):
        commands += [line.split("#")[0].strip() for line in block.splitlines()]
    starts = {".venv/bin/qzhou-eval": [], "./run_benchmark_cmteb.sh": ["run"]}
    parsed = [
        _parser().parse_args([*verb, *shlex.split(command)[1:]]).command
        for command in commands
        for start, verb in starts.items()
        if command.startswith(start)
    ]
    assert len(parsed) == 8
