"""Computes a task's score from its items, and from resamples in which each item counts as often as it was drawn.

Many resamples are scored at once: a resample is a row of counts that sum to the number of items, and its score is
that of the items repeated as often as counted.
"""

from collections.abc import Sequence

import numpy as np

from qzhou_eval.statistics.item_scores import MEAN, SPEARMAN, V_MEASURE, Items


def value(items: Items, splits: Sequence[str]) -> float:
    """The score, 0 to 1: the mean over ``splits`` of the items' statistic."""
    scores = [counted([items], split, np.ones((1, items.splits[split].shape[1])))[0, 0] for split in splits]
    return float(np.mean(scores))


def counted(several: Sequence[Items], split: str, counts: np.ndarray) -> np.ndarray:
    """Scores of resamples, for several settings of one task.

    Args:
        several: items of one task, all with the same number of items in ``split``.
        counts: (resamples, items), how often each item was drawn.

    Returns:
        float64 (settings, resamples), 0 to 1.
    """
    counts = counts.astype(np.float64)
    arrays = [items.splits[split] for items in several]
    return _OF_COUNTS[several[0].statistic](arrays, counts)


def _mean(arrays: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
    return np.concatenate(arrays).astype(np.float64) @ counts.T / counts.shape[1]


def _spearman(arrays: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Rank correlation as in scipy.stats.spearmanr, where equal values get the mean of their ranks; NaN if constant."""
    gold, gold_square = _centred_ranks(arrays[0][0], counts)
    gold *= counts  # done once: all settings share their gold scores
    scores = np.empty((len(arrays), len(counts)))
    for setting, (_, ranks) in enumerate(arrays):
        found, found_square = _centred_ranks(ranks, counts)
        with np.errstate(invalid="ignore"):
            scores[setting] = np.einsum("bn,bn->b", gold, found) / np.sqrt(gold_square * found_square)
    return scores


def _v_measure(arrays: list[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """The V-measure of labels and clusters, as in sklearn.metrics.v_measure_score."""
    labels = arrays[0][0]
    of_labels = _entropy(labels, counts)  # all settings share their labels
    scores = np.empty((len(arrays), len(counts)))
    for setting, (_, clusters) in enumerate(arrays):
        of_clusters = _entropy(clusters, counts)
        both = labels.astype(np.int64) * (int(clusters.max()) + 1) + clusters
        shared = of_labels + of_clusters - _entropy(both, counts)
        homogeneity, completeness = (_share(shared, one) for one in (of_labels, of_clusters))
        with np.errstate(invalid="ignore"):
            scores[setting] = np.nan_to_num(2 * homogeneity * completeness / (homogeneity + completeness))
    return scores


def _entropy(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The entropy of the values in each resample, (resamples,), in nats."""
    share = _by_rank(values, counts) / counts.sum(axis=1, keepdims=True)
    return -np.where(share > 0, share * np.log(np.maximum(share, 1e-300)), 0).sum(axis=1)


def _share(shared: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Mutual information as a share of an entropy; 1 where that is 0."""
    return np.where(of > 1e-12, shared / np.maximum(of, 1e-12), 1.0)


def _centred_ranks(ranks: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each item's rank in each resample minus the mean rank (resamples, items), and sums of squares (resamples,)."""
    of_group = _by_rank(ranks, counts)
    mid_ranks = np.cumsum(of_group, axis=1) - (of_group - 1) / 2 - (counts.shape[1] + 1) / 2
    return mid_ranks.take(ranks, axis=1), np.einsum("bg,bg,bg->b", of_group, mid_ranks, mid_ranks)


def _by_rank(ranks: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How often each rank was drawn: (resamples, ranks)."""
    order = np.argsort(ranks, kind="stable")
    starts = np.flatnonzero(np.diff(ranks[order], prepend=-1.0))
    return np.add.reduceat(counts.take(order, axis=1), starts, axis=1)


_OF_COUNTS = {MEAN: _mean, SPEARMAN: _spearman, V_MEASURE: _v_measure}
