"""Files appear whole or not at all: written under a temporary name, synced, then renamed."""

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
except ModuleNotFoundError:  # Windows, which the commands refuse by name
    fcntl = None

LOCKS = fcntl is not None


@contextmanager
def temporary_in(folder: Path) -> Iterator[Path]:
    """Give an empty temporary file in ``folder``, to be filled in place; if it is still there at the end, it goes.

    Its writer holds a lock on it, which a kill releases: one that nobody locks was left behind, and is removed by
    the next process of the same machine that writes in the folder (locks need not reach other machines).
    """
    _remove_abandoned(folder)
    temporary = folder / f"{_ours()}{secrets.token_hex(8)}"
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with suppress(OSError):  # a file system without locks: then others cannot lock it either, and leave it
            lock(handle)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def publish(temporary: Path, path: Path) -> None:
    """Sync a finished temporary file and give it its name."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``, whole or not at all."""
    with temporary_in(path.parent) as temporary:
        temporary.write_text(text, "utf-8")
        publish(temporary, path)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Wait until no other process is in such a block with the same file; a kill lets the next one in.

    Where the file system has no locks, nobody waits.
    """
    with path.open("a") as file:
        with suppress(OSError):
            lock(file)
        yield


def lock(file, *, wait: bool = True) -> None:
    """Lock an open file until it is closed.

    Raises:
        BlockingIOError: another process has it, and is not waited for.
        OSError: there are no locks here.
    """
    if not LOCKS:
        raise OSError("no locks on this system")
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def _ours() -> str:
    """How this machine's temporary names begin."""
    return f".tmp-{re.sub(r'[^a-zA-Z0-9.]', '_', platform.node())}-"


@cache  # once for each process and folder
def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(f"{_ours()}*"):
        with suppress(OSError), path.open("rb") as file:  # locked, or gone meanwhile
            lock(file, wait=False)
            path.unlink()


def check_writable(flag: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written, without making it."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise BadInput(f"{flag} {folder}: {existing} is a file, not a folder")
    try:
        tempfile.TemporaryFile(dir=existing).close()  # has no name where the system can: a kill leaves nothing
    except OSError as error:
        raise BadInput(f"{flag} {folder}: cannot write there ({error.strerror})") from None
