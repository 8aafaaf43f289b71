"""The command in its own process, with an environment from which only loopback can be reached."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NO_WAY_OUT = "http://127.0.0.1:9"  # the hub itself is last in the chain; no test ever contacts it


def environment(cache: Path, *endpoints: str) -> dict[str, str]:
    """The tests' environment without the offline flags; ``endpoints`` go into HF_ENDPOINT."""
    left_out = ("HF_", "TRANSFORMERS_", "MODELSCOPE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    kept = {name: value for name, value in kept.items() if "proxy" not in name.lower()}
    proxies = {"HTTPS_PROXY": NO_WAY_OUT, "HTTP_PROXY": NO_WAY_OUT, "NO_PROXY": "127.0.0.1,localhost"}
    own = {
        "HF_HOME": str(cache / "hf"),
        "QZHOU_EVAL_CACHE": str(cache / "own"),
        "PYTHONPATH": str(ROOT),
        "HF_TOKEN": "x",
        "MODELSCOPE_ENDPOINT": NO_WAY_OUT,
        "MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "1",
    }
    return kept | proxies | own | {"HF_ENDPOINT": ",".join(endpoints), "OMP_NUM_THREADS": "1"}


def start(argv: list, cache: Path, *endpoints: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "qzhou_eval.cli", *map(str, argv)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment(cache, *endpoints), cwd=cache, **pipes)


def run(argv: list, cache: Path, *endpoints: str) -> tuple[int, str, str]:
    """Run the command: exit code, stdout and stderr."""
    process = start(argv, cache, *endpoints)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def contents(folder) -> dict[str, bytes]:
    """The bytes of every file by name, including hidden ones."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
