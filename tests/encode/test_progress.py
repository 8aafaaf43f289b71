"""What a person sees of a run, on a terminal and in a file, and whether the predicted end can be trusted."""

import io
import logging
import os
import random
import signal
import subprocess
import sys

import pytest
from terminal import on_terminal

from qzhou_eval import cli
from qzhou_eval.encode.encoder import PreparedText
from qzhou_eval.encode.progress import LatestScore, Progress, Status, _picture, lines
from qzhou_eval.encode.workload import SAMPLE, estimate
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.system.formatting import duration, scaled

TASKS = ["MiniSTS", "MiniRetrieval"]  # in encoding order: the larger one first


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def squares(lengths) -> float:
    return float(sum(length**2 for length in lengths))


def test_the_end_is_foretold_from_work_and_known_once_every_task_is():
    clock = Clock()
    progress = Progress(2, squares, clock)
    progress.begin("one", [4, 4, 2])
    clock.now += 10
    progress.step("one", [4], None)
    assert progress.status().total is progress.status().seconds_left is None
    progress.expect("two", [3, 1], times=10)  # 20 prompts, 40 tokens, work 100
    assert (progress.status().total, progress.status().seconds_left) == (50, None)
    clock.now += 5
    progress.step("one", [4], None)
    status = progress.status()
    assert (status.done, status.total, status.task, status.number) == (8, 50, "one", 1)
    assert status.seconds_left == pytest.approx((4 + 100) / (16 / 5))  # planning slowed what was before
    assert status.rate == pytest.approx(8 / 15)
    progress.expect("one", [9] * 9)  # comes late: a task that has begun is known exactly
    assert progress.status().total == 50
    progress.end("one")  # failed: its remaining prompts will not be encoded
    assert progress.status().total == 48
    progress.begin("two", [])  # everything was in the store after all
    progress.end("two")
    clock.now += 1000
    assert (progress.status().total, progress.status().part, progress.status().seconds_left) == (8, 1, 0)
    assert progress.status().rate == pytest.approx(8 / 15)  # the clock stopped with the last task


def test_the_share_of_the_ceiling_is_that_of_all_devices():
    clock = Clock()
    progress = Progress(1, clock=clock)
    progress.begin("one", [10, 10], devices=4)
    clock.now += 5
    progress.step("one", [10], 8.0)
    assert progress.status().share == pytest.approx(8 / 5 / 4)


def test_a_sample_stands_for_a_task_of_any_lengths():
    draw = random.Random(1)
    prompts = ["x" * min(1000, round(draw.lognormvariate(4, 1))) for _ in range(20_000)]

    lengths, times = estimate(prompts, lambda some: [PreparedText(text, len(text)) for text in some])
    assert SAMPLE <= len(lengths) <= SAMPLE * 1.1
    assert times * sum(lengths) == pytest.approx(sum(map(len, prompts)), rel=0.02)
    assert times * squares(lengths) == pytest.approx(squares(map(len, prompts)), rel=0.1)
    assert estimate([], None) == ([], 1.0)
    few, times = estimate(prompts[:7], lambda some: [PreparedText(text, len(text)) for text in some])
    assert sorted(few) == sorted(map(len, prompts[:7])) and times == 1


def line_times(seconds: float, share: float) -> list[str]:
    """The shares reported by a run with steps of ``seconds`` each, every step ``share`` of 1000 tokens."""
    clock, said = Clock(), []
    look = lines(said.append, clock)
    for number in range(1, round(1 / share) + 1):
        clock.now += seconds
        look(Status(3, 1, "AFQMC", 1000 * number * share, 1000, 25.0, 0.5, 840.0, ()))
    return [line.split(":")[0].removeprefix("encoding ") for line in said]


def test_a_line_comes_after_each_tenth_and_not_too_often():
    assert line_times(seconds=1, share=0.05) == ["50%"]  # every ten seconds; none at the end
    assert line_times(seconds=60, share=0.125) == ["12%", "25%", "38%", "50%", "62%", "75%", "88%"]
    assert line_times(seconds=201, share=0.01)[:3] == ["3%", "6%", "9%"]  # every ten minutes
    said = []
    clock = Clock()
    look = lines(said.append, clock)
    clock.now += 20
    look(Status(3, 1, "AFQMC", 500, 1000, 25.0, 0.5, 840.0, ()))
    assert said == ["encoding 50%: 500 of 1.00 k tokens, 25 tokens/s, 50% of the ceiling, about 14 min left"]


@pytest.mark.parametrize("height", [4, 8, 30])
def test_the_picture_fits_the_terminal(height):
    from rich.console import Console

    scores = tuple(LatestScore(f"Task{n}" + "x" * 60, 1792, n) for n in range(31))
    console = Console(width=40, height=height, file=io.StringIO(), force_terminal=True)
    for status in (
        Status(31, 0, None, 0, None, None, None, None, ()),
        Status(31, 12, "T" * 90, 10, 100, 1e6, 0.4, 3e5, scores),
        Status(0, 0, None, 0, 0, None, None, None, scores),
    ):
        shown = console.render_lines(_picture(status, height), pad=False)
        assert len(shown) <= max(height, 6)
        assert all(sum(segment.cell_length for segment in line) <= 40 for line in shown)


