"""Checks and reads retrieval and reranking data in mteb 1.x's layout, for both generations. Does not import mteb.

C-MTEB/X          default configuration, splits corpus (id, text) and queries (id, text)
C-MTEB/X-qrels    one split per evaluated split: qid, pid, score
C-MTEB/Y          of reranking: one split per evaluated split: query, positive[], negative[]
"""

from dataclasses import replace
from typing import Any

from datasets import Dataset

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.task import Task
from qzhou_eval.evaluate.mteb_adapter.data_rows import Table, check_texts, ids, judgements_of, table

OLDER = ("corpus", "queries", "relevant_docs")  # the attributes of mteb 1.x's task objects
Judged = dict[str, dict[str, int]]  # grades by query and document


def check_older(task: Task, source: DataSource) -> list[str]:
    """Check the rows that ``task`` reads, as :func:`~qzhou_eval.evaluate.mteb_adapter.data_rows.check_rows` does."""
    check = _check_reranking if source.judgements is None else _check_retrieval
    return [line for split in task.splits for line in check(task, source, split)]


def retrieval_rows(task: Task, source: DataSource, split: str) -> tuple[dict, dict, Judged]:
    """Corpus ``{id: {"text"}}``, queries ``{id: text}`` and judgements."""
    corpus, queries, judgements = _tables(task, source, split)
    documents = {str(row["id"]): {"text": row["text"]} for row in corpus.rows}
    judged: Judged = {}
    for row in judgements.rows:
        judged.setdefault(str(row["qid"]), {})[str(row["pid"])] = int(row["score"])
    return documents, {str(row["id"]): row["text"] for row in queries.rows}, judged


def reranking_rows(task: Task, source: DataSource, split: str) -> Dataset:
    """One row per query: ``query``, ``positive`` and ``negative``."""
    return table(task, source, split).rows


def candidates(rows: Dataset) -> dict[str, dict[str, Any]]:
    """Rows of reranking as corpus, queries, judgements and candidates, with the ids that mteb 2.x makes of them."""
    corpus: dict[str, dict[str, str]] = {}
    queries: dict[str, str] = {}
    judged: Judged = {}
    ranked: dict[str, list[str]] = {}
    for number, row in enumerate(rows):
        query = f"query{number}"
        queries[query] = row["query"]
        kinds = (("apositive", 1, row["positive"]), ("negative", 0, row["negative"]))  # positives first where tied
        named = {f"{kind}_{query}_{at:05d}": (text, grade) for kind, grade, of in kinds for at, text in enumerate(of)}
        corpus |= {name: {"text": text} for name, (text, _) in named.items()}
        judged[query] = {name: grade for name, (_, grade) in named.items()}
        ranked[query] = list(named)
    return {"corpus": corpus, "queries": queries, "relevant_docs": judged, "top_ranked": ranked}


def _tables(task: Task, source: DataSource, split: str) -> tuple[Table, Table, Table]:
    judgements = replace(source, folder=source.judgements, judgements=None)
    return table(task, source, "corpus"), table(task, source, "queries"), table(task, judgements, split)


def _check_retrieval(task: Task, source: DataSource, split: str) -> list[str]:
    corpus, queries, judged = _tables(task, source, split)
    for rows in (corpus, queries):
        rows.texts("text")
    documents, asked = (set(ids(rows, "id")) for rows in (corpus, queries))
    return judgements_of(judged, "qid", asked, "pid", documents)


def _check_reranking(task: Task, source: DataSource, split: str) -> list[str]:
    rows = table(task, source, split)
    rows.texts("query")
    for column in ("positive", "negative"):
        for row, texts in enumerate(rows.values(column)):
            if not isinstance(texts, list):
                raise rows.refuse_at(row, column, "is not a list of texts")
            check_texts(rows, column, ((row, text) for text in texts))
    lacking = sum(not (row["positive"] and row["negative"]) for row in rows.rows)
    return [f"{lacking} queries lack a positive or a negative document"] if lacking else []
