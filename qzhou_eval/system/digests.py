"""SHA-256 of files and folders, cached while a file is unchanged: 15 GB are hashed once, not at each start.

Unchanged means the same size, modification time, change time and inode. The change time cannot be set back, and a
different file under the same name has a different inode. A file that was changed within the last two seconds, or whose
times are in the future, is not cached: a later change could leave the same times.
"""

import hashlib
import json
import os
import time
from pathlib import Path

from qzhou_eval.system.files import write_text

_SETTLED_NS = 2 * 10**9  # the coarsest file timestamps in use are two seconds apart


def cache_home() -> Path:
    """The cache folder, which may be deleted at any time: ``$QZHOU_EVAL_CACHE`` or ``~/.cache/qzhou-eval``."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "qzhou-eval"
    return Path(os.environ.get("QZHOU_EVAL_CACHE", default))


def sha256_of_json(value: object) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def sha256_of_files(paths: list[Path], root: Path) -> str:
    """SHA-256 (hex) over the contents of ``paths`` and their names relative to ``root``."""
    return sha256_of_json(digests_of_files(paths, root))


def digests_of_files(paths: list[Path], root: Path) -> dict[str, str]:
    """SHA-256 (hex) of each file, by its name relative to ``root``."""
    memory = _Memory()
    parts = {path.relative_to(root).as_posix(): memory.digest(path) for path in paths}
    memory.save()
    return parts


class _Memory:
    """A cache of digests by path, in one small JSON file; losing it only costs time."""

    def __init__(self) -> None:
        self._file = cache_home() / "digests.json"
        self._changed = False
        try:
            self._known = dict(json.loads(self._file.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            self._known = {}

    def digest(self, path: Path) -> str:
        real = path.resolve()
        with real.open("rb") as file:
            stat = os.fstat(file.fileno())  # before reading: a change during the read is noticed next time
            state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
            settled = max(stat.st_mtime_ns, stat.st_ctime_ns) <= time.time_ns() - _SETTLED_NS
            known = self._known.get(str(real))
            if settled and isinstance(known, dict) and known.get("state") == state and "sha256" in known:
                return known["sha256"]
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._note(str(real), {"state": state, "sha256": digest} if settled else None)
        return digest

    def _note(self, path: str, entry: dict | None) -> None:
        if entry is not None:
            self._known[path] = entry
            self._changed = True
        elif self._known.pop(path, None) is not None:
            self._changed = True

    def save(self) -> None:
        if not self._changed:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._file, json.dumps(self._known, indent=0))
        except OSError:
            pass  # with a read-only home, files are only hashed again
