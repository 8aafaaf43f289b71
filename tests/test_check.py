"""``check``: verdicts, tolerances and refusals, against plain arithmetic on files edited one fact at a time."""

import base64
import json
import re
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import yaml
from comparing import BAD, edited
from safetensors.numpy import load_file
from scipy import stats

from qzhou_eval import cli
from qzhou_eval.cli import _parser
from qzhou_eval.compare.verdicts import TOLERANCE
from qzhou_eval.gate.judge import Row, lowest_cosine
from qzhou_eval.gate.write import Checked, console, junit, markdown
from qzhou_eval.noted import Noted
from qzhou_eval.results import _sha256
from qzhou_eval.smoke.__main__ import CHECKPOINT
from qzhou_eval.tasks import TYPES, all_tasks

TASKS, DIMS = ("STSB", "T2Reranking"), (16, 64, 96)
OFFICIAL = {"STSB": "STS", "T2Reranking": "Reranking"}


@pytest.fixture(scope="module")
def baseline(finished, tmp_path_factory):
    """The finished run's own baseline; to be read, or copied before it is changed."""
    file = tmp_path_factory.mktemp("baseline") / "b.json"
    assert cli.main(["check", str(finished), "--baseline", str(file), "--update-baseline"]) == 0
    return file


@pytest.fixture
def check(baseline, finished, tmp_path, capsys):
    """Check a folder against a baseline; gives the exit code, stdout, stderr, and the JUnit suite."""

    def checked(*more, results=finished, against=baseline):
        capsys.readouterr()
        outputs = ["--junit", str(tmp_path / "j.xml"), "--summary", str(tmp_path / "s.md")]
        code = cli.main(["check", str(results), "--baseline", str(against), *outputs, *map(str, more)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err, ET.parse(tmp_path / "j.xml").getroot()[0]

    return checked


def changed(baseline, path, change):
    """A copy of a baseline whose only setting's tasks were changed."""
    content = json.loads(baseline.read_text("utf-8"))
    for name, task in content["results"][0]["tasks"].items():
        change(name, task)
    path.write_text(json.dumps(content), "utf-8")
    return path


def suite_counts(suite):
    return {kind: int(suite.get(kind)) for kind in ("tests", "failures", "errors")}


def stored(text, dim):
    return np.frombuffer(base64.b64decode(text), "<f2").reshape(-1, dim).astype(np.float64)


def coded(vectors):
    return base64.b64encode(vectors.astype("<f2").tobytes()).decode()


def test_a_baseline_holds_scores_spread_and_vectors_of_the_files_themselves(finished, baseline):
    content = json.loads(baseline.read_text("utf-8"))
    (result,) = content["results"]
    place = next(iter((finished / "results/local__tiny").iterdir()))
    places = {16: "experiments/dim_16", 64: "experiments/dim_64", 96: ""}
    for name in TASKS:
        task = result["tasks"][name]
        assert [int(dim) for dim in task["scores"]] == list(DIMS)
        for dim, score in task["scores"].items():
            (rows,) = json.loads((place / places[int(dim)] / f"{name}.json").read_text("utf-8"))["scores"].values()
            assert score == pytest.approx(100 * rows[0]["main_score"], abs=1e-6)
        kept = load_file(place / f"{name}.items.safetensors")
        for side, text in task["probe"].items():
            theirs, ours = stored(text, 96), kept[f"probe/{side}"][:2].astype(np.float64)
            cosines = (theirs * ours).sum(axis=1) / np.linalg.norm(theirs, axis=1) / np.linalg.norm(ours, axis=1)
            assert (cosines > 1 - 1e-6).all() and np.allclose(np.linalg.norm(theirs, axis=1), 1, atol=1e-3)
        assert task["tolerance"] == pytest.approx(max(TOLERANCE[OFFICIAL[name]], 0.2 * task["spread"]), abs=1e-3)
    assert set(result["tasks"]["T2Reranking"]["probe"]) == {"query", "document"}
    assert baseline.stat().st_size < 10_000


def test_the_spread_is_the_bootstraps_standard_error(finished, baseline):
    spread = json.loads(baseline.read_text("utf-8"))["results"][0]["tasks"]["T2Reranking"]["spread"]
    errors = []
    for path in finished.rglob("T2Reranking.items.safetensors"):
        (row,) = next(value for name, value in load_file(path).items() if name.startswith("split/"))
        done = stats.bootstrap((row,), np.mean, method="percentile", n_resamples=2000, rng=np.random.default_rng(1))
        errors.append(100 * done.standard_error)
    assert spread == pytest.approx(max(errors), rel=0.08)  # both are of 2,000 resamples


def test_a_run_against_its_own_baseline_passes_and_is_written(check, tmp_path):
    code, out, err, suite = check("--strict")
    assert (code, err) == (0, "") and out.endswith("verdict: 6 OK, 0 DRIFT, 0 FAIL: passed\n")
    assert suite_counts(suite) == {"tests": 6, "failures": 0, "errors": 0} and len(suite) == 6
    assert {case.get("name") for case in suite} == {f"{task}, dim {dim}" for task in TASKS for dim in DIMS}
    assert (tmp_path / "s.md").read_text("utf-8").startswith("## qzhou-eval check: passed\n")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.99, "OK"), (1.01, "DRIFT"), (2.99, "DRIFT"), (3.01, "FAIL"), (50, "FAIL")],
)
def test_a_difference_is_judged_by_the_tolerance_in_the_file(*, sign, share, verdict, check, baseline, tmp_path):
    def moved(name, task):
        task["tolerance"] = 0.4
        if name == "STSB":
            task["scores"]["64"] += sign * share * 0.4

    file = changed(baseline, tmp_path / "moved.json", moved)
    code, out, _, suite = check(against=file)
    row = next(line for line in out.splitlines() if line.startswith("STSB"))
    assert row.split()[1] == "64" and row.split()[-1] == verdict
    assert float(row.split()[4]) == pytest.approx(-sign * share * 0.4, abs=6e-4)
    assert code == (verdict == "FAIL")
    assert suite_counts(suite) == {"tests": 6, "failures": int(verdict == "FAIL"), "errors": 0}
    code, _, _, suite = check("--strict", against=file)
    assert code == (verdict != "OK") == len(suite.findall(".//failure"))
    assert f"| {verdict}" in (tmp_path / "s.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([], False),
        (["--tolerance", "2"], True),
        (["--tolerance", "STSB=2"], True),
        (["--tolerance", "0", "--tolerance", "STSB=2"], True),
        (["--tolerance", "2", "--tolerance", "STSB=0.1"], False),
        (["--tolerance", "T2Reranking=2"], False),
    ],
)
def test_the_command_line_may_say_other_tolerances(*, given, passed, check, baseline, tmp_path):
    def moved(name, task):
        task["tolerance"] = 0.4
        if name == "STSB":
            task["scores"]["64"] += 1.9

    code, *_ = check(*given, against=changed(baseline, tmp_path / "moved.json", moved))
    assert code == (not passed)