def test_numbers_are_as_one_says_them():
    assert [scaled(n) for n in (0, 7, 999, 1000, 1234, 99_960, 999_600, 4.102e18)] == [
        *("0", "7", "999", "1.00 k", "1.23 k", "100 k", "1.00 M", "4.10 E"),
    ]
    assert [duration(s) for s in (0, 0.2, 4.4, 89, 91, 5300, 5500)] == [
        *("0 s", "<1 s", "4 s", "89 s", "2 min", "88 min", "1.5 h"),
    ]


def command(output, *more: str) -> list[str]:
    what = ["run", "--model_name_or_path", str(CHECKPOINT), "--profile", "qzhou-zh-mini", "--tasks", *TASKS]
    return [*what, "--dim", "128", "1792", "--device", "cpu", "--eval_workers", "1", "--output_dir", str(output), *more]


def test_quiet_and_verbose_contradict_each_other(tmp_path, capsys):
    assert cli.main(command(tmp_path, "--quiet", "--verbose")) == cli.EXIT_BAD_INPUT
    assert "not allowed with argument --quiet" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("level", ["--quiet", None, "--verbose"])
def test_a_file_gets_plain_lines(tmp_path, level):
    more = ["--tasks", "MiniRetrieval", *([level] if level else [])]
    argv = [sys.executable, "-m", "qzhou_eval.cli", *command(tmp_path, *more)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "\x1b" not in done.stderr and "\r" not in done.stderr
    said = done.stderr.splitlines()
    scored = [line.split(",")[0] for line in said if "by dimension" in line]
    batches = [line for line in said if line.startswith("MiniRetrieval") and " tokens; " in line]
    if level == "--quiet":
        assert said == []
    else:
        assert scored == ["MiniRetrieval"]
        assert bool(batches) == (level == "--verbose")


def seen_on(screens: list[str], *, of: str) -> list[str]:
    return [screen for screen in screens if of in screen]


@pytest.mark.slow
def test_a_terminal_shows_bar_scores_and_a_clean_end(tmp_path):
    """The score of MiniSTS arrives while MiniRetrieval is still encoded or scored."""
    screens: list[str] = []
    argv = [sys.executable, "-m", "qzhou_eval.cli", *command(tmp_path)]
    code, screen = on_terminal(argv, lambda process, text: screens.append(text))
    assert code == 0, screen.text()
    bars = seen_on(screens, of="━" * 20)
    assert bars and all(text.count("encoding ━") == 1 for text in bars)  # never torn: one bar at a time
    assert seen_on(bars, of="task 1 of 2: MiniSTS")
    assert seen_on(bars, of="tokens/s")
    landed = seen_on(bars, of="  MiniSTS  89.94  at 1792")
    assert landed
    assert screen.cursor
    left = screen.text()
    assert "━" not in left and "scored:" not in left
    assert [line.split(",")[0] for line in left.splitlines() if "by dimension" in line] == TASKS
    assert [line[:5] for line in left.splitlines() if line.startswith("[")] == ["[1/2]", "[2/2]"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_a_clean_terminal(tmp_path, stop):
    sent = []

    def interrupt(process, text) -> None:
        if not sent and "tokens/s" in text:
            sent.append(stop)
            os.killpg(process.pid, stop) if stop == signal.SIGINT else process.send_signal(stop)

    code, screen = on_terminal([sys.executable, "-m", "qzhou_eval.cli", *command(tmp_path)], interrupt)
    assert sent and code == cli.EXIT_INTERRUPTED, screen.text()
    assert screen.cursor
    said = [line for line in screen.text().splitlines() if line]
    assert said[-1] == "interrupted; repeat the command to resume"
    assert "━" not in screen.text() and "Traceback" not in screen.text()


NOISE = """import os, sys, time, warnings
from qzhou_eval.cli import set_up_logging
from qzhou_eval.encode.progress import LatestScore, Progress, shown
from qzhou_eval.run.processes import process_pool

def complain(number):
    warnings.warn("a warning of a worker", stacklevel=1)
    os.write(2, b"raw words of a worker\\n")
    return number

if __name__ == "__main__":
    set_up_logging()
    progress = Progress(1)
    progress.begin("STSB", [5, 5])
    with process_pool(1) as pool, shown(progress):
        for number in range(3):
            progress.landed(LatestScore(f"Task{number}", 64, pool.submit(complain, number).result()))
            print("words of a library " + "x" * 150, file=sys.stderr)
            time.sleep(0.5)
"""


@pytest.mark.slow
def test_what_workers_and_libraries_say_goes_above_the_view(tmp_path):
    script = tmp_path / "noise.py"
    script.write_text(NOISE)
    screens: list[str] = []
    code, screen = on_terminal([sys.executable, str(script)], lambda process, text: screens.append(text))
    assert code == 0, screen.text()
    assert seen_on(screens, of="Task2")
    for text in screens:
        if "━" in text:
            assert "worker" not in text.split("━")[-1] and "library" not in text.split("━")[-1]
    said = screen.text()
    assert said.count("raw words of a worker") == said.count("words of a library " + "x" * 150) == 3
    assert said.count("UserWarning: a warning of a worker") == 1
    assert "━" not in said and screen.cursor


def test_nothing_is_shown_where_only_warnings_are_wanted(capsys):
    from qzhou_eval.encode.progress import shown

    logging.getLogger("qzhou_eval").setLevel(logging.WARNING)
    progress = Progress(1)
    with shown(progress):
        progress.begin("one", [1])
        progress.step("one", [1], None)
    assert capsys.readouterr().err == ""
