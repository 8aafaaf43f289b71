"""Computes intervals from resampled scores, and whether a difference is significant."""

import numpy as np

CONFIDENCE = 0.95


def interval(draws: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The percentile interval of resampled scores (resamples,), in the scores' unit."""
    outside = (1 - confidence) / 2
    low, high = np.quantile(draws, [outside, 1 - outside])
    return float(low), float(high)


def separable(differences: np.ndarray, confidence: float = CONFIDENCE) -> bool:
    """Whether resampled differences (resamples,) are significant: their interval does not include 0."""
    return significant(interval(differences, confidence))


def significant(bounds: tuple[float, float]) -> bool:
    """Whether the interval of a difference does not include 0."""
    low, high = bounds
    return low > 0 or high < 0
