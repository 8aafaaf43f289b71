"""Scores of chance: the expectation over random answers, exact where there is a formula."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

REPETITIONS = 10  # random clusterings to average over


def majority(labels: Sequence[Hashable]) -> float:
    """The share of the most frequent label: the accuracy of always predicting it."""
    return max(Counter(labels).values()) / len(labels)


def random_v_measure(labels: Sequence[Hashable], *, seed: int = 0) -> float:
    """The mean V-measure of random clusterings, each with as many clusters as there are labels."""
    from sklearn.metrics import v_measure_score

    clusters = len(set(labels))
    if clusters == 1:
        return 1.0
    drawn = np.random.default_rng(seed).integers(0, clusters, (REPETITIONS, len(labels)))
    return float(np.mean([v_measure_score(labels, one) for one in drawn]))


def random_ndcg(found: Sequence[float], every: Sequence[float], size: int, k: int) -> float:
    """The expected nDCG@k of one query whose documents are in random order.

    Args:
        found: grades, above 0, of the relevant documents that are among the ranked ones.
        every: grades of all relevant documents, as in the ideal order.
        size: how many documents are ranked.
        k: the cut-off.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    best = np.sort(np.asarray(every, float))[::-1][:k]
    ideal = float(best @ discounts[: len(best)])
    return sum(found) / size * float(discounts[:size].sum()) / ideal if ideal and size else 0.0


def random_average_precision(found: int, every: int, size: int, k: int) -> float:
    """The expected average precision at k of one query whose documents are in random order.

    The document at place i is relevant with probability found / size; given that, each of the i - 1 before it is
    relevant with probability (found - 1) / (size - 1).

    Args:
        found: how many of the ranked documents are relevant.
        every: how many documents are relevant in all.
        size: how many documents are ranked.
        k: the cut-off.
    """
    if not found:
        return 0.0
    place = np.arange(1, min(size, k) + 1)
    before = (place - 1) * (found - 1) / max(size - 1, 1)
    return float(((1 + before) / place).sum()) * found / size / every
