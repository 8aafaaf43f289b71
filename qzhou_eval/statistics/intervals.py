"""Resampled scores -> intervals, and whether a difference can be told from none."""

import numpy as np

CONFIDENCE = 0.95


def interval(draws: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The percentile interval of resampled scores (resamples,), in their unit."""
    outside = (1 - confidence) / 2
    low, high = np.quantile(draws, [outside, 1 - outside])
    return float(low), float(high)


def separable(differences: np.ndarray, confidence: float = CONFIDENCE) -> bool:
    """Whether resampled differences (resamples,) are on one side of 0: their interval leaves it out."""
    return significant(interval(differences, confidence))


def significant(bounds: tuple[float, float]) -> bool:
    """Whether the interval of a difference leaves 0 out."""
    low, high = bounds
    return low > 0 or high < 0
