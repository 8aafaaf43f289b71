"""A real run in its own process, to be killed; and what a folder must look like afterwards."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.numpy import load_file

# The real command with shards small enough that a short run writes many.
LAUNCH = """import sys
from qzhou_eval import cli
from qzhou_eval.encode import shard_writer
if __name__ == "__main__":
    shard_writer.SHARD_PROMPTS = 128
    sys.exit(cli.main(sys.argv[1:]))
"""
TASKS = ["MiniRetrieval", "MiniClustering"]


def launch(folder: Path, argv: list[str], **options) -> subprocess.Popen:
    """Start a command in its own process group; the launcher script is written to ``folder``."""
    script = folder / "launch.py"
    script.write_text(LAUNCH)
    return subprocess.Popen(
        [sys.executable, script, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **{"env": os.environ | {"OMP_NUM_THREADS": "1"}} | options,
    )


def finish(folder: Path, argv: list[str], **options) -> str:
    """Run a command to its end, which must be a success; return its stderr."""
    process = launch(folder, argv, **options)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def kill_group(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def group_is_gone(process: subprocess.Popen, seconds: float) -> bool:
    """Whether no process of the group is left, after waiting at most ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def scores(output: Path) -> dict[str, dict]:
    """The scores of every result file, by its path."""
    return {
        str(path.relative_to(output)): json.loads(path.read_text("utf-8"))["scores"]
        for path in output.glob("results/**/Mini*.json")
    }


def stored(output: Path) -> dict[str, list[bytes]]:
    """The keys of every shard, by the shard's name."""
    return {path.name: [bytes(key) for key in load_file(path)["keys"]] for path in output.glob("store/*/*.safetensors")}


def files(output: Path) -> set[str]:
    """Every file except the shards, whose names depend on where a run was stopped."""
    return {str(p.relative_to(output)) for p in output.rglob("*") if p.is_file() and p.suffix != ".safetensors"}


def assert_all_json_is_whole(output: Path) -> None:
    for path in output.rglob("*.json"):
        json.loads(path.read_text("utf-8"))
