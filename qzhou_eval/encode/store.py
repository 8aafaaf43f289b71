"""The store: vectors by content. Knows no task, no model and no prompt, only keys and a fingerprint.

    STORE/<fingerprint>/settings.json             what the fingerprint stands for
    STORE/<fingerprint>/made-with-<digest>.json   a machine and its libraries that wrote here
    STORE/<fingerprint>/<digest>.safetensors      keys (n, 16) uint8, vectors (n, width) as the model gave them
    STORE/<fingerprint>/r<N>-<digest>.safetensors the same, of the N-th time that vectors were made again
    STORE/<fingerprint>/r<N>.open                 that time has not come to its end

A key is the first half of the SHA-256 of a rendered prompt. A shard is written under a temporary
name and renamed to the digest of its content: it exists only when it is whole, and a damaged one
is noticed. Its metadata name what it was made with. Many processes may write at once, without locks,
on any shared file system.

Vectors that are made again stand beside the earlier ones, under a higher round, and are read in their place.
"""

import hashlib
import json
import logging
import re
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from qzhou_eval.encode.key_index import KEY_BYTES, KeyIndex, key_table
from qzhou_eval.errors import BadInput
from qzhou_eval.system.digests import sha256_of_json
from qzhou_eval.system.files import publish, temporary_in, write_text
from qzhou_eval.system.options import option

log = logging.getLogger(__name__)


def prompt_key(prompt: str) -> bytes:
    """The 16-byte key of a rendered prompt."""
    return hashlib.sha256(prompt.encode()).digest()[:16]


@dataclass(frozen=True)
class _Shard:
    """A shard's file, the round in which it was written, and the name of what it was made with."""

    path: Path
    round: int
    made_with: str | None


class Store:
    """All vectors of one fingerprint. Shards that other processes add are seen by :meth:`refresh`.

    Args:
        round: of what is written; what earlier rounds wrote counts as missing, but can be read.
    """

    def __init__(self, folder: Path, fingerprint: str, *, round: int = 0) -> None:
        self.fingerprint = fingerprint
        self.folder = folder / fingerprint[:32]
        self.round = round
        self._shards: list[_Shard] = []
        self._seen: set[str] = set()
        self._index = KeyIndex()

    def again(self) -> "Store":
        """This store as one that makes vectors again: the round that was begun and not ended, else a new one.

        Raises:
            BadInput: the folder cannot be written.
        """
        other = copy(self)  # they share what they know
        begun = [int(path.stem[1:]) for path in self.folder.glob("r*.open")]
        other.round = max(begun) if begun else max((shard.round for shard in self._shards), default=0) + 1
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            other._open_mark.touch()
        except OSError as error:
            raise self._unwritable(error) from None
        return other

    def end_round(self) -> None:
        """Every vector of this round is there: the next time that vectors are made again is another round."""
        self._open_mark.unlink(missing_ok=True)

    @property
    def _open_mark(self) -> Path:
        return self.folder / f"r{self.round}.open"

    def create(self, identity: dict) -> None:
        """Make the folder and record what its fingerprint stands for.

        Raises:
            BadInput: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / "settings.json", _readable_json({"identity": identity}))
        except OSError as error:
            raise self._unwritable(error) from None

    def made_with(self, keys: list[bytes]) -> list[dict]:
        """What the vectors of ``keys`` were made with, each machine and set of libraries once; {} if unreadable."""
        shards = np.unique(self._index.latest(keys)[:, 0])
        names = {name for shard in shards[shards >= 0] if (name := self._shards[shard].made_with)}
        return [_read_record(self.folder / name) for name in sorted(names)]

    def refresh(self, *, verify: bool = True) -> None:
        """Index the shards that are new since the last look.

        With ``verify`` each is compared with its checksum, and a damaged one is set aside; without, a shard that
        cannot be read is passed over, and its keys are missing.
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
        """Every key that is indexed."""
        return self._index.keys()

    def missing(self, keys: list[bytes]) -> list[int]:
        """The positions of those of ``keys`` that have no vector of this round or a later one."""
        shards = self._index.latest(keys)[:, 0]
        late = np.array([shard.round >= self.round for shard in self._shards] + [False])  # the last is -1: no shard
        return np.flatnonzero(~late[shards]).tolist()

    def add(self, keys: list[bytes], vectors: torch.Tensor, made_with: dict | None = None) -> None:
        """Write one shard.

        Args:
            keys: n distinct 16-byte keys.
            vectors: (n, width), any floating dtype, kept as it is.
            made_with: what they owe to machine, libraries and kernels, which the fingerprint does not say.

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
            if name and not (self.folder / name).exists():
                write_text(self.folder / name, _readable_json(made_with))
            with temporary_in(self.folder) as temporary:
                temporary.write_bytes(content)
                publish(temporary, path)
        except OSError as error:
            raise self._unwritable(error) from None
        self._seen.add(path.name)
        self._know(path, table, name)

    def get(self, keys: list[bytes]) -> torch.Tensor:
        """The vectors of ``keys``, in their order: float32 (n, width).

        Raises:
            KeyError: a key is not in the store (its position among ``keys`` is the argument).
            BadInput: shards of different widths.
        """
        places = self._index.latest(keys)
        if (absent := np.flatnonzero(places[:, 0] < 0)).size:
            raise KeyError(int(absent[0]))
        return self._read(places)

    def earlier(self, keys: list[bytes]) -> tuple[list[bytes], torch.Tensor]:
        """Those of ``keys`` that were made again, and the vectors that they had before: float32 (n, width)."""
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
                widths = f"{vectors.shape[1]} components, those of another shard beside it {result.shape[1]}"
                raise BadInput(f"{self._shards[shard].path}: its vectors have {widths}; remove the one that is wrong")
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


def _readable_json(content: dict) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _read_record(path: Path) -> dict:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
