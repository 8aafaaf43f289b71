"""A retrieval task of letters, scored by the project and by mteb."""

import math
from dataclasses import replace

import numpy as np
import pytest
from mteb.similarity_functions import cos_sim
from stored import variant

from qzhou_eval.evaluate.mteb_adapter import v2


class Letters:
    """Replaces a task's stored vectors: each text is the sum of its letters' fixed random vectors."""

    width = 96

    def __init__(self) -> None:
        self._letter = {}

    def of(self, texts: list[str], side: str | None) -> np.ndarray:
        return np.stack([self._one(text) for text in texts])

    def rows(self, texts: list[str], side: str | None) -> np.ndarray:
        known = getattr(self, "known", np.empty((0, self.width), np.float32))
        self.known = np.concatenate([known, self.of(texts, side)])
        return np.arange(len(self.known) - len(texts), len(self.known))

    def take(self, rows: np.ndarray, dim: int) -> np.ndarray:
        return self.known[rows, :dim]

    def _one(self, text: str) -> np.ndarray:
        pairs = zip("^" + text, text + "$", strict=True)
        return np.sum([self._of(pair) for pair in pairs], axis=0, dtype=np.float32)

    def _of(self, pair: tuple[str, str]) -> np.ndarray:
        if pair not in self._letter:
            seed = [ord(letter) for letter in pair]
            self._letter[pair] = np.random.default_rng(seed).standard_normal(self.width).astype(np.float32)
        return self._letter[pair]


def assert_same_scores(ours: dict, theirs: dict, *, sure: float) -> None:
    """Compare every key and value; mteb rounds all but MRR and nAUC to five decimals. ``sure``: tolerance for nAUC."""
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if isinstance(value, float) and math.isnan(value):
            assert math.isnan(ours[key]), key
        elif isinstance(value, float):
            assert ours[key] == pytest.approx(value, abs=sure if key.startswith("nauc") else 1.001e-5), key
        else:
            assert ours[key] == value, key


def both(task, source, dims, vectors, *, normalize=True) -> dict:
    """The score dicts of our evaluator and of mteb's, by (dimension, split)."""
    variants = [replace(variant(dim), normalize=normalize) for dim in dims]
    scores = {}
    for which in ("shared", "mteb"):
        scored = v2.score(v2.load(task, source), task, source, vectors, variants, evaluators=which)
        for one, result, _ in scored:
            for split, rows in result.scores.items():
                scores.setdefault((one.dim, split), []).append(rows[0])
    return scores


CLOSE = 3e-7  # the last bits of two float32 cosines


def cluster(rows: int, width: int, seed: int) -> np.ndarray:
    """float32 vectors of different lengths around common centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((9, width))
    vectors = centres[rng.integers(9, size=rows)] + 0.7 * rng.standard_normal((rows, width))
    return (vectors * rng.uniform(0.5, 2, (rows, 1))).astype(np.float32)


def cosines(queries: np.ndarray, documents: np.ndarray, dim: int, *, normalize: bool = True) -> np.ndarray:
    """The cosines that mteb computes for an encoder that cuts and normalises."""
    one, two = queries[:, :dim], documents[:, :dim]
    if normalize:
        one, two = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (one, two))
    return cos_sim(one, two).numpy()
