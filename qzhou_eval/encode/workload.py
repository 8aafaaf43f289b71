"""Estimate early how much there is to encode: a sample of each planned task is prepared long before its turn."""

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Protocol, TypeVar

from qzhou_eval.encode.encoder import Prepare
from qzhou_eval.encode.key_index import KeyIndex
from qzhou_eval.encode.progress import Progress
from qzhou_eval.encode.store import Store, prompt_key

SAMPLE = 256  # prompts per task


class Plan(Protocol):
    """A task's plan, of which only the prompts matter here."""

    def read(self) -> list[str]:
        """Return the distinct rendered prompts."""


AnyPlan = TypeVar("AnyPlan", bound=Plan)


def estimate_workload(
    plans: Iterable[tuple[Future[AnyPlan], Mapping[str, Store]]], preparer: Prepare, progress: Progress
) -> None:
    """Report each plan's workload to ``progress`` once it is made, in a thread of its own that nobody waits for.

    A prompt counts for the first task that has it, and not at all if it is in the store.

    Args:
        plans: each :class:`~qzhou_eval.run.plan.WaitingPlan`, in the order in which they will be encoded, with the
            stores that it goes to, by the name that each has in ``progress``.
    """
    seen: dict[str, KeyIndex] = {}

    def count() -> None:
        for planned, stores in plans:
            try:
                prompts = planned.result().read()
            except Exception:  # including cancelled ones; the run itself reports it at this task's turn
                for name in stores:
                    progress.expect(name)
                continue
            keys = [prompt_key(prompt) for prompt in prompts]
            for name, store in stores.items():
                new = set(seen.setdefault(store.fingerprint, KeyIndex()).first_seen(keys))
                todo = [prompts[position] for position in store.missing(keys) if position in new]
                progress.expect(name, *estimate(todo, preparer))

    threading.Thread(target=count, name="backlog", daemon=True).start()


def estimate(prompts: list[str], preparer: Prepare, size: int = SAMPLE) -> tuple[list[int], float]:
    """Return token counts of about ``size`` prompts, sampled evenly over lengths, and how many each represents."""
    if not prompts:
        return [], 1.0
    by_length = sorted(prompts, key=len)
    every = max(1, len(prompts) // size)
    sample = by_length[every // 2 :: every]
    return [prompt.size for prompt in preparer(sample)], len(prompts) / len(sample)
