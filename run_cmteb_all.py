#!/usr/bin/env python3
"""The model card's command: evaluate a model on CMTEB. See ``--help`` and README.md."""

import importlib.util
import os
import sys
from pathlib import Path

from qzhou_eval.cli import run_cmteb_all

VENV = Path(__file__).resolve().parent / ".venv" / "bin" / "python"

if __name__ == "__main__":
    if importlib.util.find_spec("mteb") is None:  # run with the system's Python, as the card shows it
        if not VENV.exists():
            sys.exit("error: the requirements are not installed; run ./run_benchmark_cmteb.sh to set up .venv")
        os.execv(VENV, [str(VENV), *sys.argv])
    sys.exit(run_cmteb_all())
