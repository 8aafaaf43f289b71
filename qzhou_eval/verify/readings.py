"""Which reading of token prepending gives the other side's vectors. Pure array code."""

from dataclasses import dataclass

import numpy as np

from qzhou_eval.vectors import cut_and_normalize

Span = tuple[int, int] | None

# float32 decides: the published readings are about 2e-3 apart, equal computations a few 1e-7. bfloat16 rounds by
# about as much as the readings are apart, so there only a vector of something else is told.
MAX_DIFFERENCE = 1e-5
MIN_COSINE_BFLOAT16 = 0.99


@dataclass(frozen=True)
class Row:
    """How far two sets of vectors are apart in one precision, at worst over all prompts and components."""

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
    return f"TP {span[0]}-{span[1]}" if span else "off"


def distance(precision: str, reading: str, one: np.ndarray, two: np.ndarray) -> Row:
    """Compare full vectors (n, width), n at least 1, each L2-normalised first."""
    one, two = cut_and_normalize(one), cut_and_normalize(two)
    return Row(precision, reading, float(np.abs(one - two).max()), float((one * two).sum(axis=1).min()))
