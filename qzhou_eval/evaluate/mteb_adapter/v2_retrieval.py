"""Retrieval and reranking at all dimensions at once: mteb 2.26.24's texts and score dict, our search and metrics.

mteb forms the texts and asks for their vectors once, at full width, as it does for a search backend; the work that it
would then repeat for each dimension is done by :mod:`qzhou_eval.evaluate.retrieval`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from mteb._evaluators.retrieval_metrics import make_score_dict, nauc
from mteb.abstasks import AbsTask, AbsTaskRetrieval
from mteb.abstasks.retrieval import _filter_queries_without_positives
from mteb.models import EncoderProtocol
from mteb.models.search_wrappers import SearchEncoderWrapper
from mteb.types import Array, EncodeKwargs

from qzhou_eval.evaluate.retrieval.rank_metrics import confidence, places, rank_metrics
from qzhou_eval.evaluate.retrieval.search import Found, rerank, search

log = logging.getLogger(__name__)

_NAMES = {"ndcg": "NDCG", "map": "MAP", "recall": "Recall", "precision": "P", "hit_rate": "HitRate", "mrr": "MRR"}
_ROUNDED = ("ndcg", "map", "recall", "precision", "hit_rate")
_OWN_CODE = ("evaluate", "_evaluate_subset", "task_specific_scores")
_SIDES = ("corpus", "queries")
_NOWHERE = -2  # marks a relevant document that is not in the corpus, and padding


def reproduces(mteb_task: AbsTask) -> TypeGuard[AbsTaskRetrieval]:
    """Whether this module returns the same as the task's own ``evaluate``; if not, a warning says why."""
    reason = _different(mteb_task)
    if reason:
        log.warning("%s: scored by mteb's own evaluator, one dimension after another: %s", _name(mteb_task), reason)
    return reason is None


def _name(mteb_task: AbsTask) -> str:
    return mteb_task.metadata.name


def _different(mteb_task: AbsTask) -> str | None:
    if not isinstance(mteb_task, AbsTaskRetrieval):
        return "it is not a retrieval task"
    for name in _OWN_CODE:
        if getattr(type(mteb_task), name) is not getattr(AbsTaskRetrieval, name):
            return f"it has its own {name}"
    for name in ("skip_first_result", "_previous_results_model_meta"):
        if getattr(mteb_task, name):
            return f"it sets {name}"
    name, _, cut_off = mteb_task.metadata.main_score.partition("_at_")
    if name not in _NAMES or cut_off not in map(str, mteb_task.k_values):
        return f"its main score is {mteb_task.metadata.main_score}"
    mteb_task.convert_v1_dataset_format_to_v2(None)
    tables = ((data, side) for subset in mteb_task.dataset.values() for data in subset.values() for side in _SIDES)
    repeated = (side for data, side in tables if len(set(ids := _ids(data, side))) < len(ids))
    return next((f"the ids of its {side} are not unique" for side in repeated), None)


def evaluate(
    mteb_task: AbsTaskRetrieval,
    split: str,
    encoder: EncoderProtocol,
    dims: Sequence[int],
    *,
    normalize: bool,
    encode_kwargs: EncodeKwargs,
) -> tuple[dict[int, dict[str, dict]], dict[int, dict[str, np.ndarray]]]:
    """Score one split: what ``mteb_task.evaluate`` returns, for each dimension, and each query's main score.

    Args:
        mteb_task: a task that :func:`reproduces` accepts, its data loaded.
        split: the split to score.
        encoder: returns full-width vectors, unchanged.
        dims: dimensions to cut to.
        normalize: whether cut vectors are normalised before they are compared.
        encode_kwargs: mteb's options for its encoder.

    Returns:
        By dimension and subset, the scores; and, float32 (1, queries), each query's, in the order of the queries' ids.
    """
    scores: dict[int, dict[str, dict]] = {dim: {} for dim in dims}
    by_query: dict[int, dict[str, np.ndarray]] = {dim: {} for dim in dims}
    for subset in mteb_task.hf_subsets or list(mteb_task.dataset):
        data = mteb_task.dataset[subset][split]
        data["relevant_docs"], data["queries"] = _filter_queries_without_positives(
            data["relevant_docs"], data["queries"]
        )
        where = {"task_metadata": mteb_task.metadata, "hf_split": split, "hf_subset": subset}
        queries, documents = _vectors(data, encoder, **where, encode_kwargs=encode_kwargs)
        own = _own(data) if mteb_task.ignore_identical_ids else None
        by_id = sorted(range(len(queries)), key=_ids(data, "queries").__getitem__)
        k, k_values = mteb_task._top_k, mteb_task.k_values
        measured = measure(data, queries, documents, dims, k=k, k_values=k_values, own=own, normalize=normalize)
        for dim, one in measured.items():
            scores[dim][subset] = one.score_dict(k_values)
            mteb_task._add_main_score(scores[dim][subset])
            name, cut_off = mteb_task.metadata.main_score.split("_at_")
            main = one.metrics[name][by_id, k_values.index(int(cut_off))]
            by_query[dim][subset] = main[None].astype(np.float32)
    return scores, by_query


def _vectors(data: Mapping, encoder: EncoderProtocol, **how) -> tuple[np.ndarray, np.ndarray]:
    """Full-width vectors of the queries and of the corpus, as mteb's own search asks for them."""
    kept = _Kept()
    wrapper = SearchEncoderWrapper(encoder, index_backend=kept)
    wrapper.index(data["corpus"], **how)
    wrapper.search(data["queries"], top_k=1, **how)
    return np.asarray(kept.queries), np.asarray(kept.documents)


