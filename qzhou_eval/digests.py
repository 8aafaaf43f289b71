"""SHA-256 of files and folders, remembered by path, size and mtime: 15 GB are hashed once, not at each start."""

import hashlib
import json
import os
from pathlib import Path

from qzhou_eval.files import write_text


def cache_home() -> Path:
    """The folder of everything that can be thrown away: ``$QZHOU_EVAL_CACHE`` or ``~/.cache/qzhou-eval``."""
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
    """Digests seen before, in one small JSON file; losing it only costs time."""

    def __init__(self) -> None:
        self._file = cache_home() / "digests.json"
        self._new = {}
        try:
            self._known = json.loads(self._file.read_text())
        except (OSError, ValueError):
            self._known = {}

    def digest(self, path: Path) -> str:
        real = path.resolve()
        stat = real.stat()
        key = f"{real}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in self._known:
            with real.open("rb") as file:
                self._known[key] = self._new[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._known[key]

    def save(self) -> None:
        if not self._new:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._file, json.dumps(self._known, indent=0))
        except OSError:
            pass  # a read-only home costs hashing again, nothing else
