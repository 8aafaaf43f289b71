"""Finds which reading of token prepending gives the other side's vectors. Pure array code."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from qzhou_eval.protocol.matryoshka import cut_and_normalize
from qzhou_eval.system.formatting import layers_text

Span = tuple[int, int] | None
Vectors = dict[str, dict[Span, np.ndarray]]  # precision -> reading -> float32 (n, width), not normalised

# float32 decides: the published readings are about 2e-3 apart, equal computations a few 1e-7. bfloat16 rounds by
# about as much as the readings are apart, so it detects only vectors of something else.
MAX_DIFFERENCE = 1e-5
MIN_COSINE_BFLOAT16 = 0.99


@dataclass(frozen=True)
class ReadingDistance:
    """How far apart L2-normalised full vectors are in one precision, the worst over prompts and components."""

    precision: str
    reading: str
    difference: float
    cosine: float

    @property
    def fits(self) -> bool:
        if self.precision == "float32":
            return self.difference <= MAX_DIFFERENCE
        return self.cosine >= MIN_COSINE_BFLOAT16


def name_of(span: Span) -> str:
    """``TP 1-7`` or ``off``."""
    return f"TP {layers_text(span)}" if span else "off"


def among_ours(ours: Vectors, rows: list[int]) -> list[ReadingDistance]:
    """Compare our readings with each other, on some rows: what token prepending changes."""
    return [
        _row(precision, f"{name_of(one)} and {name_of(two)}", found[one][rows], found[two][rows])
        for precision, found in ours.items()
        for one, two in combinations(found, 2)
    ]


def against_theirs(ours: Vectors, theirs: dict[str, np.ndarray], rows: list[int]) -> list[ReadingDistance]:
    """Compare each of our readings with the other side's vectors, on some rows."""
    return [
        _row(precision, name_of(span), vectors[rows], theirs[precision][rows])
        for precision, found in ours.items()
        for span, vectors in found.items()
    ]


def _row(precision: str, reading: str, one: np.ndarray, two: np.ndarray) -> ReadingDistance:
    one, two = cut_and_normalize(one), cut_and_normalize(two)
    return ReadingDistance(precision, reading, float(np.abs(one - two).max()), float((one * two).sum(axis=1).min()))
