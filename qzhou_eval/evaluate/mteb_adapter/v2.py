"""The adapter for mteb 2.26.24: its task objects, encoder protocol and result files."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime

import mteb
import numpy as np
from mteb.abstasks import AbsTask, AbsTaskRetrieval
from mteb.models import ModelMeta
from mteb.models.model_meta import ScoringFunction
from mteb.models.search_wrappers import SearchEncoderWrapper
from mteb.results import TaskResult
from mteb.similarity_functions import cos_sim, pairwise_cos_sim
from mteb.types import EncodeKwargs

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.own_data.rows import read_rows
from qzhou_eval.benchmark.task import RANKED, Task
from qzhou_eval.evaluate.mteb_adapter import v2_retrieval
from qzhou_eval.evaluate.mteb_adapter.data_errors import readable_errors
from qzhou_eval.evaluate.mteb_adapter.data_loading import check_data, own_arrow_cache, text_list, use_source
from qzhou_eval.evaluate.mteb_adapter.official_statistics import has_official_statistics
from qzhou_eval.evaluate.mteb_adapter.older_layout import OLDER, candidates, reranking_rows, retrieval_rows
from qzhou_eval.evaluate.mteb_adapter.own_tasks import own_task
from qzhou_eval.evaluate.mteb_adapter.stored_vectors import EncodeCall, Recorded, Vectors
from qzhou_eval.evaluate.mteb_adapter.v2_item_scores import Listener, items_of
from qzhou_eval.evaluate.mteb_adapter.v2_shared_work import (
    CallOrder,
    columns_read_once,
    draw_again,
    draw_once,
    unscored,
)
from qzhou_eval.protocol.matryoshka import cut_and_normalize
from qzhou_eval.protocol.texts import AnyText, batch_texts
from qzhou_eval.results.variant import SHARED, Variant
from qzhou_eval.statistics.item_scores import Items

__all__ = [
    "calls",
    "cos_sim",
    "has_official_statistics",
    "joins_titles",
    "load",
    "meta",
    "model_meta",
    "pairwise_cos_sim",
    "score",
]

log = logging.getLogger(__name__)

ENCODE_OPTIONS: EncodeKwargs = {"batch_size": 1024, "show_progress_bar": False}


def load(task: Task, source: DataSource, *, say: bool = False) -> AbsTask:
    """A fresh task object with its data checked and loaded, so that mteb neither unloads nor reloads it.

    ``say``: log oddities in the data that mteb can handle.

    Raises:
        BadInput: the data cannot be used.
    """
    if task.own is not None:
        return _own(task, source, say=say)
    mteb_task = mteb.get_task(task.name, eval_splits=list(task.splits), hf_subsets=list(task.subsets) or None)
    use_source(mteb_task, source)
    with own_arrow_cache(source):
        check_data(task, source, say=say)
        with readable_errors(task, source):
            if source.older and isinstance(mteb_task, AbsTaskRetrieval):
                _read_older(mteb_task, task, source)
            else:
                mteb_task.load_data()
    return mteb_task


def _read_older(mteb_task: AbsTaskRetrieval, task: Task, source: DataSource) -> None:
    """Read data in mteb 1.x's layout as attributes that mteb turns into its present form."""
    for split in task.splits:
        if source.judgements is None:
            found = candidates(reranking_rows(task, source, split))
        else:
            found = dict(zip(OLDER, retrieval_rows(task, source, split), strict=True))
        for name, rows in found.items():
            vars(mteb_task).setdefault(name, {})[split] = rows
    mteb_task.data_loaded = True
    mteb_task.convert_v1_dataset_format_to_v2(None)


def _own(task: Task, source: DataSource, *, say: bool) -> AbsTask:
    rows = read_rows(task)
    if say:
        for oddity in rows.oddities:
            log.warning("%s: %s", task.name, oddity)
    return own_task(task, rows, source.revision)


def calls(mteb_task: AbsTask, task: Task, source: DataSource) -> list[EncodeCall]:
    """Record every encode call of ``task``, over all its splits, without searching.

    Raises:
        BadInput: a text is not a string.
    """
    recorded = Recorded()
    encoder = _Encoder(recorded, ModelMeta.create_empty(), dim=2, normalize=False)
    model = _Asks(encoder, index_backend=_NoSearch()) if task.type in RANKED else encoder
    draw_again(mteb_task)
    with columns_read_once(), own_arrow_cache(source), unscored(mteb_task):
        for split in task.splits:
            mteb_task.evaluate(model, split, encode_kwargs=ENCODE_OPTIONS)
    return recorded.calls


def joins_titles(mteb_task: AbsTask) -> bool:
    """False: this mteb also gives a document's title and body apart."""
    return False


