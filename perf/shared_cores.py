"""Measures what it costs to encode while other processes use the same cores.

The real command encodes one task of the miniature into a new store: on two cores of its own, then with a busy loop
pinned to each of them, so that four threads share two cores. While they wait, OpenMP's threads spin for a moment and
then sleep, as the command sets them; or sleep at once; or spin as long as OpenMP would by itself. All of this in turn,
three times (a run that takes longer than --limit seconds is stopped and counts as 0). Linux.

    python perf/shared_cores.py [--limit 300]
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tabulate import tabulate

from qzhou_eval.miniature.__main__ import CHECKPOINT

CORES = (0, 1)
REPEATS = 3
RATE = re.compile(r"encoded [\d,]+ at ([\d,]+) tokens/s")
POLICIES = {
    "soon asleep (the command's own)": {},
    "asleep at once": {"OMP_WAIT_POLICY": "passive"},
    "spinning (OpenMP's own)": {"GOMP_SPINCOUNT": "300000"},
}
TASK = "MiniRetrieval"


@contextmanager
def busy(cores: tuple[int, ...]):
    """Run a busy loop on each core."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in cores]
    for core, loop in zip(cores, loops, strict=True):
        os.sched_setaffinity(loop.pid, {core})
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def tokens_per_second(policy: dict[str, str], limit: float) -> float | None:
    """The rate of one run of the command; None if it did not end in time."""
    argv = ["encode", "--model_name_or_path", str(CHECKPOINT), "--profile", "qzhou-zh-mini", "--tasks", TASK]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "qzhou_eval.cli", *argv, "--device", "cpu", "--output_dir", folder],
                env=os.environ | policy,
                cwd=Path(__file__).resolve().parents[1],
                preexec_fn=lambda: os.sched_setaffinity(0, set(CORES)),
                capture_output=True,
                text=True,
                timeout=limit,
                check=True,
            )
        except subprocess.TimeoutExpired:
            return None
    return float(RATE.search(done.stderr)[1].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=300, help="seconds for one run (default: %(default)s)")
    args = parser.parse_args()
    found: dict[tuple[str, bool], list[float]] = {(name, shared): [] for name in POLICIES for shared in (False, True)}
    for _ in range(REPEATS):
        for (name, shared), rates in found.items():
            with busy(CORES if shared else ()):
                rates.append(tokens_per_second(POLICIES[name], args.limit) or 0.0)
    rows = []
    for name in POLICIES:
        alone, shared = max(found[name, False]), max(found[name, True])
        worst = min(found[name, True])
        rows.append([name, alone, shared, worst, alone / shared if shared else None])
    headers = ["threads that wait", "alone, tokens/s", "shared, best", "shared, worst", "alone / shared, best"]
    print(tabulate(rows, headers, floatfmt=("", ",.0f", ",.0f", ",.0f", ".1f"), missingval="-"))


if __name__ == "__main__":
    main()
