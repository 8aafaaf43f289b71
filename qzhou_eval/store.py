"""The store: vectors by content. Knows no task, no model and no prompt, only keys and a fingerprint.

    STORE/<fingerprint>/settings.json        what the fingerprint stands for
    STORE/<fingerprint>/<digest>.safetensors  keys (n, 16) uint8, vectors (n, width) as the model gave them

A key is the first half of the SHA-256 of a rendered prompt. A shard is written under a temporary
name and renamed to the digest of its content: it exists only when it is whole, and a damaged one
is noticed. Many processes may write at once, without locks, on any shared file system.
"""

import hashlib
import json
import logging
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from qzhou_eval.errors import BadInput
from qzhou_eval.files import publish, temporary_in, write_text

log = logging.getLogger(__name__)


def prompt_key(prompt: str) -> bytes:
    """The 16-byte key of a rendered prompt."""
    return hashlib.sha256(prompt.encode()).digest()[:16]


class Store:
    """All vectors of one fingerprint. Shards that other processes add are seen by :meth:`refresh`."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder / fingerprint[:32]
        self._shards: list[Path] = []
        self._seen: set[str] = set()
        self._place: dict[bytes, tuple[int, int]] = {}

    def create(self, identity: dict, made_with: dict) -> None:
        """Make the folder; note what its fingerprint stands for, and what machine and libraries add to it.

        Raises:
            BadInput: the folder cannot be written.
        """
        before = [one for one in self.made_with() if one != made_with]
        content = {"identity": identity, "made_with": [*before, made_with]}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / "settings.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise BadInput(f"--store_dir {self.folder.parent}: cannot write there ({error.strerror})") from None

    def made_with(self) -> list[dict]:
        """Every machine and set of libraries that wrote here, as noted by :meth:`create`; {} for one not noted."""
        try:
            return json.loads((self.folder / "settings.json").read_text("utf-8"))["made_with"]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError):
            return [{}]

    def refresh(self, *, verify: bool = True) -> None:
        """Index the shards that are new since the last look.

        With ``verify`` each is held against its checksum, and a damaged one is set aside; without, a shard that
        cannot be read is passed over, and its keys are missing.
        """
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name in self._seen:
                continue
            try:
                if verify and _file_digest(path) != path.stem:
                    raise ValueError("its content does not match its checksum")
                with safe_open(path, framework="np") as shard:
                    keys = shard.get_tensor("keys")
            except (ValueError, SafetensorError) as error:
                if verify:
                    _set_aside(path, str(error))
            else:
                self._index(path, keys)
            self._seen.add(path.name)

    def __contains__(self, key: bytes) -> bool:
        return key in self._place

    def __len__(self) -> int:
        return len(self._place)

    def add(self, keys: list[bytes], vectors: torch.Tensor) -> None:
        """Write one shard.

        Args:
            keys: n distinct 16-byte keys.
            vectors: (n, width), any floating dtype, kept as it is.
        """
        table = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), 16)
        content = {"keys": torch.from_numpy(table.copy()), "vectors": vectors.contiguous()}
        with temporary_in(self.folder) as temporary:
            save_file(content, temporary)
            path = self.folder / f"{_file_digest(temporary)}.safetensors"
            publish(temporary, path)
        self._seen.add(path.name)
        self._index(path, table)

    def get(self, keys: list[bytes]) -> torch.Tensor:
        """The vectors of ``keys``, in their order: float32 (n, width).

        Raises:
            KeyError: a key is not in the store (its position among ``keys`` is the argument).
        """
        by_shard: dict[int, list[tuple[int, int]]] = {}
        for position, key in enumerate(keys):
            if key not in self._place:
                raise KeyError(position)
            shard, row = self._place[key]
            by_shard.setdefault(shard, []).append((position, row))
        result = None
        for shard, pairs in by_shard.items():
            vectors = load_file(self._shards[shard])["vectors"]
            if result is None:
                result = torch.empty(len(keys), vectors.shape[1])
            positions, rows = (list(column) for column in zip(*pairs, strict=True))
            result[positions] = vectors[rows].float()
        return result if result is not None else torch.empty(0, 0)

    def _index(self, path: Path, table: np.ndarray) -> None:
        self._shards.append(path)
        shard = len(self._shards) - 1
        raw = table.tobytes()
        for row in range(len(table)):
            self._place[raw[16 * row : 16 * row + 16]] = (shard, row)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _set_aside(path: Path, reason: str) -> None:
    aside = path.with_suffix(".damaged")
    log.warning("%s: %s; set aside as %s, its prompts are encoded again", path, reason, aside.name)
    with suppress(FileNotFoundError):  # another process may have been first
        path.replace(aside)
