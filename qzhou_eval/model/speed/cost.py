"""How much arithmetic a prompt costs, with or without loaded weights; counted only here. Measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from qzhou_eval.model.batching.independence import routes_experts
from qzhou_eval.model.family import decoder_layers
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.head import head_shape
from qzhou_eval.model.loading import body_shape

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

ATTENTION_SLOWER = 4  # times, per operation, than a large product: measured on a CPU, see docs/benchmarks.md, "ETA"


@dataclass(frozen=True)
class Cost:
    """Floating-point operations of matrix products and of attention; norms and padding are not counted.

    Attributes:
        per_token: two for each weight of the layers.
        per_pair: four times ``head_dim`` (scores and values) for each layer and query head, for each pair of
            tokens of which one attends to the other.
        per_prompt: two for each weight of the head, which is applied to the pooled vector.
        both_ways: whether a token attends to those after it too.
    """

    per_token: float
    per_pair: float
    per_prompt: float
    both_ways: bool = False

    def __call__(self, lengths: Sequence[int]) -> float:
        """Operations for prompts with these token counts; a prompt without tokens costs none."""
        return self._weighted(lengths, 1)

    def effort(self, lengths: Sequence[int]) -> float:
        """Operations weighted in proportion to time: those of attention count for more, since they are slower."""
        return self._weighted(lengths, ATTENTION_SLOWER)

    def _weighted(self, lengths: Sequence[int], attention: float) -> float:
        pairs = float(sum(n * n if self.both_ways else n * (n + 1) / 2 for n in lengths))
        prompts = sum(length > 0 for length in lengths)
        return self.per_token * sum(lengths) + attention * self.per_pair * pairs + self.per_prompt * prompts


def cost_of(
    layers: nn.ModuleList, config: "PreTrainedConfig", head: nn.Module | None, *, both_ways: bool = False
) -> Cost | None:
    """Return the cost of a model's layers, on any device including meta, and of its head.

    None if it cannot be counted this way: no attention, a state or a convolution, routed experts, or sizes that differ
    from layer to layer.

    Args:
        config: the model's text configuration.
        both_ways: whether a token attends to those after it too.
    """
    heads, width = getattr(config, "num_attention_heads", None), getattr(config, "hidden_size", None)
    if not isinstance(heads, int) or not isinstance(width, int):
        return None
    if routes_experts(config) or _has_more_than_matrices(layers):
        return None
    size = getattr(config, "head_dim", None) or width // heads
    return Cost(
        per_token=2.0 * _weights(layers),
        per_pair=4.0 * len(layers) * heads * size,
        per_prompt=2.0 * _weights(head) if head is not None else 0.0,
        both_ways=both_ways,
    )


def checkpoint_cost(checkpoint: Checkpoint, *, both_ways: bool = False) -> Cost | None:
    """Return the cost of a checkpoint under transformers' own class, or None as in :func:`cost_of`; reads no weights.

    Raises:
        BadInput: its configuration cannot be used.
    """
    model = body_shape(checkpoint)
    try:
        layers = decoder_layers(model)
    except ValueError:
        return None
    config = model.config.get_text_config(decoder=True)
    return cost_of(layers, config, head_shape(checkpoint), both_ways=both_ways)


def _has_more_than_matrices(layers: nn.ModuleList) -> bool:
    return any(parameter.ndim > 2 for parameter in layers.parameters())


def _weights(module: nn.Module) -> int:
    """Number of weights in matrices, including those converted to FP8."""
    fp8 = (b for b in module.buffers() if b.ndim == 2 and b.dtype == torch.float8_e4m3fn)
    return sum(p.numel() for p in module.parameters() if p.ndim == 2) + sum(b.numel() for b in fp8)
