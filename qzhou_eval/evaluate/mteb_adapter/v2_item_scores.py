"""Item scores by type of task: what mteb 2.26.24 computes for each item on the way to the main score.

The task object's own methods are wrapped; their arguments and return values are not changed. Ranked tasks under the
shared evaluators get their items from v2_retrieval.py instead.
"""

import logging
import math
from collections.abc import Mapping, Sequence

import numpy as np
from mteb.abstasks import AbsTask, AbsTaskClassification

from qzhou_eval.benchmark.registry import Task
from qzhou_eval.evaluate.pair_threshold import right_at_best_threshold
from qzhou_eval.statistics.item_scores import MEAN, SPEARMAN, Items, dense_ranks
from qzhou_eval.statistics.resampled_scores import value

log = logging.getLogger(__name__)

KINDS = {
    "Classification": (MEAN, "texts"),
    "Clustering": (MEAN, "sets"),
    "PairClassification": (MEAN, "pairs"),
    "Reranking": (MEAN, "queries"),
    "Retrieval": (MEAN, "queries"),
    "STS": (SPEARMAN, "pairs"),
}
_ROUNDED = 1.1e-5  # mteb rounds rank metrics to five decimals


def items_of(
    task: Task, splits: Mapping[str, np.ndarray | None], result: Mapping[str, Sequence[Mapping]]
) -> Items | None:
    """The items of one result, still without probe; None, with a warning, if they do not reproduce its main score."""
    statistic, unit = KINDS[task.type]
    kept: dict[str, np.ndarray] = {}
    for split, rows in result.items():
        main, found = rows[0]["main_score"], splits[split]
        if math.isnan(main):
            return None  # this fails the task later
        if found is not None and abs(value(Items(statistic, unit, {split: found}, {}), [split]) - main) < _ROUNDED:
            kept[split] = found
        else:
            log.warning("%s: its items do not reproduce its score on %s, so it has no interval", task.name, split)
            return None
    return Items(statistic, unit, kept, {})


class Listener:
    """Records what a task computes for its items, for one evaluation of one split at a time."""

    def __init__(self, mteb_task: AbsTask, task: Task) -> None:
        self._task = task
        self._mteb_task = mteb_task
        self._heard: list[np.ndarray] = []
        method, listen = {
            "Classification": ("_run_experiment", self._correct),
            "PairClassification": ("_compute_metrics", self._pairs),
            "Reranking": ("task_specific_scores", self._queries),
            "Retrieval": ("task_specific_scores", self._queries),
            "STS": ("_calculate_scores", self._similarities),
        }.get(task.type, (None, None))
        if method is not None:
            self._listen(method, listen)

    def take(self, scores: Mapping[str, Mapping]) -> np.ndarray | None:
        """The items of the split just evaluated, as in :class:`~qzhou_eval.statistics.item_scores.Items`.

        Args:
            scores: what that evaluation returned, by subset.

        Returns:
            None if there were several subsets, since their mean is no statistic of the items, or nothing was recorded.
        """
        heard, self._heard = self._heard, []
        if len(scores) != 1:
            return None
        if self._task.type == "Clustering":
            return np.array([next(iter(scores.values()))["v_measures"]], np.float32)
        if self._task.type == "Classification" and heard:
            return np.array(heard).mean(axis=0, dtype=np.float32)[None]
        return heard[0] if len(heard) == 1 else None

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

    def _pairs(self, _result, found: Mapping, labels) -> np.ndarray:
        """Right or wrong per pair, at the best threshold of the similarity measure that separates best."""
        higher = [found[name] for name in ("similarity_scores", "cosine_scores", "dot_scores")]
        lower = [-np.asarray(found[name]) for name in ("manhattan_distances", "euclidean_distances")]
        right = [right_at_best_threshold(measure, labels) for measure in (*higher, *lower)]
        return max(right, key=np.count_nonzero)[None].astype(np.float32)

    def _similarities(self, _result, found: Mapping, gold: Sequence[float]) -> np.ndarray:
        return np.stack([dense_ranks(gold), dense_ranks(found["cosine_scores"])])

    def _queries(self, _result, by_query: Mapping[str, Mapping], *_) -> np.ndarray:
        name = {"ndcg_at_10": "ndcg_cut_10", "map_at_1000": "map_cut_1000"}[self._task.metric]
        return np.array([[by_query[query][name] for query in sorted(by_query)]], np.float32)
