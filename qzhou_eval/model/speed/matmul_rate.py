"""How fast this device multiplies matrices at best; speed is reported as a share of it."""

import time

import torch

from qzhou_eval.model.streams import current, finish

SIZES = {"cuda": 8192, "cpu": 1536}


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large square product, the best of those that fit in 0.15 seconds.

    At least three are timed: the first is slow, and others may be using the machine.
    """
    size = SIZES[device.partition(":")[0]]
    best, count = float("inf"), 0
    with current(device):
        one, two = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
        end = time.perf_counter() + 0.15
        while time.perf_counter() < end or count < 3:
            finish(device)
            start = time.perf_counter()
            one @ two
            finish(device)
            best = min(best, time.perf_counter() - start)
            count += 1
    return 2.0 * size**3 / best
