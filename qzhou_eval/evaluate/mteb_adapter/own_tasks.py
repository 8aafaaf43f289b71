"""Makes mteb 2.x's task objects of a user's own data: mteb's own classes, with metadata and rows given to them."""

from collections.abc import Callable
from typing import Any

from datasets import Dataset, DatasetDict
from mteb.abstasks import (
    AbsTask,
    AbsTaskClassification,
    AbsTaskClusteringLegacy,
    AbsTaskPairClassification,
    AbsTaskRetrieval,
    AbsTaskSTS,
)
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata

from qzhou_eval.benchmark.own_data.rows import Lists, OwnRows
from qzhou_eval.benchmark.task import Task

_CLASSES: dict[str, type[AbsTask]] = {
    "Classification": AbsTaskClassification,
    "Clustering": AbsTaskClusteringLegacy,
    "PairClassification": AbsTaskPairClassification,
    "Reranking": AbsTaskRetrieval,
    "Retrieval": AbsTaskRetrieval,
    "STS": AbsTaskSTS,
}


def own_task(task: Task, rows: OwnRows, revision: str) -> AbsTask:
    """A task object whose data are loaded.

    Args:
        revision: of the data, which the result claims.
    """
    assert task.own is not None
    members = {"metadata": _metadata(task, revision), **dict(task.own.options)}
    made: Any = type(f"Own{task.type}", (_CLASSES[task.type],), members)()
    made.dataset = _DATA[task.type](task.splits[0], rows.tables)
    made.data_loaded = True
    return made


def _metadata(task: Task, revision: str) -> TaskMetadata:
    kind: Any = task.type
    return TaskMetadata(
        name=task.name,
        description="A task of the user's own data.",
        reference=None,
        dataset={"path": task.path, "revision": revision},
        type=kind,
        category="t2c" if task.type in ("Classification", "Clustering") else "t2t",
        modalities=["text"],
        eval_splits=list(task.splits),
        eval_langs=["und-Zyyy"],  # undetermined: mteb asks for a language, and scores do not depend on it
        main_score=task.metric,
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation="",
    )


def _rows(split: str, tables: dict[str, Lists]) -> DatasetDict:
    return DatasetDict({split if name == "test" else name: Dataset.from_dict(table) for name, table in tables.items()})


def _pairs(split: str, tables: dict[str, Lists]) -> DatasetDict:
    """One row of lists: mteb takes apart any table of one row, so one pair would be read as lists of letters."""
    return DatasetDict({split: Dataset.from_dict({name: [column] for name, column in tables["test"].items()})})


def _ranked(split: str, tables: dict[str, Lists]) -> dict[str, dict[str, RetrievalSplitData]]:
    """Queries without a judgement are left out, as mteb's own loader does."""
    judged: dict[str, dict[str, int]] = {}
    for query, document, score in zip(*tables["judged"].values(), strict=True):
        judged.setdefault(query, {})[document] = score
    queries = Dataset.from_dict(tables["queries"])
    kept = [row for row, query in enumerate(tables["queries"]["id"]) if query in judged]
    ranked = tables.get("candidates")
    data = RetrievalSplitData(
        corpus=Dataset.from_dict(tables["corpus"]),
        queries=queries.select(kept),
        relevant_docs=judged,
        top_ranked=dict(zip(*ranked.values(), strict=True)) if ranked else None,
    )
    return {"default": {split: data}}


_DATA: dict[str, Callable[[str, dict[str, Lists]], Any]] = {
    "Classification": _rows,
    "Clustering": _rows,
    "PairClassification": _pairs,
    "Reranking": _ranked,
    "Retrieval": _ranked,
    "STS": _rows,
}
