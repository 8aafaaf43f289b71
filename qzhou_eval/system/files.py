"""Writes files atomically: under a temporary name, synced, then renamed. Also file locks."""

import os
import platform
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from qzhou_eval.errors import BadInput

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where the commands refuse to run
    LOCKS = False
else:
    LOCKS = True


@contextmanager
def temporary_in(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary file in ``folder`` to write to; at the end it is deleted, unless it was renamed.

    The writer holds a lock on it, which is released when the process is killed. An unlocked file was left behind: the
    next process of the same machine that writes to the folder removes it (locks may not work across machines).
    """
    _remove_abandoned(folder)
    temporary = folder / f"{_ours()}{secrets.token_hex(8)}"
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with suppress(OSError):  # without locks here, others cannot lock it either, and leave it alone
            lock(handle)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def publish(temporary: Path, path: Path) -> None:
    """Sync a finished temporary file and rename it to ``path``."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``, completely or not at all."""
    with temporary_in(path.parent) as temporary:
        temporary.write_text(text, "utf-8")
        publish(temporary, path)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock on ``path`` for the block, after waiting for other processes; a kill releases the lock.

    On a file system without locks, nothing is locked.
    """
    with path.open("a") as file:
        with suppress(OSError):
            lock(file)
        yield


def lock(file, *, wait: bool = True) -> None:
    """Lock an open file until it is closed.

    Raises:
        BlockingIOError: another process holds the lock, and ``wait`` is False.
        OSError: locks are not supported here.
    """
    if not LOCKS:
        raise OSError("no locks on this system")
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _ours() -> str:
    """The prefix of this machine's temporary file names."""
    return f".tmp-{re.sub(r'[^a-zA-Z0-9.]', '_', platform.node())}-"


@cache  # once per process and folder
def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(f"{_ours()}*"):
        with suppress(OSError), path.open("rb") as file:  # locked, or already removed
            lock(file, wait=False)
            path.unlink()


def check_writable(flag: str, folder: Path) -> None:
    """Refuse a folder that cannot be created or written to, without creating it."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise BadInput(f"{flag} {folder}: {existing} is a file, not a folder")
    try:
        tempfile.TemporaryFile(dir=existing).close()  # unnamed where possible: a kill leaves nothing behind
    except OSError as error:
        raise BadInput(f"{flag} {folder}: cannot write there ({error.strerror})") from None
