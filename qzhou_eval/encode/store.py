"""The store: vectors by fingerprint and key. Does not depend on tasks, models or prompts.

    STORE/<fingerprint>/settings.json             what the fingerprint was made from
    STORE/<fingerprint>/made-with-<digest>.json   a machine and its libraries that wrote here
    STORE/<fingerprint>/<digest>.safetensors      keys (n, 16) uint8, vectors (n, width) as the model gave them
    STORE/<fingerprint>/r<N>-<digest>.safetensors the same, from the N-th round of making vectors again
    STORE/<fingerprint>/r<N>.open                 round N is unfinished

A key is the first half of the SHA-256 of a rendered prompt. A shard is written under a temporary
name and renamed to the digest of its content: it exists only once it is complete, and damage is
detected. Its metadata names the file that says what it was made with. Many processes may write at
once, without locks, on any shared file system.

Vectors that are made again are stored next to the earlier ones, under a higher round, and are read instead of them.
"""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from qzhou_eval.encode.key_index import KEY_BYTES, KeyIndex, key_table
from qzhou_eval.errors import BadInput
from qzhou_eval.results.entries import MadeWith
from qzhou_eval.system.digests import sha256_of_json
from qzhou_eval.system.files import publish, temporary_in, write_text
from qzhou_eval.system.options import option

log = logging.getLogger(__name__)


def prompt_key(prompt: str) -> bytes:
    """Return the 16-byte key of a rendered prompt."""
    return hashlib.sha256(prompt.encode()).digest()[:16]


@dataclass(frozen=True)
class _Shard:
    """A shard's file, the round in which it was written, and the name of the file that says what it was made with."""

    path: Path
    round: int
    made_with: str | None


