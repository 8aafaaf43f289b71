"""mteb's encoder protocol over stored vectors. A missing vector is an error, never a silent re-encode."""

import numpy as np
from mteb.models import ModelMeta
from mteb.similarity_functions import cos_sim, pairwise_cos_sim

from qzhou_eval.errors import BadInput
from qzhou_eval.profile import Profile
from qzhou_eval.prompts import instruction_for, render
from qzhou_eval.store import Store, prompt_key
from qzhou_eval.tasks import Task
from qzhou_eval.texts import texts_of
from qzhou_eval.vectors import cut_and_normalize


class TaskVectors:
    """Full-width vectors of one task's texts, read from the store once and shared by all dimensions."""

    def __init__(self, store: Store, task: Task, profile: Profile, *, use_instruction: bool) -> None:
        self._store = store
        self._task = task
        self._profile = profile
        self._use_instruction = use_instruction
        self._row: dict[tuple[str | None, str], int] = {}
        self._matrix: np.ndarray | None = None

    def of(self, texts: list[str], side: str | None) -> np.ndarray:
        """float32 (n, width), in the order of ``texts``.

        Raises:
            BadInput: a prompt is not in the store.
        """
        new = list(dict.fromkeys(text for text in texts if (side, text) not in self._row))
        if new:
            self._read(new, side)
        return self._matrix[[self._row[side, text] for text in texts]]

    def _read(self, texts: list[str], side: str | None) -> None:
        instruction = instruction_for(self._profile, self._task.name, side) if self._use_instruction else None
        keys = [prompt_key(render(self._profile, text, instruction)) for text in texts]
        try:
            vectors = self._store.get(keys).numpy()
        except KeyError:
            missing = sum(key not in self._store for key in keys)
            raise BadInput(
                f"{self._task.name}: {missing} of {len(keys)} prompts are not in the store; run encode first"
            ) from None
        start = 0 if self._matrix is None else len(self._matrix)
        self._matrix = vectors if self._matrix is None else np.concatenate([self._matrix, vectors])
        self._row |= {(side, text): start + i for i, text in enumerate(texts)}


class StoreEncoder:
    """What mteb evaluates: the vectors of one task at one dimension."""

    def __init__(self, vectors: TaskVectors, meta: ModelMeta, *, dim: int, normalize: bool) -> None:
        self.mteb_model_meta = meta
        self._vectors = vectors
        self._dim = dim
        self._normalize = normalize

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        texts = texts_of(inputs, f"{task_metadata.name}, split {hf_split}")
        vectors = self._vectors.of(texts, getattr(prompt_type, "value", None))
        return cut_and_normalize(vectors, self._dim, normalize=self._normalize)

    def similarity(self, one, two):
        return cos_sim(one, two)

    def similarity_pairwise(self, one, two):
        return pairwise_cos_sim(one, two)
