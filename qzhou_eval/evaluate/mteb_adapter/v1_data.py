"""Reads retrieval and reranking data in mteb 2.x's layout into mteb 1.38.30's structures. Does not import mteb.

The layout has a folder for each configuration, named by the header of its README: ``corpus`` (_id, text, title),
``queries`` (_id, text), the relevance judgements (query-id, corpus-id, score), and for reranking ``top_ranked``
(query-id, corpus-ids).
"""

from pathlib import Path

from datasets import Dataset, get_dataset_config_names, load_dataset


def retrieval_rows(folder: Path, split: str) -> tuple[dict, dict, dict]:
    """Corpus ``{id: {"text"[, "title"]}}``, queries ``{id: text}`` and judgements ``{query: {document: score}}``."""
    corpus = {}
    for row in _rows(folder, "corpus", split):
        title = {"title": row["title"]} if row.get("title") else {}
        corpus[str(row["_id"])] = title | {"text": row["text"]}
    queries = {str(row["_id"]): row["text"] for row in _rows(folder, "queries", split)}
    return corpus, queries, _judgements(folder, split)


def reranking_rows(folder: Path, split: str) -> Dataset:
    """One row per judged query: ``query``, ``positive`` and ``negative``, in the candidates' order."""
    corpus = {str(row["_id"]): row["text"] for row in _rows(folder, "corpus", split)}
    queries = {str(row["_id"]): row["text"] for row in _rows(folder, "queries", split)}
    candidates = {str(r["query-id"]): [*map(str, r["corpus-ids"])] for r in _rows(folder, "top_ranked", split)}
    rows = []
    for query, judged in _judgements(folder, split).items():
        if query not in queries:
            continue  # mteb 2.x leaves it out, too
        relevant = [one for one in candidates.get(query, ()) if judged.get(one, 0) > 0]
        others = [one for one in candidates.get(query, ()) if judged.get(one, 0) <= 0]
        texts = {"positive": [corpus[one] for one in relevant], "negative": [corpus[one] for one in others]}
        rows.append({"query": queries[query]} | texts)
    return Dataset.from_list(rows)


def _judgements(folder: Path, split: str) -> dict[str, dict[str, int]]:
    named = {"corpus", "queries", "top_ranked"}
    config = next(name for name in get_dataset_config_names(str(folder)) if name not in named)
    judgements: dict[str, dict[str, int]] = {}
    for row in _rows(folder, config, split):
        judgements.setdefault(str(row["query-id"]), {})[str(row["corpus-id"])] = int(row["score"])
    return judgements


def _rows(folder: Path, config: str, split: str) -> Dataset:
    return load_dataset(str(folder), config)[split]
