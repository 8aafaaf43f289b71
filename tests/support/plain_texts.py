"""Plain texts whose vectors are made from their letters, in a store."""

from functools import cache

import numpy as np
import torch
from layouts import MINI
from mteb.models import ModelMeta
from mteb.similarity_functions import cos_sim, pairwise_cos_sim

from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.evaluate.mteb_adapter.stored_vectors import TaskVectors
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.run.plan import plan_task

PROFILE = load_profile("plain")


WIDTH = 96


DIMS = (16, 64, WIDTH)


REVIEWS = MINI / "MiniClassification/data"


@cache
def letter(one: str) -> np.ndarray:
    return np.random.default_rng(ord(one)).standard_normal(WIDTH).astype(np.float32)


def vector(text: str) -> np.ndarray:
    return sum(map(letter, text), np.zeros(WIDTH, np.float32))


def stored(folder, task, source) -> TaskVectors:
    """Store the vectors of everything that ``task`` will ask for."""
    prompts = plan_task(task, source, PROFILE, use_instruction=False).prompts
    store = Store(folder, "12" * 32)
    store.create({})
    store.add([prompt_key(p) for p in prompts], torch.from_numpy(np.stack([vector(p) for p in prompts])))
    return TaskVectors(store, task, PROFILE, use_instruction=False)


class PlainEncoder:
    """mteb's encoder protocol without a store: embeds each text when asked, cuts, normalises."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.mteb_model_meta = ModelMeta.create_empty(overwrites={"name": "test/plain", "revision": "1"})

    def encode(self, inputs, **kwargs):
        vectors = np.stack([vector(text) for batch in inputs for text in batch["text"]])[:, : self.dim]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def similarity(self, one, two):
        return cos_sim(one, two)

    def similarity_pairwise(self, one, two):
        return pairwise_cos_sim(one, two)
