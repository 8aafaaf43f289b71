"""Files appear whole or not at all: written under a temporary name, synced, then renamed."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_in(folder: Path) -> Iterator[Path]:
    """Give a temporary path in ``folder``; whatever is still there when the block ends is removed."""
    temporary = folder / f".tmp-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


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
