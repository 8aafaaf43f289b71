"""The texts that mteb will ask an encoder for, found by letting mteb ask.

Each task is run once with a recorder in the model's place. It returns small random vectors: which
texts a task asks for, and in which order, does not depend on the vectors.
"""

from dataclasses import dataclass

import numpy as np
from mteb.models import ModelMeta
from mteb.models.search_wrappers import SearchEncoderWrapper
from mteb.similarity_functions import cos_sim, pairwise_cos_sim

from qzhou_eval.errors import BadInput
from qzhou_eval.mteb_tasks import load_task, readable_errors
from qzhou_eval.tasks import DataSource, Task


@dataclass(frozen=True)
class EncodeCall:
    """One call of an encoder: the side (mteb's prompt type, None for symmetric tasks) and its texts."""

    side: str | None
    texts: list[str]


class Recorder:
    """mteb's encoder protocol; keeps the texts of every call."""

    def __init__(self) -> None:
        self.calls: list[EncodeCall] = []
        self.mteb_model_meta = ModelMeta.create_empty()
        self._random = np.random.default_rng(0)

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        texts = texts_of(inputs, f"{task_metadata.name}, split {hf_split}")
        self.calls.append(EncodeCall(getattr(prompt_type, "value", None), texts))
        return self._random.standard_normal((len(texts), 2)).astype(np.float32)

    def similarity(self, one, two):
        return cos_sim(one, two)

    def similarity_pairwise(self, one, two):
        return pairwise_cos_sim(one, two)


class _NoSearch:
    """mteb's search backend that finds each query's first document: recording needs no search."""

    def add_documents(self, embeddings, idxs):
        pass

    def search(self, embeddings, top_k, similarity_fn, top_ranked=None, query_idx_to_id=None):
        return [[1.0]] * len(embeddings), [[0]] * len(embeddings)

    def clear(self):
        pass


def texts_of(inputs, where: str) -> list[str]:
    """The texts of mteb's data loader, in order.

    Raises:
        BadInput: a text is not a string.
    """
    texts = []
    for batch in inputs:
        if not all(isinstance(text, str) for text in batch["text"]):
            raise BadInput(f"{where}: the text column holds something that is not text, around row {len(texts)}")
        texts.extend(batch["text"])
    return texts


def record(task: Task, source: DataSource) -> list[EncodeCall]:
    """Every encode call of ``task``, over all its splits, in mteb's order.

    Raises:
        BadInput: the data cannot be read, or a text is not a string.
    """
    mteb_task = load_task(task, source)
    recorder = Recorder()
    model = recorder
    if task.type in ("Retrieval", "Reranking"):
        model = SearchEncoderWrapper(recorder, index_backend=_NoSearch())
    with readable_errors(task, source):
        for split in task.splits:
            mteb_task.evaluate(model, split, encode_kwargs={"batch_size": 1024, "show_progress_bar": False})
    return recorder.calls
