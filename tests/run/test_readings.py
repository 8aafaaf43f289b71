"""Several readings of one model in one command: the same results as separate commands, from one load and one plan."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from faults import scores

from qzhou_eval import cli
from qzhou_eval.encode.readings import encoders
from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.run.config import RunConfig
from qzhou_eval.run.plan import Planner
from qzhou_eval.run.prepare import prepare_run
from qzhou_eval.run.subjects import openers

TASKS = ["MiniSTS", "MiniRetrieval"]
DIMS = ("16", "96")


def command(model, output, *more: str, verb: str = "run") -> list[str]:
    base = [verb, "--model_name_or_path", str(model), "--profile", "qzhou-zh-mini", "--device", "cpu"]
    return [*base, "--tasks", *TASKS, "--dim", *DIMS, "--output_dir", str(output), "--eval_workers", "1", *more]


@pytest.fixture(scope="module")
def apart(tiny, tmp_path_factory) -> Path:
    """The output of two commands, one after the other."""
    output = tmp_path_factory.mktemp("apart") / "out"
    for reading in ("auto", "off"):
        assert cli.main(command(tiny, output, "--token_prepending", reading)) == 0
    return output


@pytest.fixture(scope="module")
def both(tiny, tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """The output of one command, and how often it loaded the model and planned."""
    output, counts = tmp_path_factory.mktemp("both") / "out", {"loads": 0, "plans": 0}

    def counted(act, what):
        def counting(*args, **kwargs):
            counts[what] += 1
            return act(*args, **kwargs)

        return counting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openers, "open_encoder", counted(openers.open_encoder, "loads"))
        patch.setattr(Planner, "submit", counted(Planner.submit, "plans"))
        assert cli.main(command(tiny, output, "--token_prepending", "auto", "off")) == 0
    return output, counts


def manifest(output: Path) -> dict:
    """The manifest without what no two runs share, such as seconds and the share of the ceiling."""
    content = json.loads((output / "manifest.json").read_text("utf-8"))
    for entry in content["variants"].values():
        for made in entry["tasks"].values():
            for name in ("seconds", "share_of_ceiling", "sha256", "items"):
                made.pop(name)
    return content


def shards(output: Path) -> set[str]:
    """Paths of the shards: a file's name is its content's digest, its folder's name the reading's fingerprint."""
    return {path.relative_to(output).as_posix() for path in output.glob("store/*/*.safetensors")}


@pytest.mark.slow
def test_results_vectors_and_manifest_are_those_of_two_commands(apart, both):
    output, _ = both
    assert scores(output) == scores(apart)
    assert len(scores(output)) == 2 * len(DIMS) * len(TASKS)
    assert shards(output) == shards(apart)
    assert manifest(output) == manifest(apart)


def test_the_model_is_loaded_once_and_each_task_is_planned_once(both):
    assert both[1] == {"loads": 1, "plans": len(TASKS)}


def test_the_report_has_both(both):
    table = (both[0] / "report" / "mini_token_prepending.csv").read_text("utf-8")
    assert "TP off" in table and "TP on layers 1-7" in table


def test_the_same_command_goes_on_where_it_was_stopped(tiny, both, tmp_path, caplog):
    output = shutil.copytree(both[0], tmp_path / "out")
    (lost,) = output.glob("results/*/*/experiments/profile_qzhou-zh-mini__token_prepending_off/MiniSTS.json")
    lost.unlink()
    argv = command(tiny, output, "--token_prepending", "auto", "off")
    with caplog.at_level(logging.INFO):
        assert cli.main(argv) == 0
    (line,) = [message for message in caplog.messages if "all in the store" in message]
    assert line.startswith("[1/1] MiniSTS (TP off): ")
    assert scores(output) == scores(both[0])
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert cli.main(argv) == 0
    assert "all 8 results are reused" in caplog.text


def test_evaluate_alone_scores_every_reading(tiny, both, tmp_path):
    argv = command(tiny, tmp_path, "--token_prepending", "auto", "off", "--store_dir", str(both[0] / "store"))
    assert cli.main(["evaluate", *argv[1:]]) == 0
    assert scores(tmp_path) == scores(both[0])


@pytest.mark.slow
def test_vectors_that_are_made_again_are_those_of_every_reading(tiny, both, tmp_path, caplog):
    output = shutil.copytree(both[0], tmp_path / "out")
    argv = command(tiny, output, "--token_prepending", "auto", "off", "--reencode", "MiniSTS")
    assert cli.main(argv) == 0
    for name in ("MiniSTS (TP 1-7)", "MiniSTS (TP off)"):
        assert any(message.startswith(f"{name}: ") and "difference 0.0e+00" in message for message in caplog.messages)
    assert not list(output.glob("store/*/*.open"))


def test_a_plan_counts_all_readings(tiny, both, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("qzhou_eval.run.dry_run.CHEAP_WEIGHTS", 0)

    def todo(output, *readings) -> list[str]:
        assert cli.main(command(tiny, output, "--token_prepending", *readings, verb="plan")) == 0
        out = capsys.readouterr().out
        total = next(line for line in out.splitlines() if line.startswith("total"))
        return [total.split()[3], int(total.split()[4].replace(",", "")), out]

    stored, one, _ = todo(tmp_path, "auto")
    assert (stored, one > 0) == ("0%", True)
    stored, two, out = todo(tmp_path, "auto", "off")
    assert (stored, two) == ("0%", 2 * one)
    assert "one pass at full width 96 for each of TP 1-7, TP off gives dimensions 16, 96" in out
    assert todo(both[0], "auto", "off")[:2] == ["100%", 0]
    stored, rest, _ = todo(both[0], "auto", "off", "1-6")
    assert (stored, rest) == ("67%", one)


def test_one_ceiling_is_measured_for_all_readings(tiny, tmp_path):
    """A ceiling measured while others work would be too low, and shares of it could exceed 100 %."""
    options = EncoderOptions(device="cpu")
    config = RunConfig(str(tiny), tmp_path, profile="qzhou-zh-mini", tasks=["MiniSTS"], options=options)
    run = prepare_run(replace(config, also_token_prepending=("off", (1, 6))))
    found = encoders(run.subject.open_encoder(), run.subject.readings)
    assert [one.settings.token_prepending for one in found.values()] == [(1, 7), None, (1, 6)]
    assert len({one.ideal_seconds([16, 9]) for one in found.values()}) == 1


def layers(tiny, tmp_path, *values, first="auto"):
    options = EncoderOptions(device="cpu", token_prepending=first)
    config = RunConfig(str(tiny), tmp_path, profile="qzhou-zh-mini", tasks=["MiniSTS"], options=options)
    run = prepare_run(replace(config, also_token_prepending=values))
    return [reading.token_prepending for reading in run.subject.readings]


def test_values_that_come_to_the_same_are_read_once_and_said(tiny, tmp_path, caplog):
    assert layers(tiny, tmp_path, "off", (1, 6)) == [(1, 7), None, (1, 6)]
    assert not caplog.records
    assert layers(tiny, tmp_path, "on", "off", (1, 7)) == [(1, 7), None]
    assert caplog.messages == ["--token_prepending: 4 values mean 1-7 and off here; each is encoded once"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--token_prepending", "auto", "sometimes"], "'sometimes': choose auto, on, off or layers such as 1-7"),
        (["--token_prepending", "off", "0-9"], "--token_prepending 0-9: the model has layers 0 to 8"),
        (["--token_prepending", "off", "1-6", "--tp_layers", "1-5"], "--tp_layers contradicts --token_prepending"),
    ],
)
def test_readings_that_cannot_be_had_are_one_line(tiny, tmp_path, capsys, more, said):
    assert cli.main(command(tiny, tmp_path / "out", *more)) == cli.EXIT_BAD_INPUT
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_tp_layers_say_what_on_is_beside_off(tiny, tmp_path, capsys):
    argv = command(tiny, tmp_path, "--token_prepending", "on", "off", "--tp_layers", "2-3", verb="plan")
    assert cli.main(argv) == 0
    assert "for each of TP 2-3, TP off" in capsys.readouterr().out
