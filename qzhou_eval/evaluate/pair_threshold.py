"""The threshold on a similarity that tells positive pairs from negative ones best."""

import numpy as np


def right_at_best_threshold(similarity: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Which pairs are on the right side of the threshold that most of them are on the right side of.

    Source: ``_find_best_acc_and_threshold`` of mteb 2.26.24: a threshold lies between two unequal similarities, so it
    never takes all pairs or none for positive; of equally good ones the highest.

    Args:
        similarity: (pairs,), higher is more alike.
        label: (pairs,), 1 for a positive pair, 0 for a negative one.

    Returns:
        bool (pairs,); none is right where all similarities are equal, which is what mteb makes of it.
    """
    label = np.asarray(label).astype(bool)
    _, rank = np.unique(np.asarray(similarity), return_inverse=True)
    positive, negative = (np.bincount(rank[side], minlength=rank.max() + 1) for side in (label, ~label))
    if len(positive) == 1:
        return np.zeros(len(label), bool)
    above = positive[::-1].cumsum()[::-1][1:]  # positive pairs from each rank up, ranks above the lowest
    below = negative.cumsum()[:-1]  # negative pairs under it
    right = above + below
    lowest = len(right) - right[::-1].argmax()
    return (rank >= lowest) == label
