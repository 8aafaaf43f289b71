"""Collects the best documents of each query at one dimension.

A score and a document's number are packed into one int64: the score's bits, mapped so that they grow with the score,
above the number. Sorting or partitioning such keys sorts by (score, number) at the cost of one plain array.
"""

import numpy as np

_LOW = np.int64(0xFFFFFFFF)


def pack_scores(scores: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """int64 keys that sort like the pairs (float32 ``scores``, ``numbers`` of 0 to 2**31 - 1); -0.0 counts as 0.0."""
    bits = (scores + np.float32(0)).view(np.int32)
    growing = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    return (growing.astype(np.int64) << 32) | numbers


def unpack(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 scores and int64 numbers of keys from :func:`pack_scores`."""
    growing = (keys >> 32).astype(np.int32)
    return (growing ^ ((growing >> 31) & np.int32(0x7FFFFFFF))).view(np.float32), keys & _LOW


def largest(keys: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` largest keys of each row, unordered."""
    return np.partition(keys, keys.shape[1] - count, axis=1)[:, keys.shape[1] - count :]


class Pool:
    """Keeps at least the ``count`` best of all documents offered, for each of ``rows`` queries.

    A document enters only if it reaches the query's threshold, the ``count``-th best when the pool was last trimmed;
    so after the first chunk few do. Rows fill up at different speeds and are trimmed together.
    """

    def __init__(self, rows: int, count: int) -> None:
        self._count = count
        self._keys = np.empty((rows, 4 * count), np.int64)
        self._filled = np.zeros(rows, np.int64)
        self._threshold: np.ndarray | None = None

    def offer(self, scores: np.ndarray, numbers: np.ndarray) -> None:
        """Add documents that reach the threshold: ``scores`` is float32 (rows, n), ``numbers`` int64 (n,)."""
        width = scores.shape[1]
        if self._threshold is None and width > self._count:
            place = width - self._count
            self._threshold = np.partition(scores, place, axis=1)[:, place]
        if self._threshold is None:
            taken = np.arange(scores.size)
        else:
            taken = np.flatnonzero(scores >= self._threshold[:, None])
        row = taken // width
        keys = pack_scores(scores.reshape(-1)[taken], numbers[taken - row * width])
        number = np.bincount(row, minlength=len(self._filled))
        self._make_room(number)
        starts = np.cumsum(number) - number
        self._keys[row, np.arange(len(taken)) + (self._filled - starts)[row]] = keys
        self._filled += number

    def best(self) -> np.ndarray:
        """int64 (rows, count): the keys of the best, unordered; fewer columns if fewer documents were offered."""
        if self._filled.min() > self._count or self._filled.max() != self._filled.min():
            self._trim()
        return self._keys[:, : self._filled[0]]

    def _make_room(self, number: np.ndarray) -> None:
        needed = (self._filled + number).max()
        if needed > self._keys.shape[1] and self._filled.max() > self._count:
            self._trim()
            needed = self._count + number.max()
        if needed > self._keys.shape[1]:
            more = np.empty((len(self._keys), needed - self._keys.shape[1]), np.int64)
            self._keys = np.concatenate([self._keys, more], axis=1)

    def _trim(self) -> None:
        used = self._keys[:, : self._filled.max()]
        used[np.arange(used.shape[1]) >= self._filled[:, None]] = np.iinfo(np.int64).min
        self._keys[:, : self._count] = largest(used, self._count)
        self._filled[:] = self._count
        self._threshold = unpack(self._keys[:, : self._count].min(axis=1))[0]
