"""Which generation of mteb is installed: ``current`` (2.x) or ``card`` (1.38.30, the model card's).

An environment holds one mteb, so a command that needs the other generation continues in the other environment: that of
the checkout, or the one whose Python :data:`CARD_PYTHON` names.
"""

import logging
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from qzhou_eval.errors import BadInput

log = logging.getLogger(__name__)

CARD_MTEB = "1.38.30"
CARD_PYTHON = "QZHOU_EVAL_CARD_PYTHON"  # environment variable: the Python of an environment with the card's mteb
_CHECKOUT = Path(__file__).resolve().parents[2]
_PYTHON = {"current": _CHECKOUT / ".venv/bin/python", "card": _CHECKOUT / ".venv-card/bin/python"}
_SETUP = {
    "current": "./run_benchmark_cmteb.sh in a checkout, or install its requirements.txt",
    "card": "./run_benchmark_cmteb.sh --mteb card ... in a checkout, or install its requirements-card.txt and, with "
    f"--no-deps, this package in a separate environment and set {CARD_PYTHON} to its python",
}


def how_to_install(extra: str) -> str:
    """The command that installs an extra in the running environment: the README's in a checkout, else pip's own."""
    if not (_CHECKOUT / f"requirements-{extra}.txt").exists():
        return f"{Path(sys.prefix)}/bin/pip install 'qzhou-eval[{extra}]'"
    home = Path(sys.prefix)
    pip = f"{home.name if home.parent == _CHECKOUT else home}/bin/pip"
    card = "-card" if generation() == "card" else ""
    pinned = "-r wheels/" if (_CHECKOUT / "wheels").is_dir() else f"-c constraints{card}.txt -r "
    return f"in the checkout, {pip} install {pinned}requirements-{extra}.txt"


def generation() -> str:
    """``card`` if the installed mteb is the card's, else ``current``.

    Raises:
        BadInput: another 1.x, whose scores would match neither.
    """
    found = version("mteb")
    if found.startswith("1.") and found != CARD_MTEB:
        raise BadInput(f"mteb {found} is installed: neither the card's {CARD_MTEB} nor a current 2.x")
    return "card" if found == CARD_MTEB else "current"


def switch_environment(wanted: str, argv: list[str]) -> None:
    """Return if this interpreter has the wanted generation; else run ``argv`` in the other environment.

    Raises:
        BadInput: neither environment has it.
    """
    try:
        if generation() == wanted:
            return
    except PackageNotFoundError:
        pass
    given = os.environ.get(CARD_PYTHON) if wanted == "card" else None
    python = Path(given) if given else _PYTHON[wanted]
    if given and not _runs(python):
        raise BadInput(f"{CARD_PYTHON}={given}: not a Python with this package; install it there with --no-deps")
    if not python.exists() or python.parent.parent == Path(sys.prefix):
        raise BadInput(f"--mteb {wanted}: that mteb is not installed here; set it up with {_SETUP[wanted]}")
    log.info("--mteb %s: continuing with %s", wanted, python)
    os.execv(python, [str(python), "-m", "qzhou_eval.cli", *argv])


def _runs(python: Path) -> bool:
    """Whether it is an interpreter that has this package."""
    try:
        return subprocess.run([python, "-c", "import qzhou_eval"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
