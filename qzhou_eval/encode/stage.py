"""The encode stage: prompts that are not in the store -> model -> store. Needs neither mteb nor any task's data."""

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol, cast

from qzhou_eval.encode.encoder import Encoder, Prepare, Prepared
from qzhou_eval.encode.progress import Progress
from qzhou_eval.encode.shard_writer import EncodedStep, EncodeError, write_shards
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.results.entries import Counts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncodeCounts:
    """How many of a task's prompts had to be encoded, and how long it took.

    ``padding_tokens`` were forwarded in addition to the ``encoded_tokens``; ``share_of_ceiling`` is the arithmetic done
    per second as a share of what the devices reach in one large matrix product, None if nothing was encoded.
    """

    prompts: int
    tokens: int
    cut: int
    encoded: int
    encoded_tokens: int
    padding_tokens: int
    seconds: float
    share_of_ceiling: float | None

    @property
    def recorded(self) -> Counts:
        """As the manifest records it."""
        return cast(Counts, asdict(self))  # the same fields


@dataclass(frozen=True)
class Prompts:
    """Distinct prompts as their keys in the store and as their encoder takes them."""

    keys: list[bytes]
    prepared: Sequence[Prepared]


class Writer(Protocol):
    """Encodes prompts and writes shards: :class:`InProcess`, or the workers of a cluster."""

    @property
    def devices(self) -> int:
        """How many devices encode."""

    def write(self, keys: list[bytes], prepared: Sequence[Any], store: Store) -> Generator[EncodedStep, None, None]:
        """Encode prompts into ``store``; raises as :func:`~qzhou_eval.encode.shard_writer.write_shards` does."""


class Workers(Writer, Protocol):
    """A writer on several devices, which ends its workers when it is closed."""

    def close(self) -> None:
        """End the workers."""


class InProcess:
    """Writes with encoders in this process, by the fingerprint of their vectors; all share the same loaded weights."""

    devices = 1

    def __init__(self, encoders: Mapping[str, Encoder]) -> None:
        self._encoders = encoders

    def write(self, keys: list[bytes], prepared: Sequence[Any], store: Store) -> Generator[EncodedStep, None, None]:
        return write_shards(self._encoders[store.fingerprint], keys, prepared, store)


def prepare(prompts: list[str], preparer: Prepare) -> Prompts:
    """Return keys of distinct rendered prompts, and the prompts prepared; :func:`encode` may run in another thread."""
    return Prompts([prompt_key(prompt) for prompt in prompts], preparer(prompts))


def encode(
    prompts: Prompts,
    store: Store,
    open_writer: Callable[[], Writer],
    identity: Mapping[str, object],
    *,
    task: str = "",
    progress: Progress | None = None,
) -> EncodeCounts:
    """Put the vectors of ``prompts`` into the store; only the missing ones are encoded.

    Args:
        task: the name under which every step is reported to ``progress``.

    Raises:
        EncodeError: vectors cannot be used; those of the other prompts are stored.
        BadInput: the store cannot be written.
    """
    missing = store.missing(prompts.keys)
    lengths = [prompts.prepared[i].size for i in missing]
    forwarded, seconds, share = 0, 0.0, None
    if missing:
        writer = open_writer()
        store.create(identity)
        progress = progress or Progress()
        progress.begin(task, lengths, writer.devices)
        start = time.monotonic()
        keys, todo = [prompts.keys[i] for i in missing], [prompts.prepared[i] for i in missing]
        forwarded, ideal = _encode(keys, todo, store, writer, partial(progress.step, task))
        seconds = time.monotonic() - start
        share = ideal / seconds / writer.devices
    return EncodeCounts(
        prompts=len(prompts.keys),
        tokens=sum(one.size for one in prompts.prepared),
        cut=sum(one.cut for one in prompts.prepared),
        encoded=len(missing),
        encoded_tokens=sum(lengths),
        padding_tokens=forwarded - sum(lengths),
        seconds=round(seconds, 3),
        share_of_ceiling=round(share, 4) if share else None,
    )


def _encode(
    keys: list[bytes],
    prepared: Sequence[Prepared],
    store: Store,
    writer: Writer,
    tell: Callable[[list[int], float | None], None],
) -> tuple[int, float]:
    """Encode and store prompts; return the tokens forwarded, padding included, and the seconds at the ceiling."""
    forwarded, ideal = 0, 0.0
    left = set(range(len(keys)))
    with closing(writer.write(keys, prepared, store)) as steps:
        for step in steps:
            left.difference_update(step.rows)
            forwarded += step.forwarded
            ideal += step.ideal_seconds or 0.0
            tell([prepared[row].size for row in step.rows], step.ideal_seconds)
    if left:
        raise EncodeError(f"{len(left)} of {len(keys)} prompts got no vector, the first is {keys[min(left)].hex()}")
    return forwarded, ideal
