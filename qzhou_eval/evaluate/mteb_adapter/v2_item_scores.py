"""Item scores by type of task: what mteb 2.26.24 computes for each item on the way to the main score.

The task object's own methods are wrapped; their arguments and return values are not changed. Ranked tasks under the
shared evaluators get their items from v2_retrieval.py instead.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from mteb.abstasks import AbsTask, AbsTaskClassification, AbsTaskClustering

from qzhou_eval.benchmark.task import RANKED, Task
from qzhou_eval.evaluate.pair_threshold import right_at_best_threshold
from qzhou_eval.statistics.item_scores import MEAN, SPEARMAN, V_MEASURE, Items, dense_ranks
from qzhou_eval.statistics.resampled_scores import value

log = logging.getLogger(__name__)

RANK_METRICS = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}  # mteb's keys by query
_SETS, _ONE_SET = (MEAN, "sets"), (V_MEASURE, "texts")  # of a clustering task's items

_METRICS = {  # by type and metric of a main score, its statistic over items, and what an item is
    ("Classification", "accuracy"): (MEAN, "texts"),
    ("Clustering", "v_measure"): _SETS,
    ("PairClassification", "max_accuracy"): (MEAN, "pairs"),
    ("STS", "cosine_spearman"): (SPEARMAN, "pairs"),
}
_ROUNDED = 1.1e-5  # mteb rounds rank metrics to five decimals


def kind_of_items(task: Task) -> tuple[str, str] | None:
    """The statistic of a task's main score over its items, and what an item is; None if the score has no items."""
    if task.type in RANKED:
        return (MEAN, "queries") if task.metric.partition("_at_")[0] in RANK_METRICS else None
    return _METRICS.get((task.type, task.metric))


def items_of(
    mteb_task: AbsTask, task: Task, found: Mapping[str, np.ndarray], result: Mapping[str, Sequence[Mapping]]
) -> Items | None:
    """The items of one result, still without probe; None, with a warning, if they do not reproduce its main score.

    Args:
        found: items by part of the task.
        result: mteb's rows of scores by split, one for each subset.
    """
    kind = kind_of_items(task)
    if kind is None or isinstance(mteb_task, AbsTaskClustering):  # whose score is a mean over draws of the same texts
        log.info("%s: %s is no statistic of items, so it has no interval", task.name, task.metric)
        return None
    kept: dict[str, np.ndarray] = {}
    if kind == _SETS and {len(items) for items in found.values()} == {2}:
        kind = _ONE_SET
    for split, rows in result.items():
        for row in rows:
            part, main = task.part(split, row["hf_subset"]), row["main_score"]
            items = found.get(part)
            if math.isnan(main):
                return None  # this fails the task later
            if items is None or abs(value(Items(*kind, {part: items}, {}), [part]) - main) >= _ROUNDED:
                log.warning("%s: its items do not reproduce its score on %s, so it has no interval", task.name, part)
                return None
            kept[part] = items
    return Items(*kind, kept, {})


class Listener:
    """Records what a task computes for its items, for one evaluation of one split at a time."""

    def __init__(self, mteb_task: AbsTask, task: Task) -> None:
        self._task = task
        self._mteb_task = mteb_task
        self._heard: list[np.ndarray] = []
        method, listen = {
            "Classification": ("_run_experiment", self._correct),
            "Clustering": ("_compute_metrics", self._clusters),
            "PairClassification": ("_compute_metrics", self._pairs),
            "STS": ("_calculate_scores", self._similarities),
            **dict.fromkeys(RANKED, ("task_specific_scores", self._queries)),
        }.get(task.type, (None, None))
        if method is not None and kind_of_items(task) and hasattr(mteb_task, method):
            self._listen(method, listen)

    def take(self, split: str, scores: Mapping[str, Mapping]) -> dict[str, np.ndarray]:
        """The items of the split just evaluated, by part, as in :class:`~qzhou_eval.statistics.item_scores.Items`.

        Args:
            scores: what that evaluation returned, by subset, in the order in which they were evaluated.

        Returns:
            Nothing for a part whose items were not recorded.
        """
        heard, self._heard = self._heard, []
        if self._task.type == "Clustering" and not (heard and all(map(_has_one_set, scores.values()))):
            found = dict(_sets(scores))
        elif not heard or len(heard) % len(scores):
            return {}
        else:
            each = len(heard) // len(scores)  # ten experiments of a classification task, else one
            of = {subset: heard[at * each : (at + 1) * each] for at, subset in enumerate(scores)}
            found = {subset: _one(several) for subset, several in of.items()}
        return {self._task.part(split, subset): items for subset, items in found.items()}

    def _listen(self, method: str, listen) -> None:
        own = getattr(self._mteb_task, method)

        def heard(*args, **kwargs):
            result = own(*args, **kwargs)
            self._heard.append(listen(result, *args))
            return result

        setattr(self._mteb_task, method, heard)

    def _correct(self, result: tuple, _train, test, *_) -> np.ndarray:
        # No other task has experiments.
        assert isinstance(self._mteb_task, AbsTaskClassification)
        return np.asarray(test[self._mteb_task.label_column_name]) == np.asarray(result[1])

    def _clusters(self, _result, labels, clusters, *_, **__) -> np.ndarray:
        return np.stack([dense_ranks(labels), dense_ranks(clusters)])

    def _pairs(self, _result, found: Mapping, labels) -> np.ndarray:
        """Right or wrong per pair, at the best threshold of the similarity measure that separates best."""
        higher = [found[name] for name in ("similarity_scores", "cosine_scores", "dot_scores")]
        lower = [-np.asarray(found[name]) for name in ("manhattan_distances", "euclidean_distances")]
        right = [right_at_best_threshold(measure, labels) for measure in (*higher, *lower)]
        return max(right, key=np.count_nonzero)[None].astype(np.float32)

    def _similarities(self, _result, found: Mapping, gold: Sequence[float]) -> np.ndarray:
        return np.stack([dense_ranks(gold), dense_ranks(found["cosine_scores"])])

    def _queries(self, _result, by_query: Mapping[str, Mapping], *_) -> np.ndarray:
        metric, k = self._task.metric.split("_at_")
        name = f"{RANK_METRICS[metric]}_{k}"
        return np.array([[by_query[query][name] for query in sorted(by_query)]], np.float32)


def _one(several: list[np.ndarray]) -> np.ndarray:
    """One array of what was heard of a subset; the experiments of a classification task as their mean."""
    if several[0].dtype != bool:
        return several[-1]
    return np.array(several).mean(axis=0, dtype=np.float32)[None]


def _has_one_set(scores: Mapping) -> bool:
    return len(scores.get("v_measures", ())) == 1


def _sets(scores: Mapping[str, Mapping]) -> Iterator[tuple[str, np.ndarray]]:
    """V-measures of sets by subset; fast clustering has none of them, but V-measures by level."""
    for subset, one in scores.items():
        if isinstance(one.get("v_measures"), Sequence):
            yield subset, np.array([one["v_measures"]], np.float32)
