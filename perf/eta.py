"""How accurate a run's remaining time is: compares the forecast at every batch with the true end of encoding.

Runs ``encode`` with an empty store in a process of its own and records, for each batch after the first tenth of time
and tokens, when it was done and the seconds then shown as left. Prints the largest error as a share of the whole time,
and of the time that was left (while at least a tenth was left); by wall-clock time, and by the CPU time of the process,
which other processes on the machine hardly affect.

    python perf/eta.py [--check] [flags of encode; default: the miniature]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval import cli
from qzhou_eval.encode.progress import Progress
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.run import pipeline

GOAL = 0.20
CLOCKS = {"wall": time.monotonic, "CPU": time.process_time}


@dataclass(frozen=True)
class Forecast:
    """A forecast made ``at`` a time in seconds, with ``tokens`` done; ``left`` is None before the first estimate."""

    at: float
    tokens: float
    left: float | None


class Recorded(Progress):
    """A run's own progress, and one more per clock, whose forecasts are recorded."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.twins = {name: Progress(*args, clock=clock) for name, clock in CLOCKS.items()}
        FORECASTS.update((name, []) for name in CLOCKS)

    def expect(self, *args) -> None:
        super().expect(*args)
        for twin in self.twins.values():
            twin.expect(*args)

    def begin(self, *args) -> None:
        super().begin(*args)
        for twin in self.twins.values():
            twin.begin(*args)

    def step(self, *args) -> None:
        super().step(*args)
        for name, twin in self.twins.items():
            twin.step(*args)
            status = twin.status()
            FORECASTS[name].append((CLOCKS[name](), status.done, status.seconds_left))


FORECASTS: dict[str, list[tuple]] = {}


def encode(output: Path, flags: list[str]) -> int:
    """Encode in this process; the forecasts go to a file in ``output``."""
    pipeline.Progress = Recorded
    code = cli.main(["encode", *flags, "--output_dir", str(output)])
    (output / "forecasts.json").write_text(json.dumps(FORECASTS))
    return code


def errors(forecasts: list[Forecast]) -> list[float]:
    """The whole time, and the worst error as a share of it and of the time left."""
    start, end, tokens = forecasts[0].at, forecasts[-1].at, forecasts[-1].tokens
    whole = end - start
    counted = [f for f in forecasts if f.tokens >= tokens / 10 and f.at - start >= whole / 10]
    if any(f.left is None for f in counted):
        sys.exit("there was no forecast after the first tenth")
    apart = [(abs(f.at + f.left - end), end - f.at) for f in counted]
    return [whole, max(e for e, _ in apart) / whole, max(e / left for e, left in apart if left >= whole / 10)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help=f"exit code 1 when an error is above {GOAL:.0%}")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    args, flags = parser.parse_known_args()
    if not flags:
        flags = ["--model_name_or_path", str(CHECKPOINT), "--profile", "qzhou-zh-mini", "--benchmark", "mini"]
    if args.inside:
        return encode(args.inside, flags)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, __file__, "--inside", folder, *flags], check=True)
        found = json.loads((Path(folder) / "forecasts.json").read_text())
    worst = 0.0
    for clock, rows in found.items():
        whole, *shares = errors([Forecast(*row) for row in rows])
        worst = max(worst, *shares)
        print(
            f"{clock}: {whole:.0f} s; worst error {shares[0]:.1%} of the whole time, {shares[1]:.1%} of the time left"
        )
    print(f"{rows[-1][1]:,.0f} tokens")
    return int(args.check and worst > GOAL)


if __name__ == "__main__":
    sys.exit(main())
