"""The store: vectors by content. Knows no task, no model and no prompt, only keys and a fingerprint.

    STORE/<fingerprint>/settings.json            what the fingerprint stands for
    STORE/<fingerprint>/made-with-<digest>.json  a machine and its libraries that wrote here
    STORE/<fingerprint>/<digest>.safetensors     keys (n, 16) uint8, vectors (n, width) as the model gave them

A key is the first half of the SHA-256 of a rendered prompt. A shard is written under a temporary
name and renamed to the digest of its content: it exists only when it is whole, and a damaged one
is noticed. Many processes may write at once, without locks, on any shared file system.
"""

import hashlib
import json
import logging
from collections.abc import KeysView
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from qzhou_eval.digests import sha256_of_json
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

    def create(self, identity: dict) -> None:
        """Make the folder and note what its fingerprint stands for.

        Raises:
            BadInput: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / "settings.json", _readable_json({"identity": identity}))
        except OSError as error:
            raise self._unwritable(error) from None

    def note(self, made_with: dict) -> None:
        """Note a machine and its libraries that write here; a file for each, so that no writer loses another's."""
        path = self.folder / f"made-with-{sha256_of_json(made_with)[:16]}.json"
        if path.exists():
            return
        try:
            write_text(path, _readable_json(made_with))
        except OSError as error:
            raise self._unwritable(error) from None

    def made_with(self) -> list[dict]:
        """Every machine and set of libraries that was noted; {} for a note that cannot be read."""
        return [_read_note(path) for path in sorted(self.folder.glob("made-with-*.json"))]

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
            except FileNotFoundError:  # another process has just set it aside
                continue
            except (ValueError, SafetensorError) as error:
                if not verify:
                    continue  # a network folder may show a file's name before its content
                _set_aside(path, str(error))
            else:
                self._index(path, keys)
            self._seen.add(path.name)

    def __contains__(self, key: bytes) -> bool:
        return key in self._place

    def keys(self) -> KeysView[bytes]:
        """Every key that is indexed."""
        return self._place.keys()

    def __len__(self) -> int:
        return len(self._place)

    def add(self, keys: list[bytes], vectors: torch.Tensor) -> None:
        """Write one shard.

        Args:
            keys: n distinct 16-byte keys.
            vectors: (n, width), any floating dtype, kept as it is.

        Raises:
            BadInput: it cannot be written.
        """
        table = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), 16)
        content = save({"keys": torch.from_numpy(table.copy()), "vectors": vectors.contiguous()})
        path = self.folder / f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        try:
            with temporary_in(self.folder) as temporary:
                temporary.write_bytes(content)
                publish(temporary, path)
        except OSError as error:
            raise self._unwritable(error) from None
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

    def _unwritable(self, error: OSError) -> BadInput:
        what = f"cannot write there ({error.strerror}); what is done is kept, the same command goes on"
        return BadInput(f"--store_dir {self.folder.parent}: {what}")

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
    try:
        path.replace(aside)
    except FileNotFoundError:
        return  # another process was first
    except OSError:
        log.warning("%s: %s; left out, its prompts are encoded again", path, reason)
    else:
        log.warning("%s: %s; set aside as %s, its prompts are encoded again", path, reason, aside.name)


def _readable_json(content: dict) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _read_note(path: Path) -> dict:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
