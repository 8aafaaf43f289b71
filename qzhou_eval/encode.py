"""Encode: prompts that are not in the store -> model -> store. Needs no mteb and knows no task's data."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from qzhou_eval.store import Store, prompt_key

log = logging.getLogger(__name__)

SHARD_PROMPTS = 4096
SHARD_SECONDS = 60


class EncodeError(RuntimeError):
    """The model gave vectors that cannot be used."""


@dataclass(frozen=True)
class EncodeCounts:
    """How much of a task's prompts there was to do, and how long it took.

    ``padding_tokens`` were forwarded beside the ``encoded_tokens``; ``share_of_ceiling`` is the arithmetic done per
    second as a share of what the device reaches in one large matrix product, None where nothing was encoded.
    """

    prompts: int
    tokens: int
    cut: int
    encoded: int
    encoded_tokens: int
    padding_tokens: int
    seconds: float
    share_of_ceiling: float | None


@dataclass(frozen=True)
class Prompts:
    """Distinct prompts as their keys in the store and their token ids."""

    keys: list[bytes]
    tokenized: list


def tokenize(prompts: list[str], tokenizer) -> Prompts:
    """Keys and token ids of distinct rendered prompts; may run in another thread than :func:`encode`."""
    return Prompts([prompt_key(prompt) for prompt in prompts], tokenizer(prompts))


def encode(prompts: Prompts, store: Store, open_encoder, identity: dict) -> EncodeCounts:
    """Bring the vectors of ``prompts`` into the store; only the missing ones meet the model.

    A shard is written every few thousand prompts or every minute, so a kill loses little.

    Raises:
        EncodeError: a vector is not finite.
        BadInput: the store cannot be written.
    """
    missing = [i for i, key in enumerate(prompts.keys) if key not in store]
    lengths = [len(prompts.tokenized[i].ids) for i in missing]
    forwarded, seconds, share = 0, 0.0, None
    if missing:
        encoder = open_encoder()
        store.create(identity, encoder.made_with)
        encoder.share_of_ceiling([], 1.0)  # measures the ceiling before the clock runs
        start = time.monotonic()
        forwarded = _encode([prompts.keys[i] for i in missing], [prompts.tokenized[i] for i in missing], store, encoder)
        seconds = time.monotonic() - start
        share = encoder.share_of_ceiling(lengths, seconds)
    return EncodeCounts(
        prompts=len(prompts.keys),
        tokens=sum(len(t.ids) for t in prompts.tokenized),
        cut=sum(t.cut for t in prompts.tokenized),
        encoded=len(missing),
        encoded_tokens=sum(lengths),
        padding_tokens=forwarded - sum(lengths),
        seconds=round(seconds, 3),
        share_of_ceiling=share and round(share, 4),
    )


def _encode(keys: list[bytes], tokenized: list, store: Store, encoder) -> int:
    """Encode and store prompts; the number of tokens forwarded, padding included."""
    forwarded, arithmetic, start = 0, 0.0, time.monotonic()
    waiting = _Waiting(store)
    with _progress(sum(len(t.ids) for t in tokenized)) as progress:
        for done in encoder.stream(tokenized):
            if not torch.isfinite(done.vectors).all():
                bad = int((~torch.isfinite(done.vectors).all(dim=1)).nonzero()[0])
                raise EncodeError(f"the model gave NaN or infinity for prompt {keys[done.rows[bad]].hex()}")
            waiting.add([keys[row] for row in done.rows], done.vectors)
            forwarded += done.forwarded
            lengths = [len(tokenized[row].ids) for row in done.rows]
            arithmetic += encoder.share_of_ceiling(lengths, 1.0) or 0.0
            share = arithmetic / (time.monotonic() - start)
            progress.set_postfix_str(f"{share:.0%} of the ceiling" if share else "", refresh=False)
            progress.update(sum(lengths))
    waiting.flush()
    return forwarded


@contextmanager
def _progress(tokens: int) -> Iterator[tqdm]:
    """A bar in tokens on a terminal, nothing elsewhere or where only warnings are wanted."""
    off = True if not log.isEnabledFor(logging.INFO) else None
    with (
        logging_redirect_tqdm(),
        tqdm(total=tokens, unit=" tokens", unit_scale=True, desc="encoding", leave=False, disable=off) as progress,
    ):
        yield progress


class _Waiting:
    """Vectors not yet written; becomes a shard when there are enough of them or a minute has passed."""

    def __init__(self, store: Store) -> None:
        self._store = store
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
            self._store.add(self._keys, torch.cat(self._vectors))
        self._keys, self._vectors, self._since = [], [], time.monotonic()
