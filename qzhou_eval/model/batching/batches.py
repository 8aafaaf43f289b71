"""Token ids -> batches for a decoder, longest prompts first: packed, padded left, or of one length. Knows no model."""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

PACKED, PADDED, ONE_LENGTH = WAYS = ("packed", "padded", "one length")  # the fastest first

PADDING = 0.015  # of a padded batch's own tokens


@dataclass(frozen=True)
class Batch:
    """Some prompts as tensors, all int64 but ``starts``.

    Packed: one row of all tokens, positions restarting, ``starts`` (n + 1,) int32 the sequences' bounds in it, and no
    ``mask``. Padded: a row for each prompt, ``mask`` (n, longest) 0 where padded, and no ``starts``; of one length:
    the same without a 0.

    Attributes:
        rows: which prompts these are.
        ids: (rows, columns) token ids.
        positions: (rows, columns) of each token in its own prompt.
        last: (2, n) row and column of each prompt's last token.
        first: (2, n) row and column of each prompt's first token.
        longest: tokens of the longest prompt.
    """

    rows: list[int]
    ids: torch.Tensor
    positions: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor
    longest: int
    starts: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    @property
    def tokens(self) -> int:
        """Tokens that are forwarded, padding included."""
        return self.ids.numel()

    def to(self, device: str) -> "Batch":
        """The same on a device; to a GPU from pinned memory, without waiting for it."""
        if not device.startswith("cuda"):
            return self
        moved = {
            name: tensor.pin_memory().to(device, non_blocking=True)
            for name, tensor in vars(self).items()
            if isinstance(tensor, torch.Tensor)
        }
        return Batch(**vars(self) | moved)


def plan(lengths: list[int], batch_tokens: int, way: str) -> Iterator[list[int]]:
    """Which prompts go together, longest first: at most ``batch_tokens`` tokens, padding included, or one prompt.

    A padded batch that is not small ends where its padding would pass :data:`PADDING` of its own tokens. Prompts
    without a token are left out: they have no last one.

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


def pack(rows: list[int], sequences: list[array]) -> Batch:
    """The prompts one behind the other in one row, without padding."""
    lengths = np.array([len(sequences[row]) for row in rows])
    starts = np.concatenate([[0], lengths.cumsum()])
    first, zeros = starts[:-1], np.zeros_like(lengths)
    ids = np.concatenate([np.frombuffer(sequences[row], np.uint32) for row in rows])
    return Batch(
        rows=rows,
        ids=_long(ids[None]),
        positions=_long((np.arange(len(ids)) - first.repeat(lengths))[None]),
        first=_long(np.stack([zeros, first])),
        last=_long(np.stack([zeros, starts[1:] - 1])),
        longest=int(lengths.max()),
        starts=torch.from_numpy(starts.astype(np.int32)),
    )


def pad(rows: list[int], sequences: list[array]) -> Batch:
    """The prompts one below the other, padded on the left with token 0."""
    lengths = np.array([len(sequences[row]) for row in rows])
    width = int(lengths.max())
    mask = np.arange(width) >= (width - lengths)[:, None]
    ids = np.zeros(mask.shape, np.uint32)
    ids[mask] = np.concatenate([np.frombuffer(sequences[row], np.uint32) for row in rows])
    lines = np.arange(len(rows))
    return Batch(
        rows=rows,
        ids=_long(ids),
        positions=_long((mask.cumsum(axis=1) - 1).clip(min=0)),
        first=_long(np.stack([lines, width - lengths])),
        last=_long(np.stack([lines, np.full_like(lines, width - 1)])),
        longest=width,
        mask=_long(mask),
    )


def _long(values: np.ndarray) -> torch.Tensor:
    """As int64; made by numpy, since torch would start threads of its own beside those that compute."""
    return torch.from_numpy(values.astype(np.int64))


def prefetch(items: Iterable, *, count: int = 2) -> Iterator:
    """The same items, made ``count`` ahead in another thread; an interrupt does not wait for that thread."""
    iterator, end = iter(items), object()
    thread = ThreadPoolExecutor(1)
    try:
        made = deque(thread.submit(next, iterator, end) for _ in range(count))
        while (item := made.popleft().result()) is not end:
            made.append(thread.submit(next, iterator, end))
            yield item
    finally:
        thread.shutdown(wait=False, cancel_futures=True)
