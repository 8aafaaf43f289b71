#!/usr/bin/env python3
"""The model card's command: evaluate a model on CMTEB. See ``--help`` and README.md."""

import sys

from qzhou_eval.cli import run_cmteb_all

if __name__ == "__main__":
    sys.exit(run_cmteb_all())
