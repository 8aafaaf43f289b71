"""Token ids -> batches for a model, longest prompts first: packed, padded or of one length. Needs no model."""

from array import array
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

Item = TypeVar("Item")

PACKED, PADDED, ONE_LENGTH = WAYS = ("packed", "padded", "one length")  # the fastest first

PADDING = 0.015  # the most padding, as a share of a padded batch's own tokens


@dataclass(frozen=True)
class Batch:
    """Some prompts as tensors, all int64 except ``starts``.

    Packed: one row of all tokens, positions restarting at each prompt, ``starts`` (n + 1,) int32 with the prompts'
    bounds in it, and no ``mask``. Padded: one row per prompt, ``mask`` (n, longest) with 0 where padded, and no
    ``starts``. Of one length: as padded, but without any 0 in ``mask``.

    Attributes:
        rows: which prompts these are.
        ids: (rows, columns) token ids.
        positions: (rows, columns) of each token in its own prompt.
        last: (2, n) row and column of each prompt's last token.
        first: (2, n) row and column of each prompt's first token.
        longest: tokens of the longest prompt.
        lengths: (n,) tokens of each prompt.
        kept: (tokens,) where the prompts' tokens are, one after another, in the flattened batch; None: everywhere.
        weights: (tokens,) float32, each token's weight in its prompt's vector; None if one token makes the vector.
    """

    rows: list[int]
    ids: torch.Tensor
    positions: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor
    longest: int
    lengths: torch.Tensor
    kept: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    starts: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    @property
    def tokens(self) -> int:
        """Tokens that are forwarded, padding included."""
        return self.ids.numel()

    def to(self, device: str) -> "Batch":
        """Copy the batch to a device; to a GPU from pinned memory, without waiting for the copy."""
        if not device.startswith("cuda"):
            return self
        moved = {
            name: tensor.pin_memory().to(device, non_blocking=True)
            for name, tensor in vars(self).items()
            if isinstance(tensor, torch.Tensor)
        }
        return Batch(**vars(self) | moved)


def plan(lengths: list[int], batch_tokens: int, way: str) -> Iterator[list[int]]:
    """Plan batches, longest prompts first: each has at most ``batch_tokens`` tokens with padding, or a single prompt.

    A padded batch, unless it is small, ends where its padding would exceed :data:`PADDING` of its own tokens. Prompts
    without tokens are left out, since they have no last token.

    Args:
        way: one of :data:`WAYS`.
    """
    rows: list[int] = []
    own = 0
    for row in sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i]):
        more = own + lengths[row]
        size = more if way == PACKED or not rows else (len(rows) + 1) * lengths[rows[0]]
        too_sparse = size > batch_tokens / 8 and size > (1 + PADDING) * more
        unlike = way == ONE_LENGTH and size > more
        if rows and (size > batch_tokens or too_sparse or unlike):
            yield rows
            rows, more = [], lengths[row]
        rows.append(row)
        own = more
    if rows:
        yield rows


def pack(rows: list[int], sequences: list[array], *, padding: int | None = None) -> Batch:
    """Put the prompts one after another in a single row, without padding.

    Args:
        padding: the padding token's id if positions are counted from it, as in RoBERTa; else they begin at 0.
    """
    lengths = np.array([len(sequences[row]) for row in rows])
    starts = np.concatenate([[0], lengths.cumsum()])
    first, zeros = starts[:-1], np.zeros_like(lengths)
    ids = np.concatenate([np.frombuffer(sequences[row], np.uint32) for row in rows])
    return Batch(
        rows=rows,
        ids=_long(ids[None]),
        positions=_long(_positions(ids, lengths, padding)[None]),
        first=_long(np.stack([zeros, first])),
        last=_long(np.stack([zeros, starts[1:] - 1])),
        longest=int(lengths.max()),
        lengths=_long(lengths),
        starts=torch.from_numpy(starts.astype(np.int32)),
    )


def pad(rows: list[int], sequences: list[array], *, left: bool = True, padding: int | None = None) -> Batch:
    """Put each prompt in a row of its own, padded with token 0, on the left or on the right.

    Args:
        padding: as in :func:`pack`.
    """
    lengths = np.array([len(sequences[row]) for row in rows])
    width = int(lengths.max())
    begin = width - lengths if left else np.zeros_like(lengths)
    columns = np.arange(width)
    mask = (columns >= begin[:, None]) & (columns < (begin + lengths)[:, None])
    ids = np.zeros(mask.shape, np.uint32)
    ids[mask] = np.concatenate([np.frombuffer(sequences[row], np.uint32) for row in rows])
    positions = np.zeros(mask.shape, np.int64)
    positions[mask] = _positions(ids[mask], lengths, padding)
    lines = np.arange(len(rows))
    return Batch(
        rows=rows,
        ids=_long(ids),
        positions=_long(positions),
        first=_long(np.stack([lines, begin])),
        last=_long(np.stack([lines, begin + lengths - 1])),
        longest=width,
        lengths=_long(lengths),
        kept=None if mask.all() else _long(mask.reshape(-1).nonzero()[0]),
        mask=_long(mask),
    )


def _positions(ids: np.ndarray, lengths: np.ndarray, padding: int | None) -> np.ndarray:
    """Each token's position in its prompt; a padding token in a text has the number of padding and is not counted."""
    first = lengths.cumsum() - lengths
    if padding is None:
        return np.arange(len(ids)) - first.repeat(lengths)
    real = ids != padding
    counted = real.cumsum()
    before = (counted - real)[first]
    return (counted - before.repeat(lengths)) * real + padding


def _long(values: np.ndarray) -> torch.Tensor:
    """Convert to int64; by numpy, since torch would start its own threads in addition to those that compute."""
    return torch.from_numpy(values.astype(np.int64))


def prefetch(items: Iterable[Item], *, count: int = 2) -> Generator[Item, None, None]:
    """Yield the same items, made ``count`` ahead in another thread; an interrupt does not wait for that thread."""
    iterator, thread = iter(items), ThreadPoolExecutor(1)

    def following() -> list[Item]:
        return list(islice(iterator, 1))  # empty at the end

    try:
        made = deque(thread.submit(following) for _ in range(count))
        while found := made.popleft().result():
            made.append(thread.submit(following))
            yield found[0]
    finally:
        thread.shutdown(wait=False, cancel_futures=True)
