"""Random decoders of known shapes, and random prompt lengths, for speed measurements."""

import random
from dataclasses import dataclass

import torch

VOCABULARY = 1000


@dataclass(frozen=True)
class Shape:
    """A decoder's sizes, and how much to run: tokens per workload, sentence-transformers' batch sizes."""

    title: str
    config: dict
    width: int
    tokens: int
    batches: tuple[int, ...]
    budget: int


QWEN3_8B = Shape(
    title="Qwen3-8B",
    config=dict(
        hidden_size=4096,
        intermediate_size=12288,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        vocab_size=151936,
        rope_theta=1_000_000,
    ),
    width=1792,
    tokens=400_000,
    batches=(32, 128, 512),
    budget=16384,
)


SMALL = Shape(
    title="small",
    config=dict(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=9,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        vocab_size=VOCABULARY,
    ),
    width=64,
    tokens=3_000,
    batches=(32, 64),
    budget=4096,
)


def lengths(mean: int, tokens: int, seed: int) -> list[int]:
    """Log-normal token counts with this mean, like a task's, template included: 12 to 1024 each, ``tokens`` in all."""
    draw = random.Random(seed)
    spread = 0.5
    found: list[int] = []
    while sum(found) < tokens:
        found.append(min(1024, max(12, round(draw.lognormvariate(0, spread) * mean / 1.133))))
    return found


def random_decoder(shape: Shape, device: str, dtype: torch.dtype) -> tuple[torch.nn.Module, torch.nn.Linear]:
    """A Qwen3 decoder and projection with random weights, created on the device."""
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = Qwen3Model(Qwen3Config(max_position_embeddings=2048, tie_word_embeddings=False, **shape.config))
            projection = torch.nn.Linear(shape.config["hidden_size"], shape.width)
    finally:
        torch.set_default_dtype(before)
    model.config._attn_implementation = "sdpa"
    return model.eval(), projection.eval()
