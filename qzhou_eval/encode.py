"""Encode: prompts that are not in the store -> model -> store. Needs no mteb and knows no task's data."""

import logging
import time
from dataclasses import dataclass

import torch

from qzhou_eval.store import Store, prompt_key

log = logging.getLogger(__name__)

SHARD_PROMPTS = 4096
SHARD_SECONDS = 60


class EncodeError(RuntimeError):
    """The model gave vectors that cannot be used."""


@dataclass(frozen=True)
class EncodeCounts:
    """How much of a task's prompts there was to do, and how long it took."""

    prompts: int
    tokens: int
    cut: int
    encoded: int
    encoded_tokens: int
    seconds: float


def encode(prompts: list[str], store: Store, open_tokenizer, open_encoder, identity: dict) -> EncodeCounts:
    """Bring the vectors of distinct ``prompts`` into the store; only the missing ones meet the model.

    A shard is written every few thousand prompts or every minute, so a kill loses little.

    Raises:
        EncodeError: a vector is not finite.
        BadInput: the store cannot be written.
    """
    start = time.monotonic()
    keys = [prompt_key(prompt) for prompt in prompts]
    tokenized = open_tokenizer()(prompts)
    missing = [i for i, key in enumerate(keys) if key not in store]
    if missing:
        encoder = open_encoder()
        store.create(identity, encoder.made_with)
        waiting = _Waiting(store)
        for rows, vectors in encoder.stream([tokenized[i] for i in missing]):
            if not torch.isfinite(vectors).all():
                bad = int((~torch.isfinite(vectors).all(dim=1)).nonzero()[0])
                raise EncodeError(f"the model gave NaN or infinity for prompt {keys[missing[rows[bad]]].hex()}")
            waiting.add([keys[missing[row]] for row in rows], vectors)
        waiting.flush()
    return EncodeCounts(
        prompts=len(prompts),
        tokens=sum(len(t.ids) for t in tokenized),
        cut=sum(t.cut for t in tokenized),
        encoded=len(missing),
        encoded_tokens=sum(len(tokenized[i].ids) for i in missing),
        seconds=time.monotonic() - start,
    )


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
