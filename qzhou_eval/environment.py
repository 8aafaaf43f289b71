"""What a run was made with: library versions, this project's own revision, the machine. Values for the manifest."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

ENCODING_LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors")
SCORING_LIBRARIES = ("mteb", "scikit-learn", "numpy", "scipy", "pytrec_eval-terrier", "datasets", "torch")


def versions(libraries: tuple[str, ...]) -> dict[str, str]:
    """Python's version and those of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_revision() -> dict[str, str | bool | None]:
    """This project's version and, in its own git checkout, the commit and whether files differ from it."""
    found: dict[str, str | bool | None] = {"version": None, "commit": None, "changed": None}
    with suppress(PackageNotFoundError):
        found["version"] = version("qzhou-eval")
    try:
        if Path(_git("rev-parse", "--show-toplevel")) == _PACKAGE.parent and _git("ls-files", __file__):
            found["commit"] = _git("rev-parse", "HEAD")
            found["changed"] = bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        pass  # not a checkout, no git, or a file system too slow to tell
    return found


def _git(*argv: str) -> str:
    done = subprocess.run(["git", *argv], cwd=_PACKAGE, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def usable_cores() -> int:
    """How many cores this process may use: by its affinity and its container's quota."""
    from joblib import cpu_count

    return cpu_count()


def usable_memory() -> int:
    """Bytes that are free on this machine, or that its container allows if that is less."""
    import psutil

    free = psutil.virtual_memory().available
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # of control groups, version 2 and 1
        with suppress(OSError, ValueError):  # there is none, or it is "max"
            free = min(free, int(Path("/sys/fs/cgroup", limit).read_text()))
    return free


def hardware(device: str) -> dict[str, str | int | None]:
    """Processor and cores, and for a ``cuda`` device its name."""
    found = {"machine": platform.machine(), "cpu": _cpu_name(), "cores": os.cpu_count()}
    if device.startswith("cuda"):
        import torch

        found |= {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return found


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), None)
