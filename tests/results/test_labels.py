"""A model's label: the name in reports and in ``check``. It moves no file and changes no score."""

import json
import shutil
from dataclasses import replace

import pytest
from commands import run_command
from faults import scores
from stored import WIDTH, variant
from written import STS, put

from qzhou_eval import cli, load_results
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.results.reader import read_recorded


def labelled(copy, label):
    """Give all models of a copied run the same label."""
    manifest = Manifest(copy)
    for recorded in read_recorded(copy):
        manifest.renew(recorded.variant, cmteb(), label=label)
    return copy


def renamed(finished, copy, name, *, weights="another"):
    """The same results under another checkpoint: another folder name, weights' digest and revision."""
    shutil.copytree(finished, copy)
    path = copy / "manifest.json"
    text = path.read_text("utf-8").replace("local/tiny", f"local/{name}").replace("local__tiny", f"local__{name}")
    content = json.loads(text)
    for entry in content["variants"].values():
        entry["provenance"]["model"]["weights_sha256"] = weights
    path.write_text(json.dumps(content), "utf-8")
    (copy / "results/local__tiny").rename(copy / f"results/local__{name}")
    return copy


ODD = ("", " ", "../x", "a/b", "a\\b", "a\nb", "\x1b[31mred", "\u202ex", "<b>", "a|b", ".x", "-x", "x ", "x" * 61)


@pytest.fixture
def check(tmp_path, capsys):
    """A function that checks a folder against a baseline made from another: exit code, stdout, stderr."""

    def checked(one, other, *more):
        file = tmp_path / "b.json"
        assert cli.main(["check", str(one), "--baseline", str(file), "--update-baseline"]) == 0
        capsys.readouterr()
        code = cli.main(["check", str(other), "--baseline", str(file), *more])
        return code, *capsys.readouterr()

    return checked


def test_a_label_is_in_the_report_and_changes_no_file_that_is_there(tiny, official, finished, tmp_path, capsys):
    output = shutil.copytree(finished, tmp_path / "out")
    before = {path.relative_to(output) for path in output.rglob("*")}
    entries = json.loads((output / "manifest.json").read_text("utf-8"))["variants"]
    assert cli.main(run_command(tiny, official, output, "--model_label", "step 1000")) == 0
    out = capsys.readouterr().out
    assert "step 1000" in out and "tiny" not in out.split("written:")[0]
    assert "step 1000" in (output / "report" / "scores.csv").read_text("utf-8")
    assert {path.relative_to(output) for path in output.rglob("*")} == before
    content = json.loads((output / "manifest.json").read_text("utf-8"))
    assert content["variants"] == entries
    assert list(content["labels"].values()) == ["step 1000"]
    assert scores(output) == scores(finished)


@pytest.mark.slow
def test_a_label_stays_until_another_is_given(tiny, official, finished, tmp_path):
    output = labelled(shutil.copytree(finished, tmp_path / "out"), "one")
    argv = run_command(tiny, official, output, "--tasks", "STSB", "--dim", "24")
    assert cli.main(argv) == 0
    assert {recorded.label for recorded in read_recorded(output)} == {"one"}
    assert cli.main([*argv, "--dim", "32", "--model_label", "two"]) == 0
    assert {recorded.label for recorded in read_recorded(output)} == {"two"}
    assert set(load_results(output, resamples=0).label) == {"two"}
    assert set(load_results(finished, resamples=0).label) == {"tiny"}


def test_two_checkpoints_of_one_label_stay_apart_in_one_folder(tmp_path, capsys):
    """As when an engineer puts two training steps into one output folder: told apart by revision."""
    for revision, label, score in (("r1", "mine", 0.5), ("r2", "mine", 0.6), ("r3", "other", 0.7)):
        one = replace(variant(WIDTH), model="local/checkpoint", revision=revision)
        put(tmp_path, one, STS, score)
        Manifest(tmp_path).renew(one, cmteb(), label=label)
    assert cli.main(["report", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "mine @ r1" in out and "mine @ r2" in out and "other" in out
    assert cli.main(["check", str(tmp_path), "--baseline", str(tmp_path / "b"), "--update-baseline"]) == 2
    assert "mixed: mine at revisions r1 and r2" in capsys.readouterr().err


def test_two_checkpoints_pass_the_gate_by_their_label(finished, tmp_path, check):
    one = labelled(shutil.copytree(finished, tmp_path / "one"), "mine")
    two = labelled(renamed(finished, tmp_path / "two", "step-2000"), "mine")
    code, out, err = check(one, two)
    assert (code, err) == (0, "") and out.startswith("mine\n")
    assert "note: model is local/step-2000, the baseline has local/tiny\n" in out
    assert "note: weights is another, the baseline has " in out
    code, _, err = check(one, labelled(shutil.copytree(two, tmp_path / "three"), "yours"))
    assert code == 2 and err.count("\n") == 1
    assert "model is yours, the baseline has mine; to compare two checkpoints, give both the same --model_label" in err


def test_two_checkpoints_are_compared_under_their_labels(finished, tmp_path, capsys):
    one = labelled(shutil.copytree(finished, tmp_path / "one"), "step 1000")
    two = labelled(renamed(finished, tmp_path / "two", "checkpoint"), "step 2000")
    assert cli.main(["compare", str(two), "--to", str(one)]) == 0
    out = capsys.readouterr().out
    (heading,) = [line for line in out.splitlines() if " against " in line]
    assert heading.startswith("step 2000, dim 96 @ ") and heading.endswith("/one (step 1000)")


def test_a_folders_name_is_no_reason_to_refuse(finished, tmp_path, check):
    two = renamed(finished, tmp_path / "two", "step-2000")
    code, out, err = check(finished, two)
    assert (code, err) == (0, "") and "note: model is local/step-2000, the baseline has local/tiny\n" in out
    one = labelled(shutil.copytree(finished, tmp_path / "one"), "mine")
    for pair in ((one, two), (two, one)):
        assert check(*pair)[0] == 0


@pytest.mark.parametrize("label", ODD)
def test_what_is_no_label_is_refused_in_one_line(*, tiny, official, tmp_path, capsys, label):
    argv = run_command(tiny, official, tmp_path / "out", f"--model_label={label}")
    assert cli.main(argv) == cli.EXIT_BAD_INPUT
    err = capsys.readouterr().err
    assert "argument --model_label: " in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("labels", [{"results/a": "<b>"}, {"results/a": 3}, ["x"], 3])
def test_a_manifests_labels_are_labels(tmp_path, capsys, labels):
    put(tmp_path, variant(WIDTH), STS, 0.5)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"labels": labels}), "utf-8")
    assert cli.main(["report", str(tmp_path)]) == cli.EXIT_BAD_INPUT
    assert "manifest.json: damaged" in capsys.readouterr().err
