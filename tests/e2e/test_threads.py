"""How threads share cores with other processes, as OpenMP itself reports for the real command."""

import os
import re
import subprocess
import sys

import pytest
from commands import run_command

SPINS = re.compile(r"GOMP_SPINCOUNT = '(\w+)'")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only libgomp tells its settings")
@pytest.mark.parametrize(("own", "said"), [({}, "10000"), ({"OMP_WAIT_POLICY": "passive"}, "0")])
def test_threads_that_wait_soon_sleep_unless_told_otherwise(*, tiny, official, tmp_path, own, said):
    argv = ["encode", *run_command(tiny, official, tmp_path)[1:], "--tasks", "STSB"]
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-m", "qzhou_eval.cli", *argv],
        env=theirs | {"OMP_DISPLAY_ENV": "verbose"} | own,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(SPINS.findall(done.stderr)) == {said}
