"""A fault of this project: one line that says so, and its traceback in a file. Never called the user's input."""

import logging
import traceback
from datetime import UTC, datetime
from pathlib import Path

from qzhou_eval.errors import BadInput, TaskFailed
from qzhou_eval.system.files import write_text

log = logging.getLogger(__name__)


def reason(error: BaseException, name: str, folder: Path) -> str:
    """Why something ended, in one line; what nobody foresaw is a fault of ours, and recorded.

    Args:
        name: of the task or command, for the line and for the file.
        folder: gets ``faults/<name>-<time>.log``.
    """
    if isinstance(error, BadInput):
        return str(error)  # names what it is about
    said = next(iter(str(error).splitlines()), "")
    if isinstance(error, TaskFailed | OSError):
        return f"{name}: {said}"
    if isinstance(error, MemoryError):
        return f"{name}: out of memory; try fewer --eval_workers {said}".rstrip()
    what = f"{type(error).__name__}: {said}"
    where = _record(error, name, folder)
    return f"{name}: a fault of qzhou-eval, not of your input ({what}); please report it, with {where}"


def _record(error: BaseException, name: str, folder: Path) -> str:
    """Write the traceback, a worker process' own included, and say where it is."""
    text = "".join(traceback.format_exception(error))
    log.debug("%s", text)
    path = folder / "faults" / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as cannot:
        return f"what --verbose says ({path}: {cannot.strerror})"
    return str(path)
