"""How long a command takes apart from its work: import, help, report, and reruns that reuse every result.

Each is run in new processes, once to warm the disk's cache and then five times; the median is compared with a goal.
None of them may import torch, mteb or pandas. They need a finished miniature, which is made if there is none (a minute
or two).

    python perf/startup.py [--output_dir D] [--check]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from qzhou_eval.miniature.__main__ import CHECKPOINT

CHECKOUT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "mteb", "pandas")
RUNS = 5


@dataclass(frozen=True)
class Timed:
    """A command (the arguments of ``python``) and the seconds that it may take."""

    name: str
    argv: list[str]
    goal: float


def commands(output_dir: Path) -> list[Timed]:
    """What is measured, on the finished miniature in ``output_dir``."""
    cli = ["-m", "qzhou_eval.cli"]
    model = ["--model_name_or_path", str(CHECKPOINT), "--profile", "qzhou-zh-mini", "--dtype", "float32"]
    where = ["--device", "cpu", "--dim", "all", "--output_dir", str(output_dir)]
    return [
        Timed("import qzhou_eval", ["-c", "import qzhou_eval"], 1),
        Timed("qzhou-eval --help", [*cli, "--help"], 1),
        Timed("qzhou-eval report D", [*cli, "report", str(output_dir)], 2),
        Timed("qzhou-eval run, all reused", [*cli, "run", *model, *where, "--benchmark", "mini"], 2),
        Timed("the miniature, all reused", ["-m", "qzhou_eval.miniature", "--output_dir", str(output_dir)], 2),
    ]


def python(argv: list[str]) -> subprocess.CompletedProcess:
    """Run this interpreter in the checkout.

    Raises:
        CalledProcessError: it failed.
    """
    return subprocess.run([sys.executable, *argv], cwd=CHECKOUT, capture_output=True, text=True, check=True)


def seconds(argv: list[str]) -> float:
    start = time.perf_counter()
    python(argv)
    return time.perf_counter() - start


def heavy_imports(command: Timed) -> list[str]:
    """Which of the heavy libraries a command imports, as the interpreter itself reports."""
    told = python(["-X", "importtime", *command.argv]).stderr
    if "all reused" in command.name and "are reused" not in told:
        sys.exit(f"{command.name}: something was evaluated again; nothing is measured")
    imported = {line.rsplit("|", 1)[-1].strip() for line in told.splitlines() if line.startswith("import time:")}
    return [name for name in HEAVY if name in imported]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, help="the miniature's output; made there if it is not finished")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a goal is missed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output_dir = (args.output_dir or Path(folder) / "miniature").resolve()
        python(["-m", "qzhou_eval.miniature", "--output_dir", str(output_dir)])
        rows = []
        for command in commands(output_dir):
            heavy = heavy_imports(command)
            median = statistics.median(seconds(command.argv) for _ in range(RUNS))
            met = not heavy and median < command.goal
            rows.append([command.name, median, command.goal, " ".join(heavy) or "-", "yes" if met else "NO"])
    print(tabulate(rows, ["command", "seconds", "goal", "imports", "met"], floatfmt=("", ".2f", ".0f")))
    if args.check and any(row[-1] == "NO" for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
