"""``check``: verdicts, tolerances and refusals, checked by plain arithmetic on files edited one fact at a time."""

import base64
import json

import numpy as np
import pytest
from checking import DIMS, OFFICIAL, TASKS, changed, suite_counts
from safetensors.numpy import load_file
from scipy import stats

from qzhou_eval.checks.regression.verdict import lowest_cosine
from qzhou_eval.checks.tolerance import TOLERANCE


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
    assert spread == pytest.approx(max(errors), rel=0.08)  # both use 2,000 resamples


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
    """Random unit vectors whose cosine to the unit ``vectors`` is ``cosine``, in plain numpy."""
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
