"""Work on one device among several: its kernels, its copies to the host, and how one waits for them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch


def current(device: str) -> AbstractContextManager:
    """Within the block a GPU is the current device of this thread: where kernels start and buffers are pinned."""
    return torch.cuda.device(device) if device.startswith("cuda") else nullcontext()


def finish(device: str) -> None:
    """Wait for all that was started on a device; on a CPU everything is finished when it returns."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def start_copy(vectors: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Start copying to the CPU; the result waits for the copy and gives it.

    The copy runs on the current stream of the vectors' own device, and the event that one waits for must be recorded
    there: on another device's stream it would be over before the copy is. The vectors may be dropped meanwhile: torch
    gives their memory to later work of the same stream only.
    """
    if not vectors.is_cuda:
        return lambda: vectors
    with torch.cuda.device(vectors.device):
        copy = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True).copy_(vectors, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(vectors.device))

    def wait() -> torch.Tensor:
        done.synchronize()
        return copy

    return wait
