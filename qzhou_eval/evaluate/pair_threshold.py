"""The similarity threshold that best separates positive pairs from negative ones."""

import numpy as np


def right_at_best_threshold(similarity: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Which pairs the best threshold classifies correctly; the best one is right for the most pairs.

    Source: ``_find_best_acc_and_threshold`` of mteb 2.26.24: a threshold lies between two unequal similarities, so it
    never classifies all pairs or none as positive; of equally good thresholds the highest is taken.

    Args:
        similarity: (pairs,), higher is more similar.
        label: (pairs,), 1 for a positive pair, 0 for a negative one.

    Returns:
        bool (pairs,); all False if all similarities are equal, as in mteb.
    """
    label = np.asarray(label).astype(bool)
    _, rank = np.unique(np.asarray(similarity), return_inverse=True)
    positive, negative = (np.bincount(rank[side], minlength=rank.max() + 1) for side in (label, ~label))
    if len(positive) == 1:
        return np.zeros(len(label), bool)
    above = positive[::-1].cumsum()[::-1][1:]  # positive pairs at or above each rank except the lowest
    below = negative.cumsum()[:-1]  # negative pairs below it
    right = above + below
    lowest = len(right) - right[::-1].argmax()
    return (rank >= lowest) == label
