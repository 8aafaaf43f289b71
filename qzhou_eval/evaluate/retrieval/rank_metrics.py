"""Rank metrics of many queries at once, at every k: those that trec_eval and mteb compute query by query.

All of them follow from the places at which a query's relevant documents were found, so only those are computed.
Matrices of relevant documents have one row per query and as many columns as the query with the most of them needs.
"""

from collections.abc import Sequence

import numpy as np


def places(found: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """The place at which each relevant document was found.

    Args:
        found: int64 (queries, k), documents best first; -1 after a query's last.
        relevant: int64 (queries, r), the relevant documents; a negative number other than -1 marks a document
            that cannot be found, or padding.

    Returns:
        float64 (queries, r): 1 for the best place; inf for a document that was not found.
    """
    result = np.full(relevant.shape, np.inf)
    for column in range(relevant.shape[1]):
        rows = np.flatnonzero(relevant[:, column] >= 0)
        same = found[rows] == relevant[rows, column, None]
        hit = np.flatnonzero(same.any(axis=1)) if same.shape[1] else rows[:0]
        result[rows[hit], column] = same[hit].argmax(axis=1) + 1
    return result


def rank_metrics(places: np.ndarray, gains: np.ndarray, k_values: Sequence[int]) -> dict[str, np.ndarray]:
    """``ndcg``, ``map``, ``recall``, ``precision``, ``hit_rate`` and ``mrr`` of each query at each k.

    Source: trec_eval's ndcg_cut (gain / log2(place + 1), relative to the best order of all relevant documents),
    map_cut, recall, P and success; mrr is the reciprocal of the first relevant place. A query without a relevant
    document scores 0.

    Args:
        places: float64 (queries, r), as :func:`places` returns it.
        gains: (queries, r), the grade of each relevant document, above 0; 0 for padding.
        k_values: cut-offs, at least 1.

    Returns:
        By metric, float64 (queries, len(k_values)).
    """
    by_place = np.argsort(places, axis=1, kind="stable")
    places, ordered = np.take_along_axis(places, by_place, axis=1), np.take_along_axis(gains, by_place, axis=1)
    nth = np.arange(1, places.shape[1] + 1)
    discounted = ordered / np.log2(places + 1)
    precisions = nth / places
    best = -np.sort(-gains, axis=1) / np.log2(nth + 1)
    relevant = (gains > 0).sum(axis=1)
    first = places.min(axis=1, initial=np.inf)
    names = ("ndcg", "map", "recall", "precision", "hit_rate", "mrr")
    columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for k in k_values:
        inside = places <= k
        hits = inside.sum(axis=1)
        columns["ndcg"].append(_share((discounted * inside).sum(axis=1), best[:, :k].sum(axis=1)))
        columns["map"].append(_share((precisions * inside).sum(axis=1), relevant))
        columns["recall"].append(_share(hits, relevant))
        columns["precision"].append(hits / k)
        columns["hit_rate"].append((hits > 0).astype(float))
        columns["mrr"].append(np.where(first <= k, 1 / first, 0))
    return {name: np.stack(values, axis=1) for name, values in columns.items()}


def confidence(scores: np.ndarray) -> dict[str, np.ndarray]:
    """The confidence of each query's search: ``max``, ``std`` and ``diff1`` (best minus second best) of its scores.

    Source: ``confidence_scores`` of mteb 2.26.24, after https://arxiv.org/abs/2402.12997.

    Args:
        scores: float32 (queries, k), best first; NaN after a query's last document.

    Returns:
        By name, float64 (queries,); 0 for a query that found nothing; ``diff1`` is also 0 for one document.
    """
    scores = scores.astype(np.float64)
    number = np.isfinite(scores).sum(axis=1)
    filled = np.nan_to_num(scores, nan=0.0)
    mean = _share(filled.sum(axis=1), number)
    away = np.where(np.isfinite(scores), scores - mean[:, None], 0)
    best, second = np.concatenate([filled[:, :2], np.zeros((len(filled), 2))], axis=1).T[:2]
    return {
        "max": best.copy(),  # a copy: a view would keep all scores in memory
        "std": np.sqrt(_share((away**2).sum(axis=1), number)),
        "diff1": np.where(number > 1, best - second, 0),
    }


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