def score(
    mteb_task: AbsTask,
    task: Task,
    source: DataSource,
    vectors: Vectors,
    variants: Sequence[Variant],
    *,
    evaluators: str,
) -> Iterator[tuple[Variant, TaskResult, Items | None]]:
    """Score ``task`` at each variant, as ``mteb.evaluate`` does, but without importing sentence-transformers.

    Raises:
        BadInput: a prompt is not in the store.
    """
    shared = evaluators == SHARED
    if shared and task.type in RANKED and v2_retrieval.reproduces(mteb_task):
        yield from _ranked(mteb_task, task, source, vectors, variants)
        return
    order, listener = CallOrder(vectors), Listener(mteb_task, task)
    if shared:
        draw_once(mteb_task)
    for variant in variants:
        asked = order.start() if shared else vectors
        encoder = _Encoder(asked, model_meta(variant), dim=variant.dim, normalize=variant.normalize)
        start = time.monotonic()
        draw_again(mteb_task)
        with columns_read_once() if shared else nullcontext(), own_arrow_cache(source):
            by_split: dict[str, Mapping] = {}
            items: dict[str, np.ndarray] = {}
            for split in mteb_task.eval_splits:
                by_split[split] = mteb_task.evaluate(encoder, split, encode_kwargs=ENCODE_OPTIONS)
                items |= listener.take(split, by_split[split])
            result = TaskResult.from_task_results(
                mteb_task, by_split, evaluation_time=time.monotonic() - start, date=datetime.now(UTC)
            )
        yield variant, result, items_of(mteb_task, task, items, result.scores)


def _ranked(
    mteb_task: AbsTaskRetrieval, task: Task, source: DataSource, vectors: Vectors, variants: Sequence[Variant]
) -> Iterator[tuple[Variant, TaskResult, Items | None]]:
    """Score retrieval or reranking at all variants together; each result's time is an equal share."""
    encoder = _Encoder(vectors, model_meta(variants[0]), dim=None, normalize=False)
    normalize, dims = variants[0].normalize, [variant.dim for variant in variants]
    start = time.monotonic()
    by_split = {
        split: v2_retrieval.evaluate(mteb_task, split, encoder, dims, normalize=normalize, encode_kwargs=ENCODE_OPTIONS)
        for split in mteb_task.eval_splits
    }
    share = (time.monotonic() - start) / len(variants)
    for variant in variants:
        scores = {split: by_dim[variant.dim] for split, (by_dim, _) in by_split.items()}
        items = {
            task.part(split, subset): by_query
            for split, (_, by_dim) in by_split.items()
            for subset, by_query in by_dim[variant.dim].items()
        }
        result = TaskResult.from_task_results(mteb_task, scores, evaluation_time=share, date=datetime.now(UTC))
        yield variant, result, items_of(mteb_task, task, items, result.scores)


def meta(variant: Variant) -> dict:
    """The content of ``model_meta.json``."""
    return model_meta(variant).to_dict()


def model_meta(variant: Variant) -> ModelMeta:
    """mteb's ``ModelMeta`` of the model at one variant."""
    return ModelMeta.create_empty(
        overwrites=dict(
            name=variant.model,
            revision=variant.revision,
            languages=["zho-Hans"],
            max_tokens=variant.max_length,
            embed_dim=variant.dim,
            framework=["PyTorch", "Transformers"],
            similarity_fn_name=ScoringFunction.COSINE,
            use_instructions=variant.use_instruction,
            experiment_kwargs=dict(variant.experiment) or None,
        )
    )


class _Encoder:
    """mteb's encoder protocol over stored vectors, cut to one dimension."""

    def __init__(
        self, vectors: Vectors | CallOrder | Recorded, meta: ModelMeta, *, dim: int | None, normalize: bool
    ) -> None:
        self.mteb_model_meta = meta
        self._vectors = vectors
        self._dim = dim
        self._normalize = normalize

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        def texts() -> list[AnyText]:
            return text_list(batch_texts(inputs), f"{task_metadata.name}, split {hf_split}")

        side = getattr(prompt_type, "value", None)
        if isinstance(self._vectors, CallOrder):
            vectors = self._vectors.of(side, hf_split, len(inputs.dataset), texts, self._dim)
        else:
            vectors = self._vectors.of(texts(), side)
        return cut_and_normalize(vectors, self._dim, normalize=self._normalize)

    def similarity(self, one, two):
        return cos_sim(one, two)

    def similarity_pairwise(self, one, two):
        return pairwise_cos_sim(one, two)


class _Asks(SearchEncoderWrapper):
    """mteb's search for recording: it ignores candidates, since a query may have none."""

    def search(self, queries, *, top_ranked=None, **how):
        return super().search(queries, **how)


class _NoSearch:
    """A search backend for mteb that returns the first document for each query."""

    def add_documents(self, embeddings, idxs):
        pass

    def search(self, embeddings, top_k, similarity_fn, top_ranked=None, query_idx_to_id=None):
        return [[1.0]] * len(embeddings), [[0]] * len(embeddings)

    def clear(self):
        pass
