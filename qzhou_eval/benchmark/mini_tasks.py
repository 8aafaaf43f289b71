"""The miniature's six tasks, built on mteb's task classes. Their data is written by miniature/build_data.py."""

from typing import Literal

from mteb.abstasks import (
    AbsTaskClassification,
    AbsTaskClusteringLegacy,
    AbsTaskPairClassification,
    AbsTaskRetrieval,
    AbsTaskSTS,
)
from mteb.abstasks.task_metadata import TaskMetadata

from qzhou_eval.benchmark.registry import all_tasks


def _metadata(name: str, category: Literal["t2c", "t2t"]) -> TaskMetadata:
    task = all_tasks()[name]
    return TaskMetadata(
        name=name,
        description=f"{task.type} in the packaged miniature, a generated language; "
        "its scores cannot be compared with others.",
        reference=None,
        dataset={"path": task.path, "revision": task.revision},
        type=task.type,
        category=category,
        modalities=["text"],
        eval_splits=list(task.splits),
        eval_langs=["cmn-Hans"],
        main_score=task.metric,
        date=("2025-01-01", "2025-12-31"),
        domains=["Constructed"],
        task_subtypes=[],
        license="apache-2.0",
        annotations_creators="derived",
        dialect=[],
        sample_creation="created",
        bibtex_citation="",
    )


class MiniClassification(AbsTaskClassification):
    """Is the sentence's feeling good or bad?"""

    metadata = _metadata("MiniClassification", "t2c")
    samples_per_label = 32


class MiniClustering(AbsTaskClusteringLegacy):
    """Ten fields of life."""

    metadata = _metadata("MiniClustering", "t2c")


class MiniPairClassification(AbsTaskPairClassification):
    """The same meaning, or an opposite or near miss?"""

    metadata = _metadata("MiniPairClassification", "t2t")


class MiniReranking(AbsTaskRetrieval):
    """Two answers among eight candidates."""

    metadata = _metadata("MiniReranking", "t2t")


class MiniRetrieval(AbsTaskRetrieval):
    """Two answers among all documents."""

    metadata = _metadata("MiniRetrieval", "t2t")


class MiniSTS(AbsTaskSTS):
    """Graded similarity, 0 to 5."""

    metadata = _metadata("MiniSTS", "t2t")
