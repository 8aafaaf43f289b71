"""Reports a bug of this project in one line, with its traceback in a file. Bugs are never blamed on the input."""

import logging
import traceback
from datetime import UTC, datetime
from pathlib import Path

from qzhou_eval.errors import BadInput, TaskFailed
from qzhou_eval.system.files import write_text

log = logging.getLogger(__name__)


def reason(error: BaseException, name: str, folder: Path) -> str:
    """Say in one line why a task or command failed; an unexpected error is a bug, and its traceback is recorded.

    Args:
        name: the task or command, for the line and the file name.
        folder: ``faults/<name>-<time>.log`` is written below it.
    """
    if isinstance(error, BadInput):
        return str(error)  # says what is wrong, and where
    said = next(iter(str(error).splitlines()), "")
    if isinstance(error, TaskFailed | OSError):
        return f"{name}: {said}"
    if isinstance(error, MemoryError):
        return f"{name}: out of memory; try fewer --eval_workers {said}".rstrip()
    what = f"{type(error).__name__}: {said}"
    where = _record(error, name, folder)
    return f"{name}: a bug in qzhou-eval, not in your input ({what}); please report it with {where}"


def _record(error: BaseException, name: str, folder: Path) -> str:
    """Write the traceback, including that of a worker process, and return where it is."""
    text = "".join(traceback.format_exception(error))
    log.debug("%s", text)
    path = folder / "faults" / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as cannot:
        return f"the output of --verbose ({path}: {cannot.strerror})"
    return str(path)
