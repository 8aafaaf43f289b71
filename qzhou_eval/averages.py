"""Main score of a task, mean of a type, means over tasks and over types. A missing score makes the mean missing."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from qzhou_eval.tasks import TYPES, all_tasks

Value = float | np.ndarray
SCORE_PROFILES = ("card", "mteb2")
COLUMNS = (*TYPES, "Mean(Task)", "Mean(TaskType)")

# MultilingualSentiment has two evaluation splits; the card counts validation, mteb 2.x the mean of both.
_CARD_SPLIT = {"MultilingualSentiment": "validation"}


def task_score(task: str, splits: Mapping[str, float], score_profile: str) -> float | None:
    """A task's main score from its scores by split; None if a counted split is missing."""
    counted = counted_splits(task, score_profile)
    if any(split not in splits for split in counted):
        return None
    return sum(splits[split] for split in counted) / len(counted)


def counted_splits(task: str, score_profile: str) -> list[str]:
    """The splits whose mean is a task's score.

    Args:
        score_profile: ``card`` or ``mteb2``; they differ in MultilingualSentiment alone.
    """
    if score_profile == "card" and task in _CARD_SPLIT:
        return [_CARD_SPLIT[task]]
    return list(all_tasks()[task].splits)


def table_row(scores: Mapping[str, Value | None], benchmark: str) -> dict[str, Value | None]:
    """The card's eight columns from the scores by task of one ``benchmark`` (``cmteb`` or ``mini``).

    A score is a number, or an array of resampled scores (resamples,).
    """
    tasks = [task for task in all_tasks().values() if task.benchmark == benchmark]
    by_type = {kind: _mean([scores.get(task.name) for task in tasks if task.type == kind]) for kind in TYPES}
    return by_type | {
        "Mean(Task)": _mean([scores.get(task.name) for task in tasks]),
        "Mean(TaskType)": _mean(list(by_type.values())),
    }


def mean_from_types(by_type: Mapping[str, float], benchmark: str) -> float:
    """Mean(Task) as it follows from type means, each weighted by how many tasks its type has."""
    of_type = Counter(task.type for task in all_tasks().values() if task.benchmark == benchmark)
    return sum(count * by_type[kind] for kind, count in of_type.items()) / of_type.total()


def _mean(values: list[Value | None]) -> Value | None:
    if not values or any(value is None for value in values):
        return None
    return sum(values) / len(values)
