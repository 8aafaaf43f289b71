"""Encode prompts and write shards of the store. Runs where the model is: in this process or a worker of a cluster."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch

from qzhou_eval.encode.encoder import Encoded, Encoder, Prepared, ideal_seconds
from qzhou_eval.encode.store import Store
from qzhou_eval.errors import BadInput, TaskFailed

SHARD_PROMPTS = 4096
SHARD_SECONDS = 60


class EncodeError(TaskFailed):
    """The vectors cannot be used, or there are none."""


@dataclass(frozen=True)
class EncodedStep:
    """Some prompts that have been encoded.

    Attributes:
        rows: which of the prompts.
        forwarded: tokens that went through the model for them, padding included.
        ideal_seconds: what their arithmetic would take as one large matrix product on the same device; None if unknown.
    """

    rows: list[int]
    forwarded: int
    ideal_seconds: float | None


def write_shards(
    encoder: Encoder, keys: list[bytes], prepared: Sequence[Prepared], store: Store
) -> Generator[EncodedStep, None, None]:
    """Encode prompts batch by batch and write a shard every few thousand prompts or every minute.

    However it ends, even by an interrupt, the vectors that are ready are written.

    Raises:
        EncodeError: a vector is missing, zero, NaN or infinite, or a single prompt does not fit the device.
        BadInput: the store cannot be written.
    """
    shard = _OpenShard(store, encoder)
    try:
        for done in encoder.stream(prepared):
            _check(done, keys, prepared)
            shard.add([keys[row] for row in done.rows], done.vectors)
            sizes = [prepared[row].size for row in done.rows]
            yield EncodedStep(done.rows, done.forwarded, ideal_seconds(encoder, sizes))
    except BadInput:
        raise
    except torch.OutOfMemoryError as error:
        shard.flush()
        raise EncodeError(f"the device is out of memory: {error}") from None
    except BaseException:
        shard.flush()
        raise
    shard.flush()


def _check(done: Encoded, keys: list[bytes], prepared: Sequence[Prepared]) -> None:
    """Raise for vectors that cannot be used, with the key of the first prompt that has one."""
    given, asked = len(done.vectors), len(done.rows)
    if given != asked:
        first = keys[done.rows[0]].hex()
        raise EncodeError(f"the model gave {given} vectors for {asked} prompts, the first of them {first}")
    finite = torch.isfinite(done.vectors).all(dim=1).tolist()
    zero = (~done.vectors.any(dim=1)).tolist()
    for row, is_finite, is_zero in zip(done.rows, finite, zero, strict=True):
        if not is_finite:
            raise EncodeError(f"the model gave NaN or infinity for prompt {keys[row].hex()}")
        if is_zero and prepared[row].size:  # a prompt without a token has the zero vector by definition
            raise EncodeError(f"the model gave a zero vector for prompt {keys[row].hex()}")


class _OpenShard:
    """Vectors not yet written; becomes a shard when there are enough of them or a minute has passed."""

    def __init__(self, store: Store, encoder: Encoder) -> None:
        self._store = store
        self._encoder = encoder
        self._keys: list[bytes] = []
        self._vectors: list[torch.Tensor] = []
        self._since = time.monotonic()

    def add(self, keys: list[bytes], vectors: torch.Tensor) -> None:
        self._keys += keys
        self._vectors.append(vectors)
        if len(self._keys) >= SHARD_PROMPTS or time.monotonic() - self._since > SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._keys:
            self._store.add(self._keys, torch.cat(self._vectors), self._encoder.made_with)
        self._keys, self._vectors, self._since = [], [], time.monotonic()
