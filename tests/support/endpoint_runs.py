"""Runs through a server, as tests start them, and what is read from their results."""

from pathlib import Path

from embedding_server import Served

from qzhou_eval.results.reader import read_recorded

TASKS = ["MiniSTS", "MiniReranking"]


def command(served: Served, output: Path, *more: str, verb: str = "run", tasks: list[str] = TASKS) -> list[str]:
    """A run through the server."""
    where = ["--output_dir", str(output), "--eval_workers", "1"]
    return [verb, "--endpoint", served.url, "--tasks", *tasks, *where, *more]


def run_scores(output: Path) -> dict[tuple[str, int], float]:
    """Main scores by task and dimension."""
    return {
        (task, found.variant.dim): score
        for found in read_recorded(output)
        for task in found.tasks
        for score in found.scores[task].values()
    }
