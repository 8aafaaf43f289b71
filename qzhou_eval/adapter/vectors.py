"""Stored vectors of one task's texts. A missing vector is an error, never a silent re-encode. Imports no mteb."""

import hashlib
from dataclasses import dataclass

import numpy as np

from qzhou_eval.errors import BadInput
from qzhou_eval.items import PROBE
from qzhou_eval.profile import Profile
from qzhou_eval.prompts import instruction_for, render
from qzhou_eval.store import Store, prompt_key
from qzhou_eval.tasks import Task


@dataclass(frozen=True)
class EncodeCall:
    """One call of an encoder: the side (``query``, ``document``, None for symmetric tasks) and its texts."""

    side: str | None
    texts: list[str]


class TaskVectors:
    """Full-width vectors of one task's texts, read from the store once and shared by all dimensions.

    Attributes:
        matrix: float32 (distinct texts asked for so far, width).
        texts: how many texts were asked for so far, repetitions counted.
        samples: the first rendered prompt of each side ("query", "document", or "text").
        made_with: what these vectors were made with, as the store says it.
    """

    def __init__(self, store: Store, task: Task, profile: Profile, *, use_instruction: bool) -> None:
        self._store = store
        self._task = task
        self._profile = profile
        self._use_instruction = use_instruction
        self._row: dict[tuple[str | None, str], int] = {}
        self._first: dict[str, list[int]] = {}
        self.matrix: np.ndarray | None = None
        self.texts = 0
        self.samples: dict[str, str] = {}
        self.made_with: list[dict] = []

    def of(self, texts: list[str], side: str | None) -> np.ndarray:
        """float32 (n, width), in the order of ``texts``.

        Raises:
            BadInput: a prompt is not in the store.
        """
        rows = self.rows(texts, side)
        return self.matrix[rows]

    def rows(self, texts: list[str], side: str | None) -> np.ndarray:
        """Each text's row in ``matrix``, int64 (n,); texts that are not there yet are read from the store.

        Raises:
            BadInput: a prompt is not in the store.
        """
        self.texts += len(texts)
        new = list(dict.fromkeys(text for text in texts if (side, text) not in self._row))
        if new:
            self._read(new, side)
        return np.array([self._row[side, text] for text in texts], np.int64)

    def probe(self, dim: int) -> dict[str, np.ndarray]:
        """By side ("query", "document", or "text") the stored vectors of its first texts, float32 (at most 3, dim)."""
        return {side: self.matrix[rows, :dim] for side, rows in self._first.items()}

    def _read(self, texts: list[str], side: str | None) -> None:
        instruction = instruction_for(self._profile, self._task.name, side) if self._use_instruction else None
        prompts = [render(self._profile, text, instruction) for text in texts]
        self.samples.setdefault(side or "text", prompts[0])
        keys = [prompt_key(prompt) for prompt in prompts]
        try:
            vectors = self._store.get(keys).numpy()
        except KeyError:
            missing = sum(key not in self._store for key in keys)
            raise BadInput(
                f"{self._task.name}: {missing} of {len(keys)} prompts are not in the store; run encode first"
            ) from None
        self.made_with += [made for made in self._store.made_with(keys) if made not in self.made_with]
        start = 0 if self.matrix is None else len(self.matrix)
        self.matrix = vectors if self.matrix is None else np.concatenate([self.matrix, vectors])
        self._row |= {(side, text): start + i for i, text in enumerate(texts)}
        self._first.setdefault(side or "text", list(range(start, start + min(PROBE, len(texts)))))


class Recorded:
    """Keeps what was asked for, in place of :class:`TaskVectors`; answers with vectors of each text's digest.

    Which texts a task asks for, and in which order, does not depend on the vectors.
    """

    def __init__(self) -> None:
        self.calls: list[EncodeCall] = []

    def of(self, texts: list[str], side: str | None) -> np.ndarray:
        """float32 (n, 2)."""
        self.calls.append(EncodeCall(side, list(texts)))
        digests = b"".join(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8] for text in texts)
        return np.frombuffer(digests, np.int32).reshape(len(texts), 2).astype(np.float32) / 2**31
