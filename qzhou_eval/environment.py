"""What a run was made with: library versions, this project's own revision, the machine. Values for the manifest."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
    """This project's version and, in a git checkout, its commit and whether files differ from it."""
    commit, changed = None, None
    try:
        commit = _git("rev-parse", "HEAD")
        changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        pass  # not a checkout, or no git
    try:
        own = version("qzhou-eval")
    except PackageNotFoundError:
        own = None
    return {"version": own, "commit": commit, "changed": changed}


def _git(*argv: str) -> str:
    package = Path(__file__).resolve().parent
    done = subprocess.run(["git", *argv], cwd=package, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def hardware() -> dict[str, str | int | None]:
    """Processor, cores and, where torch has been imported and sees them, GPUs."""
    found = {"machine": platform.machine(), "cpu": _cpu_name(), "cores": os.cpu_count()}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found |= {"gpu": torch.cuda.get_device_name(0), "gpus": torch.cuda.device_count(), "cuda": torch.version.cuda}
    return found


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), None)
