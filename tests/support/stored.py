"""A store of fixed vectors, for tests that score without a model."""

import numpy as np
import torch
from written import variant_by

from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.results.variant import Variant
from qzhou_eval.run.plan import plan_task

PROFILE = load_profile("qzhou-zh-mini")


WIDTH = 24


def vector(prompt: str) -> np.ndarray:
    """A fixed pseudo-random vector of a prompt, similar for prompts that share letters."""
    total = np.zeros(WIDTH, np.float32)
    for letter in prompt:
        total += np.random.default_rng(ord(letter)).standard_normal(WIDTH).astype(np.float32)
    return total


def variant(dim: int) -> Variant:
    same = {"revision": "abc", "fingerprint": "12" * 32, "dtype": "float32", "use_instruction": True, "max_length": 8}
    experiment = (("dim", dim), ("profile", PROFILE.name)) if dim != WIDTH else ()
    return variant_by(PROFILE, model="test/stored", dim=dim, width=WIDTH, experiment=experiment, **same)


def fill_store(folder, task, source, profile=PROFILE) -> None:
    """Store the fixed vectors of everything that ``task`` will ask for."""
    prompts = plan_task(task, source, profile, use_instruction=True).prompts
    store = Store(folder / "store", variant(WIDTH).fingerprint)
    store.create({})
    vectors = torch.from_numpy(np.stack([vector(prompt) for prompt in prompts]))
    store.add([prompt_key(prompt) for prompt in prompts], vectors)
