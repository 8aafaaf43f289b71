"""Work on one of several devices: make it current, wait for it, copy vectors from it to the host."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch


def current(device: str) -> AbstractContextManager:
    """Make a GPU this thread's current device within the block: kernels start and buffers are pinned there."""
    return torch.cuda.device(device) if device.startswith("cuda") else nullcontext()


def finish(device: str) -> None:
    """Wait for all work started on a device; on a CPU there is none, since every call finishes before it returns."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def start_copy(vectors: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Start copying vectors to the CPU; return a function that waits for the copy and returns it.

    The copy runs on the current stream of the vectors' own device, and the event to wait for must be recorded there:
    on another device's stream it would complete before the copy does. The vectors may be dropped meanwhile: torch
    gives their memory only to later work on the same stream.
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
