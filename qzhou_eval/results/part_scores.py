"""Reads main scores by part of a task from the rows in which mteb writes them."""

from collections.abc import Mapping, Sequence

from qzhou_eval.benchmark.task import Task


def scores_by_part(task: Task, by_split: Mapping[str, Sequence[Mapping]]) -> dict[str, float]:
    """Main scores by part; of a data set without subsets, whose rows have any name, by split.

    Args:
        by_split: mteb's rows, one for each subset; those of other subsets than the task's are left out.

    Raises:
        KeyError, IndexError, TypeError, ValueError: rows of another form.
    """
    found = {}
    for split, rows in by_split.items():
        if not task.subsets:
            found[split] = float(rows[0]["main_score"])
            continue
        for row in rows:
            if row["hf_subset"] in task.subsets:
                found[task.part(split, row["hf_subset"])] = float(row["main_score"])
    return found
