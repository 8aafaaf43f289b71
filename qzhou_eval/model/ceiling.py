"""How much arithmetic a decoder does, and how fast this device multiplies matrices at best: speed as a share of it."""

import time

import torch
from torch import nn


def flops(layers: nn.ModuleList, config, lengths: list[int]) -> float:
    """Floating-point operations of the layers' matrix products and of causal attention over prompts of these lengths.

    Two for each weight and token, and for each layer and query head two times ``head_dim`` for each pair of tokens
    that see each other, in scores and in values. Padding, norms and the projection are not counted.

    Args:
        config: the decoder's text configuration.
    """
    weights = sum(p.numel() for p in layers.parameters() if p.ndim == 2)
    weights += sum(b.numel() for b in layers.buffers() if b.ndim == 2 and b.dtype == torch.float8_e4m3fn)
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    pairs = sum(length * (length + 1) / 2 for length in lengths)
    return 2.0 * weights * sum(lengths) + 4.0 * len(layers) * heads * size * pairs


def matmul_rate(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large square product, the best of those that fit 0.15 seconds."""
    on_gpu = device.startswith("cuda")
    size = 8192 if on_gpu else 1536
    one, two = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    best = float("inf")
    end = time.perf_counter() + 0.15
    while time.perf_counter() < end:
        _wait(on_gpu)
        start = time.perf_counter()
        one @ two
        _wait(on_gpu)
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best


def _wait(on_gpu: bool) -> None:
    if on_gpu:
        torch.cuda.synchronize()
