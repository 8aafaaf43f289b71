"""Encoders and scorers that end their process, break or cannot be loaded; worker processes can import them."""

import os
import signal

from qzhou_eval.evaluate.stage import evaluate


class Deadly:
    """A real Embedder whose process ends, or whose device breaks, at a prompt with a certain token."""

    def __init__(self, open_encoder, token: int, *, breaks: bool) -> None:
        self._embedder = open_encoder()
        self._token = token
        self._breaks = breaks

    def __getattr__(self, name):
        return getattr(self._embedder, name)

    def stream(self, tokenized):
        if any(self._token in prompt.ids for prompt in tokenized):
            if self._breaks:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            os._exit(1)
        yield from self._embedder.stream(tokenized)


def second_alone(open_encoder, folder):
    """A real Embedder that the first process to ask for it cannot load."""
    try:
        os.close(os.open(folder / "first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return open_encoder()
    raise RuntimeError("CUDA error: uncorrectable ECC error encountered")


def evaluate_that_dies(job):
    """Score as the package does, but kill the process at one task, as the system does when out of memory."""
    if job.task.name == "MiniSTS":
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(job)


def evaluate_that_breaks(job):
    """Score as the package does, but raise an error, as a bug would, at one task."""
    if job.task.name == "MiniSTS":
        raise IndexError("a bug of ours")
    return evaluate(job)
