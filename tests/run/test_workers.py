"""The processes that read and score: a dead one costs one job, plans and scoring each get a share, memory suffices."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import mteb
import pytest

from qzhou_eval import cli
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.run import score_jobs
from qzhou_eval.run.processes import PLAN, SCORE, ProcessPool, WorkerDied, process_pool, worker_count
from qzhou_eval.system.environment import usable_cores


class Watched:
    """Jobs that last until the test ends them; ``began`` lists them in the order in which they started."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self._gates: dict[str, threading.Event] = {}

    def job(self, name: str):
        gate = self._gates[name] = threading.Event()

        def act() -> str:
            self.began.append(name)
            assert gate.wait(10)
            return name

        return act

    def end(self, name: str, future) -> None:
        self._gates[name].set()
        assert future.result(10) == name

    def wait_for(self, count: int) -> list[str]:
        end = time.monotonic() + 10
        while len(self.began) < count and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(0.05)  # any other job would have begun by now
        return self.began[:]


def threads(workers: int, memory: int = 0) -> ProcessPool:
    """A pool over threads instead of processes: the same rules, with jobs that the test can hold."""
    return ProcessPool(workers, lambda: ThreadPoolExecutor(1), memory)


def test_scoring_does_not_wait_behind_plans_nor_plans_behind_scoring():
    watched, pool = Watched(), threads(2)
    plans = {f"plan {n}": pool.submit(watched.job(f"plan {n}")) for n in range(4)}
    scores = {f"score {n}": pool.submit(watched.job(f"score {n}"), kind=SCORE) for n in range(4)}
    assert watched.wait_for(2) == ["plan 0", "plan 1"]
    for ended, expected in (("plan 0", "score 0"), ("plan 1", "plan 2"), ("score 0", "score 1"), ("plan 2", "plan 3")):
        watched.end(ended, (plans | scores)[ended])
        assert watched.wait_for(0)[-1] == expected
    for name, future in (plans | scores).items():
        watched.end(name, future)
    pool.close()


@pytest.mark.parametrize("kind", [PLAN, SCORE])
def test_one_process_alternates(kind):
    watched, pool = Watched(), threads(1)
    names = [f"{which} {n}" for n in range(2) for which in (PLAN, SCORE)]
    futures = {}
    for name in sorted(names, key=lambda name: not name.startswith(kind)):
        futures[name] = pool.submit(watched.job(name), kind=name.split()[0])
    for _ in names:
        running = watched.wait_for(0)[-1]
        watched.end(running, futures[running])
    kinds = [name.split()[0] for name in watched.began]
    assert kinds in ([PLAN, SCORE] * 2, [SCORE, PLAN] * 2)
    pool.close()


def test_what_runs_together_fits_the_memory_and_what_never_fits_runs_alone():
    watched, pool = Watched(), threads(3, memory=10)
    sizes = {"six": 6, "five": 5, "four": 4, "twenty": 20, "one": 1}
    futures = {name: pool.submit(watched.job(name), kind=SCORE, memory=size) for name, size in sizes.items()}
    assert watched.wait_for(2) == ["six", "four"]  # with five it would be eleven; four may pass it
    watched.end("four", futures["four"])
    assert watched.wait_for(3)[2:] == ["one"]
    watched.end("six", futures["six"])
    assert watched.wait_for(4)[3:] == ["five"]
    watched.end("one", futures["one"])
    assert "twenty" not in watched.wait_for(4)
    watched.end("five", futures["five"])
    assert watched.wait_for(5)[4:] == ["twenty"]
    watched.end("twenty", futures["twenty"])
    pool.close()


@pytest.mark.slow
def test_a_job_of_a_pool_that_is_ended_did_not_fail():
    with pytest.raises(KeyboardInterrupt), process_pool(1) as pool:
        running, waiting = pool.submit(time.sleep, 60), pool.submit(time.sleep, 60)
        while not running.running():
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert isinstance(running.exception(60), CancelledError) and waiting.cancelled()


@pytest.mark.slow
def test_a_dead_process_takes_its_own_job_with_it_and_another_takes_its_place():
    with process_pool(2) as pool:
        longer = pool.submit(time.sleep, 4)
        dead = pool.submit(os.kill, os.getpid(), 0), pool.submit(signal.raise_signal, signal.SIGKILL, kind=SCORE)
        later = [pool.submit(os.getpid, kind=kind) for kind in (PLAN, SCORE) * 2]
        assert dead[0].exception(60) is None
        assert isinstance(dead[1].exception(60), WorkerDied)
        assert longer.exception(60) is None
        assert all(future.result(60) != os.getpid() for future in later)


def test_as_many_processes_as_cores_that_may_be_used():
    one = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    code = f"{one}; from qzhou_eval.run.processes import worker_count; print(worker_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert usable_cores() <= len(os.sched_getaffinity(0))
    assert worker_count(3) == 3


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["dies", "breaks"])
def test_a_scoring_process_that_fails_costs_its_task_alone(tiny, tmp_path, monkeypatch, caplog, ending):
    """Encoding goes on, the other tasks are scored, and the repeated command finishes the rest."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "support" / "scripts")
    import deadly

    argv = ["run", "--model_name_or_path", str(tiny), "--profile", "qzhou-zh-mini", "--device", "cpu", "--dim", "16"]
    argv += ["--tasks", "MiniSTS", "MiniRetrieval", "MiniReranking", "--output_dir", str(tmp_path)]
    monkeypatch.setattr(score_jobs, "evaluate", getattr(deadly, f"evaluate_that_{ending}"))
    assert cli.main([*argv, "--eval_workers", "2"]) == cli.EXIT_FAILED_TASKS
    assert sorted(path.stem for path in tmp_path.glob("results/**/Mini*.json")) == ["MiniReranking", "MiniRetrieval"]
    logs = list(tmp_path.glob("faults/*"))
    (line,) = {line for line in caplog.messages if line.startswith("failed: ")}
    if ending == "dies":
        assert line == "failed: MiniSTS: its score process died (out of memory?)"
        assert not logs
    else:  # a bug in this project, never blamed on the user's data
        assert "MiniSTS: a bug in qzhou-eval, not in your input (IndexError: a bug of ours)" in line
        (log,) = logs
        assert str(log) in line
        assert "in evaluate_that_breaks" in log.read_text("utf-8")
    assert not any("Traceback" in line for line in caplog.messages)
    monkeypatch.undo()
    assert cli.main(argv) == 0
    assert len(list(tmp_path.glob("results/**/Mini*.json"))) == 3


def test_sizes_of_the_official_data_are_those_that_mteb_ships():
    for task in cmteb().tasks:
        shipped = mteb.get_task(task.name).metadata.descriptive_stats
        splits = {*task.splits, *(["train"] if task.type == "Classification" else [])}
        counts = [c for split in splits for c in shipped[split].values() if isinstance(c, dict) and "unique_texts" in c]
        assert task.texts == sum(count["unique_texts"] for count in counts)
        assert task.characters == sum(count["total_text_length"] for count in counts)