def turned(vectors, cosine, rng):
    """Unit vectors at a cosine to unit ``vectors``, by plain numpy."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    aside = rng.standard_normal(vectors.shape)
    aside -= (aside * vectors).sum(axis=1, keepdims=True) * vectors
    return cosine * vectors + np.sqrt(1 - cosine**2) * aside / np.linalg.norm(aside, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("cosine", "given", "passed"),
    [
        (0.999995, [], True),
        (0.99998, [], False),
        (0.99998, ["--min_cosine", 0.9999], True),
        (0.9, ["--min_cosine", 0.9999], False),
        (-1.0, ["--min_cosine", -1], True),
        (-0.5, ["--min_cosine", 0], False),
    ],
)
def test_vectors_that_turned_fail_though_the_scores_are_the_same(*, cosine, given, passed, check, baseline, tmp_path):
    def turn(name, task):
        if name == "T2Reranking":
            vectors = stored(task["probe"]["document"], 96)
            vectors[1:] = turned(vectors[1:], cosine, np.random.default_rng(0))
            task["probe"]["document"] = coded(vectors)

    code, out, _, suite = check(*given, against=changed(baseline, tmp_path / "turned.json", turn))
    assert code == (not passed)
    row = next(line for line in out.splitlines() if line.startswith("T2Reranking"))
    assert ("FAIL (cosine)" in row) == (not passed)
    assert ("cosine" in "".join(one.get("message") for one in suite.findall(".//failure"))) == (not passed)
    if row.split()[1] == "96":
        assert float(row.split()[6]) == pytest.approx(cosine, abs=2e-6)


def test_narrower_dimensions_are_held_against_the_beginning_of_the_wide_vector(check, baseline, tmp_path):
    def turn_behind_64(_, task):
        for side, text in task["probe"].items():
            vectors = stored(text, 96)
            vectors[:, 64:] *= -1
            task["probe"][side] = coded(vectors)

    code, _, _, suite = check(against=changed(baseline, tmp_path / "turned.json", turn_behind_64))
    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    assert code == 1 and failed == {"STSB, dim 96", "T2Reranking, dim 96"}


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ({"text": [[2.0, 0.0], [0.0, 3.0]]}, 1.0),
        ({"text": [[2.0, 0.0], [3.0, 3.0]]}, 0.5**0.5),
        ({"text": [[2.0, 0.0], [0.0, 3.0], [9.0, 9.0]]}, 1.0),
        ({"text": [[2.0, 0.0]]}, 0.0),
        ({"text": [[2.0, 0.0], [0.0, 0.0]]}, 0.0),
        ({"text": [[2.0, 0.0], [np.nan, 1.0]]}, 0.0),
        ({"text": [[2.0, 0.0], [np.inf, 1.0]]}, 0.0),
        ({"query": [[2.0, 0.0], [0.0, 3.0]]}, 0.0),
        ({}, 0.0),
    ],
)
def test_a_vector_that_is_missing_or_has_no_direction_counts_as_turned(ours, expected):
    theirs = {"text": np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 5.0]], np.float32)}
    found = lowest_cosine(theirs, {side: np.array(rows, np.float32) for side, rows in ours.items()})
    assert found == pytest.approx(expected, abs=1e-7)


PROFILE = ("provenance", "profile")


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("variant", "token_prepending"), None, "token_prepending is off, the baseline has 1-7"),
        (("variant", "token_prepending"), [1, 6], "token_prepending is 1-6, the baseline has 1-7"),
        (("variant", "max_length"), 512, "max_length is 512, the baseline has 1024"),
        (("variant", "truncate"), "text", "truncate is text, the baseline has whole"),
        (("variant", "dtype"), "float32", "dtype is float32, the baseline has bfloat16"),
        (("variant", "normalize"), False, "normalize is false, the baseline has true"),
        (("variant", "use_instruction"), False, "use_instruction is false, the baseline has true"),
        (("variant", "width"), 97, "width is 97, the baseline has 96"),
        (("provenance", "model", "remote_code"), {"class": "x"}, "remote_code is true, the baseline has false"),
        ((*PROFILE, "template"), "{text}", "template is {text}, the baseline has 'This sentence: <|im_start|>“{text}”"),
        ((*PROFILE, "placeholder"), None, "placeholder is none, the baseline has <|im_start|>"),
        ((*PROFILE, "instruction"), "I: {instruction}\n", "instruction_line is 'I: {instruction}\\n', the baseline"),
        ((*PROFILE, "empty_text"), "", "empty_text is '', the baseline has Null"),
        ((*PROFILE, "end_token"), "</s>", "end_token is </s>, the baseline has none"),
        (
            ("tasks", "STSB", "record", "metric"),
            "pearson",
            "metric is pearson, the baseline has cosine_spearman (STSB)",
        ),
        (("tasks", "STSB", "record", "splits"), ["a", "b"], "splits is 'a, b', the baseline has test (STSB)"),
        (("tasks", "STSB", "record", "data"), "local-0", "data is local-0, the baseline has local-"),
        (("tasks", "STSB", "record", "mteb"), "2.30.0", "mteb is 2.30.0, the baseline has 2."),
        (("tasks", "STSB", "record", "scikit_learn"), "1.9", "scikit_learn is 1.9, the baseline has 1."),
        (("tasks", "STSB", "instruction"), None, "instruction is none, the baseline has 'both: Retrieve"),
        (("tasks", "STSB", "instruction", "instruct"), "queries", "instruction is 'queries: Retrieve"),
    ],
)
def test_each_unlike_setting_is_refused_with_both_values(*, where, value, said, check, finished, tmp_path):
    def change(entry):
        for key in where[:-1]:
            entry = entry[key]
        entry[where[-1]] = value

    code, out, err, suite = check(results=edited(finished, tmp_path / "copy", change))
    assert (code, out, len(err.splitlines())) == (BAD, "", 1)
    assert f"{tmp_path / 'copy'} does not compare with " in err
    assert said in err and err.count(", the baseline has ") == 1
    assert suite_counts(suite) == {"tests": 1, "failures": 0, "errors": 1}
    assert said.split(",")[0] in suite.find(".//error").get("message")
    assert "refused" in (tmp_path / "s.md").read_text("utf-8")


def test_several_unlike_settings_are_all_named_in_one_line(check, finished, tmp_path):
    def change(entry):
        entry["variant"] |= {"max_length": 512, "truncate": "text"}
        for task in entry["tasks"].values():
            task["record"]["mteb"] = "2.30.0"

    code, _, err, _ = check(results=edited(finished, tmp_path / "copy", change))
    assert code == BAD and len(err.splitlines()) == 1
    assert err.count("the baseline has") == 3 and "(" not in err.split("mteb is")[1]  # of all tasks: none is named


def filed(source, copy, dims=DIMS, revision=None, **settings):
    """Results copied to where other settings, or another revision at some dimensions, file them; others stay there."""
    path = copy / "manifest.json"
    variants = json.loads(path.read_text())["variants"] if path.exists() else {}
    for place, entry in json.loads((source / "manifest.json").read_text())["variants"].items():
        variant = entry["variant"]
        if variant["dim"] in dims:
            variant |= settings | ({"revision": revision} if revision else {})
            variant["experiment"] += [[name, value] for name, value in settings.items()]
        moved = Noted(copy, entry, {}).variant.folder
        shutil.copytree(source / place, copy / moved, ignore=shutil.ignore_patterns("experiments"), dirs_exist_ok=True)
        variants[moved] = entry
    path.write_text(json.dumps({"format": 1, "variants": variants}))
    return copy


def test_a_setting_that_is_not_there_is_held_against_the_closest(check, finished, tmp_path):
    short, file = filed(finished, tmp_path / "short", max_length=512), tmp_path / "two.json"
    two = filed(finished, filed(finished, tmp_path / "two", max_length=512))
    assert cli.main(["check", str(two), "--baseline", str(file), "--update-baseline"]) == 0
    other = filed(finished, filed(finished, tmp_path / "other", max_length=512), dtype="fp8")
    code, _, err, _ = check(results=other, against=file)
    assert code == BAD and err.strip().endswith("two.json: local/tiny: dtype is fp8, the baseline has bfloat16")
    code, _, err, _ = check(results=finished, against=file)
    assert code == BAD and err.strip().endswith("two.json: local/tiny (max_length 512): not there")
    code, _, err, _ = check(results=short)
    assert code == BAD and err.strip().endswith("b.json: max_length is 512, the baseline has 1024")
    code, _, err, _ = check(results=filed(finished, tmp_path / "renamed", model="local/big"))
    assert code == BAD and err.strip().endswith("b.json: filed under another experiment")
    code, out, err, _ = check(results=two)
    assert (code, err) == (0, "") and "note: not in the baseline, not judged: local/tiny (max_length 512)" in out


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (("provenance", "model", "weights_sha256"), "note: weights is another, the baseline's "),
        (("provenance", "model", "tokenizer_sha256"), "note: tokenizer is another, the baseline's "),
        (("tasks", "STSB", "encoded_with", 0, "hardware", "cpu"), "note: machine is another, the baseline's "),
    ],
)
def test_what_is_under_test_is_stated_and_not_refused(*, where, said, check, finished, tmp_path):
    def change(entry):
        entry["tasks"] = {"STSB": entry["tasks"]["STSB"]}
        for key in where[:-1]:
            entry = entry[key]
        entry[where[-1]] = "another"

    file = tmp_path / "stsb.json"
    alone = remove(finished, tmp_path / "alone", task="T2Reranking")
    assert cli.main(["check", str(alone), "--baseline", str(file), "--update-baseline"]) == 0
    code, out, err, _ = check(results=edited(finished, tmp_path / "copy", change), against=file)
    assert (code, err) == (0, "") and said in out
    assert said.removeprefix("note: ") in (tmp_path / "s.md").read_text("utf-8")


def test_another_revision_is_under_test_but_two_do_not_mix(check, finished, tmp_path):
    code, out, err, _ = check(results=filed(finished, tmp_path / "new", revision="newer"))
    assert (code, err) == (0, "") and "note: revision is newer, the baseline's local-" in out
    code, _, err, _ = check(results=filed(finished, tmp_path / "two", dims=(16,), revision="newer"))
    assert code == BAD and "mixed: local/tiny at the revisions local-" in err and " and newer" in err
    mixed = filed(finished, filed(finished, tmp_path / "settings"), revision="newer", max_length=512)
    code, _, err, _ = check(results=mixed)
    assert code == BAD and "mixed: local/tiny at the revisions local-" in err and " and newer" in err


def remove(finished, copy, *, task=None, dim=None):
    """A copy without a task, a dimension, or a task at a dimension."""
    shutil.copytree(finished, copy)
    content = json.loads((copy / "manifest.json").read_text())
    for place, entry in list(content["variants"].items()):
        if dim in (None, entry["variant"]["dim"]):
            if task:
                del entry["tasks"][task]
            else:
                del content["variants"][place]
    (copy / "manifest.json").write_text(json.dumps(content))
    return copy


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ({"task": "STSB"}, "no results (STSB)"),
        ({"dim": 64}, "no results at dim 64"),
        ({"task": "STSB", "dim": 64}, "no results at dim 64 (STSB)"),
    ],
)
def test_what_the_run_lacks_is_refused_and_what_it_has_beside_is_noted(
    *, gone, said, check, finished, tmp_path, capsys
):
    less, file = remove(finished, tmp_path / "less", **gone), tmp_path / "less.json"
    code, _, err, _ = check(results=less)
    assert code == BAD and err.strip().endswith(f": {said}")
    assert cli.main(["check", str(less), "--baseline", str(file), "--update-baseline"]) == 0
    code, out, _, _ = check(against=file)
    assert code == 0 and "note: not in the baseline, not judged: " in out


def test_another_mixture_of_libraries_in_one_folder_is_refused(check, finished, tmp_path):
    def at_16(entry):
        if entry["variant"]["dim"] == 16:
            entry["tasks"]["STSB"]["record"]["mteb"] = "2.30.0"

    code, _, err, _ = check(results=edited(finished, tmp_path / "copy", at_16))
    assert code == BAD and "mixed: STSB has mteb 2.30.0 and 2." in err


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (("provenance",), "manifest.json: damaged (KeyError('provenance'))"),
        (("tasks", "STSB", "record", "metric"), "manifest.json: damaged (KeyError('metric'))"),
        (("provenance", "profile"), "template is none, the baseline has"),
    ],
)
def test_a_manifest_that_lacks_facts_is_one_line(*, gone, said, check, finished, tmp_path):
    def change(entry):
        for key in gone[:-1]:
            entry = entry[key]
        del entry[gone[-1]]

    code, out, err, _ = check(results=edited(finished, tmp_path / "copy", change))
    assert (code, out, len(err.splitlines())) == (BAD, "", 1) and said in err


def without_items(entry):
    for task in entry["tasks"].values():
        task["items"] = None


def test_results_without_items_have_scores_alone(check, finished, tmp_path):
    """As mteb 1.38.30 gives them: no spread, no vectors."""
    bare, file = edited(finished, tmp_path / "bare", without_items), tmp_path / "bare.json"
    code, _, err, _ = check(results=bare)
    assert code == BAD and "no vectors to hold against the baseline's" in err
    assert cli.main(["check", str(bare), "--baseline", str(file), "--update-baseline"]) == 0
    task = json.loads(file.read_text("utf-8"))["results"][0]["tasks"]["STSB"]
    assert (task["spread"], task["probe"], task["tolerance"]) == (None, {}, TOLERANCE["STS"])
    code, out, _, _ = check(results=bare, against=file)
    assert code == 0 and "local/tiny has no probe of vectors" in out


def rescored(finished, copy, moved):
    """A copy whose scores were moved, by task and dimension; 0 to 1."""
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
        ([finished, "--baseline", code64], "the probe is not vectors of 96 float16 components"),
        ([finished, finished, *named], "one folder is checked at a time"),
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
        ([finished, *named, "--summary", baseline], "already named for something else"),
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
    row = Row(HOSTILE, HOSTILE, 16, 50.0, 40.0, 0.1, 0.5, 0.99999)
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
    mini = [task.name for task in all_tasks().values() if task.benchmark == "mini"]
    dims = {"local/mini-qwen3": 8, "local/char-ngram": 1}
    assert len(content["results"]) == 3 and len(mini) == len(TYPES)
    for result in content["results"]:
        assert sorted(result["tasks"]) == sorted(mini)
        assert all(len(task["scores"]) == dims[result["model"]] for task in result["tasks"].values())
        assert all(task["probe"] for task in result["tasks"].values())


def test_the_documented_workflow_is_yaml_whose_commands_have_these_flags():
    page = (Path(__file__).parents[1] / "docs" / "ci.md").read_text("utf-8")
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
