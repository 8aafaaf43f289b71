"""Index from keys to the shard and row of their vectors: sorted arrays, 28 bytes per key. Accesses no files."""

from threading import Lock

import numpy as np

KEY_BYTES = 16
_LAST_ROUND = 2**32 - 1  # rounds are stored as their distance from it, so a key's latest round sorts first


def key_table(keys: list[bytes]) -> np.ndarray:
    """Return the keys as uint8 (n, 16)."""
    return np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), KEY_BYTES)


class KeyIndex:
    """Places (shard, row) of 16-byte keys. Added keys are sorted in at the next lookup.

    A key may have a place in each round; of several in one round, the first added counts. Threads may share an index.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._new: list[tuple[np.ndarray, np.ndarray]] = []
        self._names, self._places = np.empty(0, f"S{KEY_BYTES + 4}"), np.empty((0, 2), np.int32)

    def first_seen(self, keys: list[bytes]) -> np.ndarray:
        """Add those of the distinct ``keys`` that are new, in no real shard; return their positions, int64."""
        new = np.flatnonzero(self.latest(keys)[:, 0] < 0)
        self.add(key_table([keys[position] for position in new]), 0, 0)
        return new

    def add(self, table: np.ndarray, shard: int, round: int) -> None:
        """Add keys, uint8 (n, 16), that are the rows of a shard."""
        names = np.empty((len(table), KEY_BYTES + 4), np.uint8)
        names[:, :KEY_BYTES] = table
        names[:, KEY_BYTES:] = np.frombuffer((_LAST_ROUND - round).to_bytes(4, "big"), np.uint8)
        places = np.stack([np.full(len(table), shard, np.int32), np.arange(len(table), dtype=np.int32)], axis=1)
        with self._lock:
            self._new.append((names.view(self._names.dtype)[:, 0], places))

    def latest(self, keys: list[bytes]) -> np.ndarray:
        """Return each key's place in its latest round, int32 (n, 2); (-1, -1) where it has none."""
        return self._at(keys, 0)

    def earlier(self, keys: list[bytes]) -> np.ndarray:
        """Return each key's place in the round before its latest, int32 (n, 2); (-1, -1) where it has none."""
        return self._at(keys, 1)

    def keys(self) -> list[bytes]:
        """Return every key once, in sorted order."""
        names, _ = self._sorted()
        raw = np.unique(names.astype(f"S{KEY_BYTES}")).tobytes()
        return [raw[start : start + KEY_BYTES] for start in range(0, len(raw), KEY_BYTES)]

    def _at(self, keys: list[bytes], further: int) -> np.ndarray:
        names, places = self._sorted()
        wanted = np.frombuffer(b"".join(keys), f"S{KEY_BYTES}")
        where = np.searchsorted(names, wanted.astype(names.dtype)) + further
        found = np.full((len(keys), 2), -1, np.int32)
        inside = where < len(names)
        inside[inside] = names[where[inside]].astype(wanted.dtype) == wanted[inside]
        found[inside] = places[where[inside]]
        return found

    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            if self._new:
                names, places = (
                    np.concatenate(parts) for parts in zip((self._names, self._places), *self._new, strict=True)
                )
                order = np.argsort(names, kind="stable")
                names, places = names[order], places[order]
                first = np.ones(len(names), bool)
                first[1:] = names[1:] != names[:-1]
                self._names, self._places, self._new = names[first], places[first], []
            return self._names, self._places
