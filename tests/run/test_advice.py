"""The advice in a message about results is correct and sufficient: after following it there is nothing more to do."""

import json
import shutil

import pytest
from bad_files import MANIFESTS, RESULTS, edit_manifest
from commands import run_command

from qzhou_eval import cli
from qzhou_eval.cli.run import _prepared
from qzhou_eval.errors import EXIT_CHECK_FAILED
from qzhou_eval.run.reuse import missing_results


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def evaluates(tiny, official, output) -> dict[str, list[int]]:
    """What the run's command would evaluate again: dimensions by task."""
    argv = run_command(tiny, official, output)
    args = cli._parser().parse_args(argv)
    args.argv = argv
    return {task: [variant.dim for variant in variants] for task, variants in missing_results(_prepared(args)).items()}


def full(folder):
    """The folder with the results at full width, where all faults below are."""
    (place,) = folder.glob("results/*/*")
    return place


def remove(path):
    path.unlink()


def again(_path):
    """Do nothing: the advice is only to repeat the command."""


ALL = {"T2Reranking": [16, 64, 96], "STSB": [16, 64, 96]}
STSB = {"STSB": [96]}
WIDEST = {"T2Reranking": [96], "STSB": [96]}

CASES = {  # fault -> (how to make it, the message, the action it advises, what the command then evaluates)
    "gone": (lambda d: (full(d) / "STSB.json").unlink(), "STSB.json: left out, it is missing;", again, STSB),
    "changed": (lambda d: (full(d) / "STSB.json").write_text("{}"), "STSB.json: left out, it was changed", again, STSB),
    "no-items": (RESULTS["no-items"], "STSB.items.safetensors: missing or changed, so the score has", again, STSB),
    "cut-items": (RESULTS["cut-items"], "STSB.items.safetensors: missing or changed, so the score has", again, STSB),
    **{
        name: (RESULTS[name], f"STSB.json: left out, {said}; remove it, then repeat the run's command", remove, STSB)
        for name, said in {
            "cut-mended": "it is not a complete result file",
            "no-name": "it is not a complete result file",
            "other-task": "its task: T2Reranking, the manifest's: STSB",
            "other-mteb": "its mteb: 2.1.0, the manifest's: 2.26.24",
            "other-split": "its splits: ['validation'], the manifest's: ['test']",
        }.items()
    },
}


@pytest.mark.parametrize("name", CASES)
def test_one_result_that_cannot_be_used(tiny, official, copied, caplog, name):
    """The other results are still reported, and the message names everything there is to do."""
    spoil, said, act, expected = CASES[name]
    spoil(copied)
    assert cli.main(["report", str(copied)]) == 0
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said in line
    act(full(copied) / line.split(": ")[0].rsplit("/", maxsplit=1)[-1])
    assert evaluates(tiny, official, copied) == expected


REFUSED = {
    "damaged": (lambda d: (d / "manifest.json").write_text("{"), "manifest.json: damaged", remove, ALL),
    **{
        name: (lambda d, name=name: edit_manifest(d, MANIFESTS[name]), "manifest.json: damaged", remove, ALL)
        for name in ("no-record", "no-digest", "swapped-places", "text-profile")
    },
    **{
        name: (spoil, "repeat the run's command with all its tasks and dimensions", again, expected)
        for name, spoil, expected in (
            ("dim-other-data", RESULTS["dim-other-data"], STSB),
            ("two-mtebs", RESULTS["two-mtebs"], STSB),
            ("two-scikits", RESULTS["two-scikits"], {"T2Reranking": [96]}),
            ("limit", lambda d: edit_manifest(d, MANIFESTS["dim-other-limit"]), {"T2Reranking": [96], "STSB": [96]}),
            (
                "weights",
                lambda d: edit_manifest(d, MANIFESTS["dim-other-weights"]),
                {"T2Reranking": [96], "STSB": [96]},
            ),
        )
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_is_refused(tiny, official, copied, capsys, name):
    spoil, said, act, expected = REFUSED[name]
    spoil(copied)
    assert cli.main(["report", str(copied)]) == cli.EXIT_BAD_INPUT
    assert said in capsys.readouterr().err
    act(copied / "manifest.json")
    assert evaluates(tiny, official, copied) == expected


def test_an_export_without_what_mteb_notes_of_the_model(tiny, official, copied, tmp_path, capsys):
    (full(copied) / "model_meta.json").unlink()
    named = ["--model_name", "org/name", "--model_revision", "0" * 40]
    assert cli.main(["export", str(copied), "--to", str(tmp_path / "new"), *named]) == cli.EXIT_BAD_INPUT
    place = full(copied)
    assert f"remove {place}, then repeat the run's command" in capsys.readouterr().err
    for path in [*place.glob("*.json"), *place.glob("*.safetensors")]:
        path.unlink()
    assert evaluates(tiny, official, copied) == WIDEST


def test_a_task_of_another_version_is_left_out(copied, caplog):
    edit_manifest(copied, MANIFESTS["task-unknown"])
    assert cli.main(["report", str(copied)]) == 0
    assert "STSC.json: left out, of no benchmark that was run here" in caplog.text


@pytest.mark.slow
def test_the_command_mends_everything_at_once(*, tiny, official, copied, finished, caplog):
    (full(copied) / "STSB.json").unlink()
    RESULTS["cut-items"](copied)
    for name, text in (("experiments/dim_16/STSB.json", "{}"), ("experiments/dim_64/T2Reranking.json", "")):
        (full(copied) / name).write_text(text)
    assert cli.main(run_command(tiny, official, copied)) == 0
    assert len(list((copied / "superseded").rglob("*.json"))) == 2  # the edited files are not lost
    caplog.clear()
    assert cli.main(["report", str(copied)]) == 0
    assert caplog.text == ""
    scores = [
        {p.relative_to(root): json.loads(p.read_text())["scores"] for p in root.glob("results/**/[ST]*.json")}
        for root in (copied, finished)
    ]
    assert scores[0] == scores[1]


def test_check_fails_a_score_that_is_no_number_and_judges_the_others(copied, finished, tmp_path, capsys, caplog):
    baseline = tmp_path / "b.json"
    assert cli.main(["check", str(finished), "--baseline", str(baseline), "--update-baseline"]) == 0
    RESULTS["nan-score"](copied)
    capsys.readouterr()
    assert cli.main(["check", str(copied), "--baseline", str(baseline)]) == EXIT_CHECK_FAILED
    out = capsys.readouterr().out
    assert "verdict: 5 OK, 0 DRIFT, 1 FAIL: failed" in out
    assert "STSB.json: left out, its score on test is nan" in caplog.text
    assert cli.main(["compare", str(copied), "--to", str(finished)]) == 0
    assert "verdict: 5 OK" in capsys.readouterr().out
    new = tmp_path / "new.json"
    assert cli.main(["check", str(copied), "--baseline", str(new), "--update-baseline"]) == cli.EXIT_BAD_INPUT
    assert "no score for STSB at dim 96; a baseline needs complete runs" in capsys.readouterr().err
    assert not new.exists()
