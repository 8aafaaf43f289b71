"""Resampled scores -> intervals, and whether a difference can be told from none."""

import math
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95


def interval(draws: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The percentile interval of resampled scores (resamples,), in their unit."""
    outside = (1 - confidence) / 2
    low, high = np.quantile(draws, [outside, 1 - outside])
    return float(low), float(high)


def separable(differences: np.ndarray, confidence: float = CONFIDENCE) -> bool:
    """Whether resampled differences (resamples,) are on one side of 0: their interval leaves it out."""
    low, high = interval(differences, confidence)
    return low > 0 or high < 0


def normal(confidence: float = CONFIDENCE) -> float:
    """How far the normal distribution's interval reaches from 0, in standard deviations."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def student_t(degrees: int, confidence: float = CONFIDENCE) -> float:
    """The same of Student's t with whole degrees of freedom.

    By halving, on the closed form of its distribution (Abramowitz and Stegun 26.7.3 and 26.7.4): scipy.special, which
    has it too, takes a quarter of a second to import.
    """
    low, high = 0.0, math.pi / 2  # the angle whose tangent is t / sqrt(degrees)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < confidence else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def _within(angle: float, degrees: int) -> float:
    """The chance that Student's t is nearer to 0 than sqrt(degrees) * tan(angle)."""
    odd = degrees % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for number in range(2 + odd, degrees + 1, 2):
        total += term
        term *= (number - 1) / number * math.cos(angle) ** 2
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