class Store:
    """All vectors of one fingerprint. :meth:`refresh` finds shards that other processes have added.

    Args:
        round: the round of shards to be written; vectors from earlier rounds count as missing, but can be read.
    """

    def __init__(self, folder: Path, fingerprint: str, *, round: int = 0) -> None:
        self.fingerprint = fingerprint
        self.folder = folder / fingerprint[:32]
        self.round = round
        self._shards: list[_Shard] = []
        self._seen: set[str] = set()
        self._index = KeyIndex()

    def again(self) -> "Store":
        """Return this store set up to make vectors again: in the round that is unfinished, else in a new one.

        Raises:
            BadInput: the folder cannot be written.
        """
        other = copy(self)  # they share their index
        begun = [int(path.stem[1:]) for path in self.folder.glob("r*.open")]
        other.round = max(begun) if begun else max((shard.round for shard in self._shards), default=0) + 1
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            other._open_mark.touch()
        except OSError as error:
            raise self._unwritable(error) from None
        return other

    def end_round(self) -> None:
        """Mark this round as complete: the next time that vectors are made again, a new round begins."""
        self._open_mark.unlink(missing_ok=True)

    @property
    def _open_mark(self) -> Path:
        return self.folder / f"r{self.round}.open"

    def create(self, identity: Mapping[str, object]) -> None:
        """Make the folder and record what its fingerprint was made from.

        Raises:
            BadInput: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / "settings.json", _readable_json({"identity": identity}))
        except OSError as error:
            raise self._unwritable(error) from None

    def made_with(self, keys: list[bytes]) -> list[MadeWith]:
        """Return what the vectors of ``keys`` were made with, without repeats; {} for a record that cannot be read."""
        shards = np.unique(self._index.latest(keys)[:, 0])
        names = {name for shard in shards[shards >= 0] if (name := self._shards[shard].made_with)}
        return [_read_record(self.folder / name) for name in sorted(names)]

    def refresh(self, *, verify: bool = True) -> None:
        """Index the shards that are new since the last call.

        With ``verify`` each is compared with its checksum, and a damaged one is set aside; without it, a shard that
        cannot be read is skipped, and its keys count as missing.
        """
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name in self._seen:
                continue
            try:
                if verify and _file_digest(path) != path.stem.rpartition("-")[2]:
                    raise ValueError("its content does not match its checksum")
                with safe_open(path, framework="np") as shard:
                    keys, about = shard.get_tensor("keys"), shard.metadata() or {}
                    rows, _ = shard.get_slice("vectors").get_shape()
                if keys.shape != (rows, KEY_BYTES):
                    raise ValueError(f"it has {rows} vectors for {len(keys)} keys")
            except FileNotFoundError:  # another process has just set it aside
                continue
            except (ValueError, SafetensorError) as error:
                if not verify:
                    continue  # a network folder may show a file's name before its content
                _set_aside(path, str(error))
            else:
                self._know(path, keys, about.get("made_with"))
            self._seen.add(path.name)

    def keys(self) -> list[bytes]:
        """Return every indexed key."""
        return self._index.keys()

    def missing(self, keys: list[bytes]) -> list[int]:
        """Return the positions of those of ``keys`` that have no vector from this round or a later one."""
        shards = self._index.latest(keys)[:, 0]
        late = np.array([shard.round >= self.round for shard in self._shards] + [False])  # the last is for -1: no shard
        return np.flatnonzero(~late[shards]).tolist()

    def add(self, keys: list[bytes], vectors: torch.Tensor, made_with: MadeWith | None = None) -> None:
        """Write one shard.

        Args:
            keys: n distinct 16-byte keys.
            vectors: (n, width), any floating dtype, stored as it is.
            made_with: machine, libraries and kernels, which the fingerprint does not cover.

        Raises:
            BadInput: it cannot be written.
        """
        table = key_table(keys)
        name = None if made_with is None else f"made-with-{sha256_of_json(made_with)[:16]}.json"
        tensors = {"keys": torch.from_numpy(table.copy()), "vectors": vectors.contiguous()}
        content = save(tensors, {"made_with": name} if name else None)
        prefix = f"r{self.round}-" if self.round else ""
        path = self.folder / f"{prefix}{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        try:
            if made_with is not None and name and not (self.folder / name).exists():
                write_text(self.folder / name, _readable_json(made_with))
            with temporary_in(self.folder) as temporary:
                temporary.write_bytes(content)
                publish(temporary, path)
        except OSError as error:
            raise self._unwritable(error) from None
        self._seen.add(path.name)
        self._know(path, table, name)

    def get(self, keys: list[bytes]) -> torch.Tensor:
        """Return the vectors of ``keys``, in their order: float32 (n, width).

        Raises:
            KeyError: a key is not in the store (its position among ``keys`` is the argument).
            BadInput: shards of different widths.
        """
        places = self._index.latest(keys)
        if (absent := np.flatnonzero(places[:, 0] < 0)).size:
            raise KeyError(int(absent[0]))
        return self._read(places)

    def earlier(self, keys: list[bytes]) -> tuple[list[bytes], torch.Tensor]:
        """Return those of ``keys`` that were made again, and the vectors they had before: float32 (n, width)."""
        places = self._index.earlier(keys)
        twice = places[:, 0] >= 0
        return [keys[position] for position in np.flatnonzero(twice)], self._read(places[twice])

    def _read(self, places: np.ndarray) -> torch.Tensor:
        result = None
        for shard in np.unique(places[:, 0]):
            vectors = load_file(self._shards[shard].path)["vectors"]
            if result is None:
                result = torch.empty(len(places), vectors.shape[1])
            if vectors.shape[1] != result.shape[1]:
                widths = f"{vectors.shape[1]} components, those of another shard next to it {result.shape[1]}"
                raise BadInput(f"{self._shards[shard].path}: its vectors have {widths}; remove the wrong one")
            positions = np.flatnonzero(places[:, 0] == shard)
            result[positions] = vectors[places[positions, 1]].float()
        return result if result is not None else torch.empty(0, 0)

    def _unwritable(self, error: OSError) -> BadInput:
        what = f"cannot write there ({error.strerror}); what is done is kept; repeat the command to resume"
        return BadInput(f"{option('store_dir', str(self.folder.parent))}: {what}")

    def _know(self, path: Path, table: np.ndarray, made_with: str | None) -> None:
        named = re.match(r"r(\d{1,9})-", path.name)
        self._shards.append(_Shard(path, int(named[1]) if named else 0, made_with))
        self._index.add(table, len(self._shards) - 1, self._shards[-1].round)


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


def _readable_json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _read_record(path: Path) -> MadeWith:
    try:
        record: MadeWith = json.loads(path.read_text("utf-8"))
        dict(record)  # raises unless it is a mapping
        return record
    except (OSError, ValueError, TypeError):
        return {}
