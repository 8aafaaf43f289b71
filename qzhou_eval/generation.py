"""Which generation of mteb is installed: ``current`` (2.x) or ``card`` (1.38.30, the card's own). Knows no task.

One interpreter holds one mteb, so a command asked for the other generation goes on in the other environment.
"""

import logging
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from qzhou_eval.errors import BadInput

log = logging.getLogger(__name__)

CARD_MTEB = "1.38.30"
_CHECKOUT = Path(__file__).resolve().parents[1]
_PYTHON = {"current": _CHECKOUT / ".venv/bin/python", "card": _CHECKOUT / ".venv-card/bin/python"}
_SETUP = {
    "current": "./run_benchmark_cmteb.sh, or pip install -r requirements.txt",
    "card": "./run_benchmark_cmteb.sh --mteb card ..., or pip install -r requirements-card.txt in an environment "
    "of its own",
}


def generation() -> str:
    """``card`` if the installed mteb is 1.x, else ``current``."""
    return "card" if version("mteb").startswith("1.") else "current"


def ensure(wanted: str, argv: list[str]) -> None:
    """Return if this interpreter has the wanted generation; else let the checkout's other one run ``argv``.

    Raises:
        BadInput: neither this interpreter nor the checkout has it.
    """
    try:
        if generation() == wanted:
            return
    except PackageNotFoundError:
        pass
    python = _PYTHON[wanted]
    if not python.exists() or python.parent.parent == Path(sys.prefix):
        raise BadInput(f"--mteb {wanted}: that mteb is not installed here; set it up with {_SETUP[wanted]}")
    log.info("--mteb %s: going on with %s", wanted, python)
    os.execv(python, [str(python), "-m", "qzhou_eval.cli", *argv])
