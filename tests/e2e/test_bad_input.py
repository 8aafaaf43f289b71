"""Bad input gets one clear line that says what is wrong, where and what to do; exit code 2; nothing is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bad_files import prepare
from invocations import INVOCATIONS
from own_data_invocations import write_own_data

from qzhou_eval import cli

ROOT = Path(__file__).parents[2]
IN_THIS_PROCESS = [row for rows in INVOCATIONS.values() for row in rows]


def tree(folder: Path) -> dict[str, bytes]:
    """Every path in ``folder`` with its content; folders have none."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, tiny, finished) -> Path:
    """A folder with everything that the invocations below name, good and bad; every test leaves it unchanged."""
    root = tmp_path_factory.mktemp("prepared")
    prepare(root, tiny, finished)
    write_own_data(root)
    return root


@pytest.fixture
def place(prepared, monkeypatch) -> Path:
    """``prepared`` as the current folder."""
    monkeypatch.chdir(prepared)
    return prepared


def shown(value: list[str] | str) -> str:
    """A row's name in pytest's output: the end of the command, the beginning of the message."""
    return value[:30] if isinstance(value, str) else " ".join(value)[-40:] or "nothing"


@pytest.mark.parametrize(("argv", "message"), IN_THIS_PROCESS, ids=shown)
def test_one_line_exit_code_2_nothing_written(place, capsys, caplog, argv, message):
    """All cases; one of each kind goes through the real command below, too."""
    before = tree(place)
    assert cli.main(argv) == cli.EXIT_BAD_INPUT
    said = [line for line in capsys.readouterr().err.splitlines() if line and "LOAD REPORT" not in line]
    said += [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1
    assert message in said[0]
    assert tree(place) == before


def by_real_command() -> list:
    """Of each kind the first with each verb, and the last that is slow: it is found in the model or in the data."""
    chosen = {}
    for kind, rows in INVOCATIONS.items():
        for row in rows:
            if type(row) is tuple:
                chosen.setdefault((kind, *row[0][:1]), row)
            else:
                chosen[kind, "slow"] = row
    return list(chosen.values())


@pytest.mark.slow
@pytest.mark.parametrize(("argv", "message"), by_real_command(), ids=shown)
def test_the_real_command_says_one_line_and_writes_nothing(prepared, argv, message):
    """In its own process: nothing that a library prints, even at exit, is mixed with the line."""
    before = tree(prepared)
    command = [sys.executable, "-m", "qzhou_eval.cli", *argv]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=prepared, env=env, check=False)
    assert done.returncode == cli.EXIT_BAD_INPUT
    assert "Traceback" not in done.stderr
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1), done.stderr
    assert message in done.stderr
    assert tree(prepared) == before


@pytest.mark.slow
def test_the_real_command_prints_no_traceback(tiny, tmp_path):
    argv = ["--model_name_or_path", tiny, "--profile", "qzhou-zh", "--dim", "4096", "--output_dir", "D"]
    done = subprocess.run(
        [sys.executable, ROOT / "run_cmteb_all.py", *argv],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == cli.EXIT_BAD_INPUT
    assert done.stderr.strip() == "error: --dim 4096: the model's vectors have 96 dimensions; choose 1 to 96"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_without_a_hub_the_command_that_fetches_the_data_is_named(place, caplog):
    argv = ["run", "--model_name_or_path", "model", "--output_dir", "out", "--device", "cpu", "--tasks", "AFQMC"]
    assert cli.main(argv) == cli.EXIT_BAD_INPUT
    assert "qzhou-eval fetch --tasks AFQMC --to ROOT, then give --data_dir ROOT" in caplog.text
    assert not (place / "out").exists()
