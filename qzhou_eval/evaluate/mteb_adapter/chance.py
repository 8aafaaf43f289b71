"""Computes the score of chance on a task's data, in the task's own metric, for mteb 2.26.24's task objects."""

from collections.abc import Callable, Mapping

import numpy as np
from mteb.abstasks import AbsTask, AbsTaskClassification, AbsTaskClusteringLegacy, AbsTaskPairClassification

from qzhou_eval.benchmark.task import Task
from qzhou_eval.evaluate.chance_levels import majority, random_average_precision, random_ndcg, random_v_measure


def chance(mteb_task: AbsTask, task: Task) -> dict[str, float]:
    """The expected score of random answers, 0 to 1, by part of a task whose data is loaded.

    Accuracies: the most frequent label. Rank correlations: 0. V-measures: random clusters. Rank metrics: documents in
    random order.
    """
    assert mteb_task.dataset is not None  # it is loaded
    found = {}
    for split in task.splits:
        for subset in mteb_task.hf_subsets:
            data = mteb_task.dataset.get(subset, mteb_task.dataset)[split]
            found[task.part(split, subset)] = _BY_METRIC[task.type, _base(task.metric)](mteb_task, data)
    return found


def has_chance(task: Task) -> bool:
    """Whether the score of chance is known in the task's metric."""
    return (task.type, _base(task.metric)) in _BY_METRIC


def _base(metric: str) -> str:
    return metric.partition("_at_")[0]


def _labels(mteb_task: AbsTask, data: Mapping) -> list:
    """The labels of every row: one, or a list."""
    assert isinstance(mteb_task, AbsTaskClassification | AbsTaskClusteringLegacy | AbsTaskPairClassification)
    return data[mteb_task.label_column_name][:]


def _texts(mteb_task: AbsTask, data: Mapping) -> float:
    return majority(_labels(mteb_task, data))


def _pairs(mteb_task: AbsTask, data: Mapping) -> float:
    labels = _labels(mteb_task, data)
    return majority(labels[0] if len(labels) == 1 else labels)  # older data sets have one row of lists


def _sets(mteb_task: AbsTask, data: Mapping) -> float:
    return float(np.mean([random_v_measure(labels) for labels in _labels(mteb_task, data)]))


def _ranked(mteb_task: AbsTask, data: Mapping) -> float:
    """The mean over the queries that have a relevant document, as in mteb."""
    name, k = mteb_task.metadata.main_score.split("_at_")
    corpus, candidates = set(data["corpus"]["id"][:]), data["top_ranked"]
    scores = []
    for query in data["queries"]["id"][:]:
        relevant = {doc: grade for doc, grade in data["relevant_docs"].get(query, {}).items() if grade > 0}
        if not relevant:
            continue
        ranked = corpus if candidates is None else set(candidates.get(query, ()))
        found = [grade for doc, grade in relevant.items() if doc in ranked]
        if name == "ndcg":
            scores.append(random_ndcg(found, list(relevant.values()), len(ranked), int(k)))
        else:
            scores.append(random_average_precision(len(found), len(relevant), len(ranked), int(k)))
    return float(np.mean(scores))


_BY_METRIC: dict[tuple[str, str], Callable[[AbsTask, Mapping], float]] = {
    ("Classification", "accuracy"): _texts,
    ("Clustering", "v_measure"): _sets,
    ("PairClassification", "max_accuracy"): _pairs,
    ("Reranking", "map"): _ranked,
    ("Reranking", "ndcg"): _ranked,
    ("Retrieval", "map"): _ranked,
    ("Retrieval", "ndcg"): _ranked,
    ("STS", "cosine_spearman"): lambda _task, _data: 0.0,
}
