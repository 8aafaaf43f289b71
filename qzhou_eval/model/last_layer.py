"""The last decoder layer for the last tokens alone: nothing else of it is read under last-token pooling.

Its keys, values and queries still see every token; the output projection, the second norm and the MLP see one row
for each prompt. Exact, not an approximation: those work row by row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn

ROWS = 32  # products of a few rows may round otherwise than those of many: their number is filled up to a multiple


def can_be_cut(layer: nn.Module) -> bool:
    """Whether a layer is built one norm after the other, as in the Llama family; then its rows are independent."""
    parts = ("input_layernorm", "post_attention_layernorm", "self_attn", "mlp")
    return all(hasattr(layer, part) for part in parts) and hasattr(layer.self_attn, "o_proj")


@contextmanager
def last_tokens_only(layer: nn.Module, last: torch.Tensor) -> Iterator[None]:
    """Within the block, the layer returns hidden states (1, n filled up to a multiple of 32, size), the n first valid.

    Args:
        layer: the decoder's last layer, one that :func:`can_be_cut`.
        last: int64 (2, n), row and column of each prompt's last token.
    """
    filled = last[:, torch.arange(-(-last.shape[1] // ROWS) * ROWS, device=last.device).clamp(max=last.shape[1] - 1)]
    parts = {layer: _Layer, layer.input_layernorm: _Norm, layer.self_attn.o_proj: _Projection}
    own = {part: type(part) for part in parts}
    layer._last_tokens = layer.self_attn.o_proj._last_tokens = (filled[0], filled[1])
    try:
        for part, front in parts.items():
            part.__class__ = _in_front(front, own[part])
        yield
    finally:
        for part, own_class in own.items():
            part.__class__ = own_class
        del layer._last_tokens, layer.self_attn.o_proj._last_tokens
        vars(layer.input_layernorm).pop("_all_tokens", None)


class _Layer:
    """The residual stream holds the last tokens only; the first norm is told all of them."""

    def __call__(self, hidden_states: torch.Tensor, *args, **kwargs):
        self.input_layernorm._all_tokens = hidden_states
        return super().__call__(hidden_states[self._last_tokens][None], *args, **kwargs)


class _Norm:
    """Norms all tokens, for attention to see."""

    def __call__(self, _few: torch.Tensor):
        return super().__call__(self._all_tokens)


class _Projection:
    """Attention's output of the last tokens only."""

    def __call__(self, states: torch.Tensor):
        return super().__call__(states[self._last_tokens][None])


@cache
def _in_front(front: type, own: type) -> type:
    return type(own.__name__, (front, own), {})
