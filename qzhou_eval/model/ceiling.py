"""How fast this device multiplies matrices at best: speed is told as a share of it."""

import time

import torch


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large square product, the best of those that fit 0.15 seconds.

    It is the best of three at least: the first is slow, and others may use the machine.
    """
    on_gpu = device.startswith("cuda")
    size = 8192 if on_gpu else 1536
    one, two = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    best, count = float("inf"), 0
    end = time.perf_counter() + 0.15
    while time.perf_counter() < end or count < 3:
        _wait(on_gpu)
        start = time.perf_counter()
        one @ two
        _wait(on_gpu)
        best = min(best, time.perf_counter() - start)
        count += 1
    return 2.0 * size**3 / best


def _wait(on_gpu: bool) -> None:
    if on_gpu:
        torch.cuda.synchronize()
