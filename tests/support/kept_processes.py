"""Scoring processes that live as long as the tests: importing mteb in new ones for each run took half of the time."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from qzhou_eval.run import processes

open_pool = processes.process_pool


class KeptProcesses:
    """Gives a run in this process the scoring processes of the run before.

    They are new if their environment, folder or path of modules would be others, and after a run that an exception
    ended. A command that a test starts as a process of its own has its own.
    """

    def __init__(self) -> None:
        self._started_with, self._opened = None, None

    @contextmanager
    def process_pool(self, workers: int | None = None) -> Iterator[processes.ProcessPool]:
        """As :func:`qzhou_eval.run.processes.process_pool`, but the processes stay."""
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")  # as opening a pool does
        started_with = (processes.worker_count(workers), os.getcwd(), _environment(), list(sys.path))
        if self._opened is None or started_with != self._started_with:
            self.end()
            self._started_with, self._opened = started_with, open_pool(workers)
            self._pool = self._opened.__enter__()
        try:
            yield self._pool
        except BaseException:
            opened, self._opened = self._opened, None
            opened.__exit__(*sys.exc_info())
            raise

    def end(self) -> None:
        """End the processes."""
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
            self._opened = None


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
