"""How much there is to encode, known early: a sample of each planned task is tokenised long before its turn comes."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from qzhou_eval.progress import Progress
from qzhou_eval.store import Store, prompt_key

SAMPLE = 256  # prompts of each task


def follow(plans: Iterable[tuple[str, Future]], store: Store, tokenizer: Callable, progress: Progress) -> None:
    """Tell ``progress`` of each task as its plan comes, from a thread of its own, which nobody waits for.

    A prompt counts for the first task that has it, and not at all if it is in the store.

    Args:
        plans: tasks' names and their :class:`~qzhou_eval.plan.TaskPlan`, in the order in which they will be encoded.
    """
    seen: set[bytes] = set()

    def count() -> None:
        for task, planned in plans:
            try:
                prompts = planned.result().prompts
            except Exception:  # cancelled ones, too; the run itself says so when it is this task's turn
                progress.expect(task)
                continue
            keys = {prompt_key(prompt): prompt for prompt in prompts}
            new = [prompt for key, prompt in keys.items() if key not in seen and key not in store]
            seen.update(keys)
            progress.expect(task, *estimate(new, tokenizer))

    threading.Thread(target=count, name="backlog", daemon=True).start()


def estimate(prompts: list[str], tokenizer: Callable, size: int = SAMPLE) -> tuple[list[int], float]:
    """Token counts of a sample of about ``size`` prompts, evenly over their lengths, and how many each stands for."""
    if not prompts:
        return [], 1.0
    by_length = sorted(prompts, key=len)
    every = max(1, len(prompts) // size)
    sample = by_length[every // 2 :: every]
    return [len(prompt.ids) for prompt in tokenizer(sample)], len(prompts) / len(sample)
