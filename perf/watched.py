"""Runs a command and records the memory of its processes while it runs, and its output. Linux."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.5  # seconds


@dataclass
class Watched:
    """A command that has ended.

    Memory is PSS in bytes: pages that several processes share count once.

    Attributes:
        seconds: how long it ran.
        code: its exit code; negative, the signal that killed it.
        lines: its output.
        samples: (second, memory of all its processes together, of the command's own, of the largest other).
    """

    seconds: float = 0.0
    code: int | None = None
    lines: list[str] = field(default_factory=list)
    samples: list[tuple[float, int, int, int]] = field(default_factory=list)

    @property
    def peaks(self) -> tuple[int, int, int]:
        """The maximum of each over the samples; 0 for a command that ended before one was taken."""
        return tuple(map(max, zip((0, 0, 0), *(held for _, *held in self.samples), strict=True)))


def watch(argv: list, *, kill_after: float | None = None) -> Watched:
    """Run ``qzhou-eval`` with these arguments and watch it.

    Args:
        kill_after: kill it and all its processes (SIGKILL) after this number of seconds.
    """
    seen, start = Watched(), time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "qzhou_eval.cli", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    reader = threading.Thread(target=lambda: seen.lines.extend(line.rstrip("\n") for line in process.stdout))
    reader.start()
    while process.poll() is None:
        seen.samples.append((time.monotonic() - start, *_held(process.pid)))
        if kill_after is not None and time.monotonic() - start > kill_after:
            subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
        time.sleep(EVERY)
    reader.join()
    seen.seconds, seen.code = time.monotonic() - start, process.returncode
    return seen


def _held(pid: int) -> tuple[int, int, int]:
    """Bytes of a process and all its descendants together, of itself, and of the largest descendant."""
    own, *others = map(_pss, _tree(pid) or [pid])
    return own + sum(others), own, max(others, default=0)


def _tree(pid: int) -> list[int]:
    """A process and all its descendants, whichever thread started them."""
    try:
        children = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [pid, *(below for some in children for child in some for below in _tree(int(child)))]


def _pss(pid: int) -> int:
    """PSS of a process in bytes; 0 if it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
