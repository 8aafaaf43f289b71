"""Computes the score of chance on a task's data, in the task's own metric, for mteb 2.26.24's task objects."""

from collections.abc import Callable, Mapping

import numpy as np
from mteb.abstasks import AbsTask, AbsTaskClassification, AbsTaskClusteringLegacy, AbsTaskPairClassification

from qzhou_eval.benchmark.registry import Task
from qzhou_eval.evaluate.chance_levels import majority, random_average_precision, random_ndcg, random_v_measure


def chance(mteb_task: AbsTask, task: Task, split: str) -> float:
    """The expected score of random answers on one split, 0 to 1, of a task whose data is loaded.

    Accuracies: the most frequent label. Rank correlations: 0. V-measures: random clusters. Rank metrics: documents in
    random order.
    """
    assert mteb_task.dataset is not None  # it is loaded
    data = mteb_task.dataset.get("default", mteb_task.dataset)[split]
    return _BY_TYPE[task.type](mteb_task, data)


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
        elif name == "map":
            scores.append(random_average_precision(len(found), len(relevant), len(ranked), int(k)))
        else:
            raise ValueError(f"{mteb_task.metadata.name}: no chance score is known for {mteb_task.metadata.main_score}")
    return float(np.mean(scores))


_BY_TYPE: dict[str, Callable[[AbsTask, Mapping], float]] = {
    "Classification": _texts,
    "Clustering": _sets,
    "PairClassification": _pairs,
    "Reranking": _ranked,
    "Retrieval": _ranked,
    "STS": lambda _task, _data: 0.0,
}