class _Kept:
    """A search backend for mteb that keeps the vectors and returns the first document for each query."""

    queries: Array
    documents: Array

    def add_documents(self, embeddings: Array, idxs: list[str]) -> None:
        self.documents = embeddings

    def search(
        self, embeddings: Array, top_k: int, similarity_fn: Callable, top_ranked=None, query_idx_to_id=None
    ) -> tuple[list[list[float]], list[list[int]]]:
        self.queries = embeddings
        return [[1.0]] * len(embeddings), [[0]] * len(embeddings)

    def clear(self) -> None:
        pass


def _ids(data: Mapping, side: str) -> list[str]:
    return data[side]["id"][:]  # a plain list: reading the column row by row takes seconds


def _own(data: Mapping) -> np.ndarray | None:
    """int64 (queries,): the row of the document that has the query's id, -1 for none; None if no query has one."""
    row = {name: number for number, name in enumerate(_ids(data, "corpus"))}
    own = np.array([row.get(query, -1) for query in _ids(data, "queries")], np.int64)
    return own if (own >= 0).any() else None


def _found(
    data: Mapping, queries: np.ndarray, documents: np.ndarray, dims: Sequence[int], **how
) -> Iterator[tuple[slice, dict[int, Found]]]:
    ids = _ids(data, "corpus")
    order = np.empty(len(ids), np.int64)
    order[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
    if data["top_ranked"] is None:
        yield from search(queries, documents, dims, order=order, **how)
        return
    row = {name: number for number, name in enumerate(ids)}
    ranked = [dict.fromkeys(data["top_ranked"].get(query, ())) for query in _ids(data, "queries")]
    candidates = [np.array([row[name] for name in names], np.int64) for names in ranked]
    whole = slice(0, len(queries))
    yield whole, rerank(queries, documents, dims, candidates=candidates, order=order, **how)


@dataclass(frozen=True)
class RankMetrics:
    """Each query's metrics at one dimension, float64 (queries, cut-offs), and its search's confidence, (queries,)."""

    metrics: dict[str, np.ndarray]
    sureness: dict[str, np.ndarray]

    def score_dict(self, k_values: Sequence[int]) -> dict:
        """mteb's score dict without the main score: means over queries, and how well confidence predicts them."""
        means: dict[str, dict[str, float]] = {name: {} for name in self.metrics}
        naucs: dict[str, float] = {}
        naucs_mrr: dict[str, float] = {}
        for name, values in self.metrics.items():
            for k, column in zip(k_values, values.T, strict=True):
                label = f"{_NAMES[name]}@{k}"
                mean = sum(column.tolist()) / len(column)
                means[name][label] = round(mean, 5) if name in _ROUNDED else mean
                if name != "hit_rate":
                    target = naucs_mrr if name == "mrr" else naucs
                    for which, sure in self.sureness.items():
                        target[f"nAUC_{label}_{which}"] = nauc(sure, column)
        means["_map"] = means.pop("map")
        return make_score_dict(**means, naucs=naucs, naucs_mrr=naucs_mrr, task_scores={})


def measure(
    data: Mapping,
    queries: np.ndarray,
    documents: np.ndarray,
    dims: Sequence[int],
    *,
    k: int,
    k_values: Sequence[int],
    own: np.ndarray | None,
    normalize: bool,
) -> dict[int, RankMetrics]:
    """Every query's metrics at each dimension.

    Args:
        data: mteb's ``RetrievalSplitData``; of the queries and the corpus only ids are read, and without
            ``top_ranked`` the whole corpus is searched.
        queries: float32 (queries, width).
        documents: float32 (documents, width), in the corpus' order.
        dims: dimensions to cut to.
        k: how many documents each query finds.
        k_values: cut-offs of the metrics.
        own: each query's own document, not counted, as in :func:`~qzhou_eval.evaluate.retrieval.search.search`.
        normalize: whether cut vectors are normalised before they are compared.
    """
    relevant, gains = _relevant(data)
    metrics: dict[int, list[dict[str, np.ndarray]]] = {dim: [] for dim in dims}
    sureness: dict[int, list[dict[str, np.ndarray]]] = {dim: [] for dim in dims}
    for block, by_dim in _found(data, queries, documents, dims, k=k, own=own, normalize=normalize):
        for dim, one in by_dim.items():
            metrics[dim].append(rank_metrics(places(one.documents, relevant[block]), gains[block], k_values))
            sureness[dim].append(confidence(one.scores))
    return {dim: RankMetrics(_joined(metrics[dim]), _joined(sureness[dim])) for dim in dims}


def _joined(blocks: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _relevant(data: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """Two int64 arrays (queries, most relevant documents of one query): corpus rows and grades."""
    row = {name: number for number, name in enumerate(_ids(data, "corpus"))}
    judged = [
        [(row.get(name, _NOWHERE), grade) for name, grade in data["relevant_docs"][query].items() if grade > 0]
        for query in _ids(data, "queries")
    ]
    width = max(map(len, judged))
    padded = np.array([one + [(_NOWHERE, 0)] * (width - len(one)) for one in judged], np.int64)
    rows, grades = padded.reshape(len(judged), width, 2).transpose(2, 0, 1)
    return rows, grades
