"""Kill a run at any moment: the repeated command gives the same numbers, and nothing finished is done twice."""

import os
import random
import signal
import time

import pytest
from faults import TASKS, assert_all_json_is_whole, files, finish, group_is_gone, kill_group, launch, scores, stored

from qzhou_eval import cli
from qzhou_eval.miniature.__main__ import CHECKPOINT


def seeds(in_ci: int, in_all: int) -> list:
    return [pytest.param(seed, marks=[pytest.mark.exhaustive] if seed >= in_ci else []) for seed in range(in_all)]


pytestmark = pytest.mark.slow


def command(output) -> list[str]:
    what = ["run", "--model_name_or_path", str(CHECKPOINT), "--profile", "qzhou-zh-mini", "--tasks", *TASKS]
    return [*what, "--dim", "128", "1792", "--device", "cpu", "--eval_workers", "2", "--output_dir", str(output)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """An unbroken run and how long it takes: the shorter of two, of which the first fills caches."""
    folder = tmp_path_factory.mktemp("unbroken")
    seconds = []
    for name in ("first", "out"):
        start = time.monotonic()
        finish(folder, command(folder / name))
        seconds.append(time.monotonic() - start)
    return folder / "out", min(seconds)


def assert_same(output, expected) -> None:
    assert scores(output) == scores(expected)
    assert files(output) == files(expected)
    assert_all_json_is_whole(output)


@pytest.mark.parametrize("seed", seeds(4, 50))
def test_a_killed_run_goes_on_and_gives_the_same_numbers(unbroken, tmp_path, seed):
    expected, seconds = unbroken
    output, choose = tmp_path / "out", random.Random(seed)
    process = launch(tmp_path, command(output))
    time.sleep(choose.uniform(0, seconds))
    if choose.random() < 0.5:
        kill_group(process)  # as if the machine went down
    else:
        process.kill()  # only the main process: its workers must end too
        process.wait()
        assert group_is_gone(process, 20)
    assert_all_json_is_whole(output)
    before = stored(output)
    finish(tmp_path, command(output))
    assert_same(output, expected)
    after = stored(output)
    assert before.items() <= after.items()
    keys = [key for shard in after.values() for key in shard]
    assert len(keys) == len(set(keys)), "a prompt of a finished shard was encoded twice"


@pytest.mark.parametrize("seed", seeds(2, 8))
def test_a_signal_stops_a_run_cleanly_at_any_moment(unbroken, tmp_path, seed):
    expected, seconds = unbroken
    output, choose = tmp_path / "out", random.Random(100 + seed)
    process = launch(tmp_path, command(output))
    time.sleep(choose.uniform(0.5, 0.7 * seconds))  # any later, the run might already be over
    stop = time.monotonic()
    if seed % 2:
        process.terminate()
    else:  # Ctrl-C reaches the whole group
        os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert time.monotonic() - stop < 10
    assert process.returncode == cli.EXIT_INTERRUPTED, said
    assert said.splitlines()[-1] == "interrupted; repeat the command to resume"
    assert "Traceback" not in said and "failed:" not in said
    assert group_is_gone(process, 5)
    assert not list(tmp_path.rglob(".tmp-*"))
    finish(tmp_path, command(output))
    assert_same(output, expected)


def test_an_interrupt_that_a_library_turned_into_its_own_error_is_an_interrupt(tmp_path, capsys):
    """As transformers does where Ctrl-C hits while one of its modules is imported."""

    def command() -> int:
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as error:
                raise RuntimeError("Error calling __set_name__") from error
        except RuntimeError as error:
            raise ModuleNotFoundError("Could not import module 'Qwen3Model'") from error

    assert cli.guarded(command, lambda: tmp_path) == cli.EXIT_INTERRUPTED
    assert capsys.readouterr().err == "interrupted; repeat the command to resume\n"
    assert list(tmp_path.iterdir()) == []
