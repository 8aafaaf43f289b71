"""The environment of a run, for the manifest: library versions, this project's revision, the machine."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]

ENCODING_LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors")
SCORING_LIBRARIES = ("mteb", "scikit-learn", "numpy", "scipy", "pytrec_eval-terrier", "datasets", "torch")


def versions(libraries: tuple[str, ...]) -> dict[str, str]:
    """The versions of Python and of those libraries that are installed."""
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
        pass  # not a checkout, no git, or git took too long
    return found


def _git(*argv: str) -> str:
    done = subprocess.run(["git", *argv], cwd=_PACKAGE, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def usable_cores() -> int:
    """How many cores this process may use, given its affinity and its container's quota."""
    import psutil

    cores = psutil.cpu_count() or 1
    if hasattr(psutil.Process, "cpu_affinity"):  # not on macOS
        cores = len(psutil.Process().cpu_affinity())
    for quota, period in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with suppress(OSError, ValueError):  # no control group, or no quota
            given = [int(value) for name in (quota, period) if name for value in _control_group(name).split()]
            if given[0] > 0:
                cores = min(cores, max(1, given[0] // given[1]))
    return cores


def usable_memory() -> int:
    """The bytes that are free on this machine, or the container's limit if that is lower."""
    import psutil

    free = psutil.virtual_memory().available
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            free = min(free, int(_control_group(limit)))
    return free


def _control_group(name: str) -> str:
    """Read a setting of the root control group, version 2 or 1; inside a container, that is the container's own."""
    return Path("/sys/fs/cgroup", name).read_text()


def hardware(device: str) -> dict[str, str | int | None]:
    """The processor and its cores and, for a ``cuda`` device, the GPU and the CUDA version."""
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
