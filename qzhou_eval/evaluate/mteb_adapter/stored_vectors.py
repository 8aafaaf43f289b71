"""Stored vectors of one task's texts. A missing vector is an error, never encoded silently. Does not import mteb."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qzhou_eval.benchmark.task import Task
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.prompts import prompts_of
from qzhou_eval.protocol.texts import AnyText, joined
from qzhou_eval.results.entries import MadeWith
from qzhou_eval.statistics.item_scores import PROBE

SAME = 1e-5  # of the largest component: far below differences between texts, above rounding in float32
_SOME = 4096  # vectors compared at once


@dataclass(frozen=True)
class EncodeCall:
    """One call of an encoder: the side (``query``, ``document``, None for symmetric tasks) and its texts."""

    side: str | None
    texts: list[AnyText]


class Vectors(ABC):
    """Full-width vectors of one task's texts, each read once for all dimensions.

    Attributes:
        texts: how many texts were asked for so far, counting repetitions.
        samples: the first rendered prompt of each side ("query", "document", or "text").
        made_with: what these vectors were made with, as recorded in the store.
    """

    def __init__(self) -> None:
        self._row: dict[tuple[str | None, AnyText], int] = {}
        self._first: dict[str, np.ndarray] = {}
        self._blocks: list[np.ndarray] = []  # one per read: joining them would hold them in memory twice
        self._starts: list[int] = []
        self.texts = 0
        self.samples: dict[str, str] = {}
        self.made_with: list[MadeWith] = []

    def of(self, texts: list[AnyText], side: str | None) -> np.ndarray:
        """float32 (n, width), in the order of ``texts``.

        Raises:
            BadInput: a prompt is not in the store.
        """
        return self.take(self.rows(texts, side))

    def rows(self, texts: list[AnyText], side: str | None) -> np.ndarray:
        """Each text's number, int64 (n,), for :meth:`take`; texts not read so far are read from the store.

        Raises:
            BadInput: a prompt is not in the store.
        """
        self.texts += len(texts)
        new = list(dict.fromkeys(text for text in texts if (side, text) not in self._row))
        if new:
            self._read(new, side)
        return np.array([self._row[side, text] for text in texts], np.int64)

    def take(self, rows: np.ndarray, dim: int | None = None) -> np.ndarray:
        """float32 (n, dim): the vectors with these numbers, cut; must not be modified, since it may not be a copy.

        A corpus is usually what one call asked for, in the same order, and is then returned without copying.
        """
        block_of = np.searchsorted(self._starts, rows, side="right") - 1
        if len(rows) and (block_of == block_of[0]).all():
            block, inside = self._blocks[block_of[0]][:, :dim], rows - self._starts[block_of[0]]
            return block if np.array_equal(inside, np.arange(len(block))) else block[inside]
        parts = [block[:, :dim] for block in self._blocks]
        taken = np.empty((len(rows), parts[0].shape[1] if parts else 0), np.float32)
        for number, (start, part) in enumerate(zip(self._starts, parts, strict=True)):
            taken[block_of == number] = part[rows[block_of == number] - start]
        return taken

    def probe(self, dim: int) -> dict[str, np.ndarray]:
        """By side ("query", "document", or "text"), the stored vectors of its first texts, float32 (at most 3, dim)."""
        return {side: vectors[:, :dim].copy() for side, vectors in self._first.items()}

    def collapsed(self, dim: int) -> bool:
        """Whether all texts (at least two) have the same vector at a dimension, up to rounding."""
        if len(self._row) < 2:
            return False
        first = self._blocks[0][0, :dim]
        near = SAME * np.abs(first).max()
        return all(
            (np.abs(block[start : start + _SOME, :dim] - first) <= near).all()
            for block in self._blocks
            for start in range(0, len(block), _SOME)
        )

    @abstractmethod
    def _read(self, texts: list[AnyText], side: str | None) -> None:
        """Add the vectors of texts that were not asked for before."""

    def _add(self, texts: list[AnyText], side: str | None, vectors: np.ndarray) -> None:
        start = len(self._row)
        self._blocks.append(vectors)
        self._starts.append(start)
        self._row |= {(side, text): start + i for i, text in enumerate(texts)}
        self._first.setdefault(side or "text", vectors[:PROBE].copy())


class TaskVectors(Vectors):
    """Vectors of one task's prompts, read from the store."""

    def __init__(self, store: Store, task: Task, profile: Profile, *, use_instruction: bool) -> None:
        super().__init__()
        self._store = store
        self._task = task
        self._profile = profile
        self._use_instruction = use_instruction

    def _read(self, texts: list[AnyText], side: str | None) -> None:
        prompts = prompts_of(self._profile, self._task, side, texts, use_instruction=self._use_instruction)
        self.samples.setdefault(side or "text", prompts[0])
        keys = [prompt_key(prompt) for prompt in prompts]
        try:
            vectors = self._store.get(keys).numpy()
        except KeyError:
            missing = len(self._store.missing(keys))
            raise BadInput(
                f"{self._task.name}: {missing} of {len(keys)} prompts are not in the store; run encode first"
            ) from None
        self.made_with += [made for made in self._store.made_with(keys) if made not in self.made_with]
        self._add(texts, side, vectors)


class TextVectors(Vectors):
    """Vectors that ``encode`` (texts -> float32 (n, width)) computes from the plain texts, without a store."""

    def __init__(self, encode: Callable[[list[str]], np.ndarray]) -> None:
        super().__init__()
        self._encode = encode

    def _read(self, texts: list[AnyText], side: str | None) -> None:
        self._add(texts, side, self._encode([joined(text) for text in texts]))


class Recorded:
    """Records what is asked for, in place of :class:`Vectors`; returns vectors made from each text's digest.

    Which texts a task asks for, and in which order, does not depend on the vectors.
    """

    def __init__(self) -> None:
        self.calls: list[EncodeCall] = []

    def of(self, texts: list[AnyText], side: str | None) -> np.ndarray:
        """float32 (n, 2)."""
        self.calls.append(EncodeCall(side, list(texts)))
        digests = b"".join(hashlib.md5(joined(text).encode(), usedforsecurity=False).digest()[:8] for text in texts)
        return np.frombuffer(digests, np.int32).reshape(len(texts), 2).astype(np.float32) / 2**31
