"""Runs a command and looks at it while it runs: what its processes hold in memory, and when it says what. Linux."""

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
        lines: what it said, each with the second.
        peak: the most that all its processes held together.
        main: the most of the command's own process.
        worker: the most of any other.
        samples: (second, all processes together, the command's own).
    """

    seconds: float = 0.0
    code: int | None = None
    lines: list[tuple[float, str]] = field(default_factory=list)
    peak: int = 0
    main: int = 0
    worker: int = 0
    samples: list[tuple[float, int, int]] = field(default_factory=list)

    def last(self, count: int = 5) -> str:
        """The last lines, for a failure's message."""
        return "\n".join(line for _, line in self.lines[-count:])


def watch(argv: list, *, kill_after: float | None = None) -> Watched:
    """Run ``qzhou-eval`` with these arguments.

    Args:
        kill_after: kill it and all its processes (SIGKILL) after so many seconds.
    """
    seen, start = Watched(), time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "qzhou_eval.cli", *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    reader = threading.Thread(target=_read, args=(process, seen, start))
    reader.start()
    while process.poll() is None:
        _sample(process.pid, seen, time.monotonic() - start)
        if kill_after is not None and time.monotonic() - start > kill_after:
            subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
        time.sleep(EVERY)
    reader.join()
    seen.seconds, seen.code = time.monotonic() - start, process.returncode
    return seen


def _read(process: subprocess.Popen, seen: Watched, start: float) -> None:
    for line in process.stdout:
        seen.lines.append((time.monotonic() - start, line.rstrip("\n")))


def _sample(pid: int, seen: Watched, second: float) -> None:
    held = {one: _pss(one) for one in _tree(pid)}
    main, total = held.get(pid, 0), sum(held.values())
    seen.samples.append((second, total, main))
    seen.peak, seen.main = max(seen.peak, total), max(seen.main, main)
    seen.worker = max([seen.worker, *(size for one, size in held.items() if one != pid)])


def _tree(pid: int) -> list[int]:
    """A process and all below it, whichever thread started them."""
    try:
        children = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [pid, *(below for some in children for child in some for below in _tree(int(child)))]


def _pss(pid: int) -> int:
    """Bytes; 0 for a process that has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)
