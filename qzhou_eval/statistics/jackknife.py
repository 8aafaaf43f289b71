"""The jackknife: a score's standard error from leaving out each item in turn (Efron, Tibshirani 1993, chapter 11)."""

import numpy as np

from qzhou_eval.statistics.item_scores import Items
from qzhou_eval.statistics.resampled_scores import counted

_CHUNK = 2**22  # counts held at once


def standard_error(items: Items, split: str) -> float:
    """The standard error of one split's score, 0 to 1; items with equal values are left out together."""
    rows = items.splits[split]
    number = rows.shape[1]
    _, firsts, weights = np.unique(rows, axis=1, return_index=True, return_counts=True)
    step = max(1, _CHUNK // number)
    parts = []
    for start in range(0, len(firsts), step):
        left_out = firsts[start : start + step]
        counts = np.ones((len(left_out), number))
        counts[np.arange(len(left_out)), left_out] = 0
        parts.append(counted([items], split, counts)[0])
    scores = np.concatenate(parts)
    mean = np.average(scores, weights=weights)
    return float(np.sqrt((number - 1) / number * (weights * (scores - mean) ** 2).sum()))
