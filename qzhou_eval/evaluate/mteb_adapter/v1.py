"""The adapter for mteb 1.38.30, with which the card's scores were made: its tasks, encoder protocol and files.

v1_data.py and older_layout.py read retrieval and reranking rows of a local folder, in the layout of 2.x or of 1.x.
From the hub each task is loaded at the revision that this mteb pins.
"""

import random
import time
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import mteb
import numpy as np
import torch
from mteb.evaluation.evaluators.utils import cos_sim
from mteb.load_results.task_results import TaskResult
from mteb.model_meta import ModelMeta

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.task import Task
from qzhou_eval.evaluate.mteb_adapter import older_layout, v1_data
from qzhou_eval.evaluate.mteb_adapter.data_errors import readable_errors
from qzhou_eval.evaluate.mteb_adapter.data_loading import check_data, own_arrow_cache, text_list, use_source
from qzhou_eval.evaluate.mteb_adapter.stored_vectors import EncodeCall, Recorded, TaskVectors
from qzhou_eval.protocol.matryoshka import cut_and_normalize
from qzhou_eval.results.variant import Variant

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

ENCODE_OPTIONS = {"batch_size": 1024, "show_progress_bar": False, "convert_to_tensor": False}
_SIDES: dict[str | None, str] = {"query": "query", "passage": "document"}  # by the value of this mteb's PromptType


class _MtebTask(Protocol):
    """What this module uses of this mteb's task objects; the classes that a type checker sees are 2.x's."""

    dataset: dict
    corpus: dict
    queries: dict
    relevant_docs: dict
    data_loaded: bool
    seed: int

    def load_data(self) -> None: ...

    def evaluate(self, model: "_Encoder", split: str, *, encode_kwargs: dict) -> dict: ...


def load(task: Task, source: DataSource, *, say: bool = False) -> _MtebTask:
    """A fresh task object with its data checked and loaded; ``say``: log oddities that mteb can handle.

    Raises:
        BadInput: the data cannot be used.
    """
    mteb_task = cast(_MtebTask, mteb.get_task(task.name, eval_splits=list(task.splits)))
    use_source(mteb_task, source)
    with own_arrow_cache(source):
        check_data(task, source, say=say)
        with readable_errors(task, source):
            _read(mteb_task, task, source)
    return mteb_task


def _read(mteb_task: _MtebTask, task: Task, source: DataSource) -> None:
    if source.folder is None or task.type not in ("Retrieval", "Reranking"):
        mteb_task.load_data()
        return
    if task.type == "Retrieval":
        rows = [
            older_layout.retrieval_rows(task, source, split)
            if source.older
            else v1_data.retrieval_rows(source.folder, split)
            for split in task.splits
        ]
        mteb_task.corpus, mteb_task.queries, mteb_task.relevant_docs = (
            dict(zip(task.splits, kind, strict=True)) for kind in zip(*rows, strict=True)
        )
    else:
        mteb_task.dataset = {
            split: older_layout.reranking_rows(task, source, split)
            if source.older
            else v1_data.reranking_rows(source.folder, split)
            for split in task.splits
        }
    mteb_task.data_loaded = True


def calls(mteb_task: _MtebTask, task: Task, source: DataSource) -> list[EncodeCall]:
    """Record every encode call of ``task``, over all its splits.

    Raises:
        BadInput: a text is not a string.
    """
    recorded = Recorded()
    _evaluate(mteb_task, task, _Encoder(recorded, dim=2, normalize=False))
    return recorded.calls


def joins_titles(mteb_task: _MtebTask) -> bool:
    """Whether a document of a retrieval task has a title: this mteb joins it with the text before it asks."""
    corpora = getattr(mteb_task, "corpus", None) or {}
    return any(document.get("title") for corpus in corpora.values() for document in corpus.values())


def score(
    mteb_task: _MtebTask,
    task: Task,
    source: DataSource,
    vectors: TaskVectors,
    variants: Sequence[Variant],
    *,
    evaluators: str,
) -> Iterator[tuple[Variant, TaskResult, None]]:
    """Score ``task`` at each variant; ``evaluators`` is ignored, since this mteb always scores by its own code alone.

    Item scores are not collected under this mteb; scoring the same vectors with the current one gives them.

    Raises:
        BadInput: a prompt is not in the store.
    """
    for variant in variants:
        start = time.monotonic()
        by_split = _evaluate(mteb_task, task, _Encoder(vectors, dim=variant.dim, normalize=variant.normalize))
        yield variant, TaskResult.from_task_results(mteb_task, by_split, evaluation_time=time.monotonic() - start), None


def _evaluate(mteb_task: _MtebTask, task: Task, encoder: "_Encoder") -> dict:
    """Scores by split. Each split starts from the task's seed, like a task that is run alone.

    This mteb seeds once, when the task is created, so in a longer run a classification task that follows a clustering
    task draws other samples. 2.x seeds each task on its own, and so does this function.
    """
    by_split = {}
    for split in task.splits:
        random.seed(mteb_task.seed)
        np.random.seed(mteb_task.seed)
        torch.manual_seed(mteb_task.seed)
        by_split[split] = mteb_task.evaluate(encoder, split, encode_kwargs=dict(ENCODE_OPTIONS))
    return by_split


def has_official_statistics(mteb_task: _MtebTask) -> None:
    """Unknown: the statistics that mteb 1.38.30 ships are of the older layouts."""
    return


def meta(variant: Variant) -> dict:
    """The content of ``model_meta.json``: this mteb's fields, and 2.x's ``experiment_kwargs``."""
    return _meta(variant, variant.revision).to_dict() | {"experiment_kwargs": dict(variant.experiment) or None}


def model_meta(variant: Variant) -> ModelMeta:
    """This mteb's ``ModelMeta``. mteb files results by name and revision, so the revision also holds the setting."""
    return _meta(variant, "__".join([variant.revision, *(f"{name}_{value}" for name, value in variant.experiment)]))


def _meta(variant: Variant, revision: str) -> ModelMeta:
    return ModelMeta(
        name=variant.model,
        revision=revision,
        release_date=None,
        languages=["zho-Hans"],
        n_parameters=None,
        memory_usage_mb=None,
        max_tokens=variant.max_length,
        embed_dim=variant.dim,
        license=None,
        open_weights=None,
        public_training_code=None,
        public_training_data=None,
        framework=["PyTorch"],
        similarity_fn_name="cosine",
        use_instructions=variant.use_instruction,
        training_datasets=None,
    )


def pairwise_cos_sim(one, two) -> torch.Tensor:
    """Cosine similarity of n pairs of vectors, (n,); this mteb has it only for matrices."""
    return torch.nn.functional.cosine_similarity(torch.as_tensor(one), torch.as_tensor(two))


class _Encoder:
    """This mteb's encoder protocol over stored vectors, cut to one dimension; mteb's default similarity is cosine."""

    def __init__(self, vectors: TaskVectors | Recorded, *, dim: int, normalize: bool) -> None:
        self._vectors = vectors
        self._dim = dim
        self._normalize = normalize

    def encode(self, sentences, *, task_name, prompt_type=None, **kwargs):
        side = _SIDES.get(getattr(prompt_type, "value", None))
        vectors = self._vectors.of(text_list(sentences, task_name), side)
        return cut_and_normalize(vectors, self._dim, normalize=self._normalize)
