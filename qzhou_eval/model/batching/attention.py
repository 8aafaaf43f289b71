"""Attention over packed prompts: many in one row, each attending only to itself, causal or both ways, without a mask.

Registered with transformers under :data:`NAME` and :data:`BOTH_WAYS`; the bounds of the prompts are passed as
``cu_seq_lens_q``, transformers' own keyword for packed rows. Two kernels: torch's variable-length flash attention on a
GPU in half precision, and elsewhere torch's dense attention over runs of prompts of equal length; a batch sorted by
length has few.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "qzhou_packed"
BOTH_WAYS = "qzhou_packed_both_ways"

HARMLESS = {  # arguments that decoders pass to any attention and that change nothing here (in eval mode, no dropout)
    *("dropout", "is_causal", "output_attentions", "position_ids", "cache_position", "use_cache"),
    *("cu_seq_lens_k", "max_length_k", "deterministic"),
}


def kernel(device: torch.device, dtype: torch.dtype) -> str:
    """Return the kernel to use: ``"varlen"`` (CUDA from compute capability 8.0, half precision) or ``"runs"``."""
    half = dtype in (torch.bfloat16, torch.float16)
    if device.type == "cuda" and half and torch.cuda.get_device_capability(device) >= (8, 0):
        return "varlen"
    return "runs"


@contextmanager
def packed_attention(model: "PreTrainedModel", *, both_ways: bool = False) -> Iterator[None]:
    """Make a transformers model use packed attention within the block; every call then needs ``cu_seq_lens_q``.

    Args:
        both_ways: whether a token attends to those after it too, whatever the model's class would do.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, _causal)
    ALL_ATTENTION_FUNCTIONS.register(BOTH_WAYS, _both_ways)
    before = model.config._attn_implementation
    model.config._attn_implementation = BOTH_WAYS if both_ways else NAME
    try:
        yield
    finally:
        model.config._attn_implementation = before


def packed_inputs(starts: torch.Tensor, longest: int) -> dict[str, torch.Tensor | int]:
    """Return the keyword arguments that a decoder passes on to packed attention.

    The one-number mask is not used: its four dimensions keep every version of transformers from building its own.
    """
    return {
        "attention_mask": torch.zeros(1, 1, 1, 1, device=starts.device),
        "cu_seq_lens_q": starts,
        "cu_seq_lens_k": starts,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def _causal(module: nn.Module, *states, **kwargs) -> tuple[torch.Tensor, None]:
    """Causal attention.

    Raises:
        ValueError: the model asks for another kind, or as :func:`_attention`.
    """
    if kwargs.get("is_causal") is False or not getattr(module, "is_causal", True):
        raise ValueError("packed attention is causal here, but the model asks for attention both ways")
    return _attention(module, *states, causal=True, **kwargs)


def _both_ways(module: nn.Module, *states, **kwargs) -> tuple[torch.Tensor, None]:
    return _attention(module, *states, causal=False, **kwargs)


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    causal: bool,
    scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs,
) -> tuple[torch.Tensor, None]:
    """Attention in the form that transformers calls; query (1, heads, tokens, size) -> (1, tokens, heads, size).

    Raises:
        ValueError: the prompts' bounds are missing, or the kind of attention is not supported here.
    """
    if cu_seq_lens_q is None or max_length_q is None or query.shape[0] != 1:
        raise ValueError("packed attention needs one row and the bounds of the prompts in it (cu_seq_lens_q)")
    if softcap is not None or (sliding_window is not None and max_length_q > sliding_window):
        raise ValueError("packed attention supports neither a soft cap nor a window shorter than the prompts")
    own_mask = attention_mask is not None and attention_mask.numel() != 1
    others = sorted(name for name, value in kwargs.items() if value is not None and name not in HARMLESS)
    if own_mask or others:
        raise ValueError(f"packed attention is plain attention and does not support {', '.join(others) or 'masks'}")
    query, key, value = (states[0].transpose(0, 1) for states in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    how = {"longest": max_length_q, "scale": scale, "causal": causal}
    return torch.ops.qzhou_eval.packed_attention(query, key, value, cu_seq_lens_q, **how)[None], None


@torch.library.custom_op("qzhou_eval::packed_attention", mutates_args=())
def _packed(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    *,
    longest: int,
    scale: float,
    causal: bool,
) -> torch.Tensor:
    """Query (tokens, heads, size), key and value (tokens, fewer heads, size) -> (tokens, heads, size)."""
    if kernel(query.device, query.dtype) == "varlen":
        return _varlen(query, key, value, starts, longest=longest, scale=scale, causal=causal)
    return _by_runs(query, key, value, starts.tolist(), scale=scale, causal=causal)


@_packed.register_fake
def _(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    *,
    longest: int,
    scale: float,
    causal: bool,
) -> torch.Tensor:
    return torch.empty(query.shape, dtype=query.dtype, device=query.device)


def _varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    *,
    longest: int,
    scale: float,
    causal: bool,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = (one.contiguous() for one in (query, key, value))
    bounds, window = (starts, starts, longest, longest), (-1, 0 if causal else -1)
    found = varlen_attn(query, key, value, *bounds, scale=scale, window_size=window, enable_gqa=True)
    return cast(torch.Tensor, found)  # it would be a pair only if more were asked for, which its types do not say


def _by_runs(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, starts: list[int], *, scale: float, causal: bool
) -> torch.Tensor:
    result = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    groups = query.shape[1] // key.shape[1]
    for begin, end, count in _runs(starts):
        q, k, v = (
            states[begin:end].unflatten(0, (count, -1)).transpose(1, 2) for states in (query, key, value)
        )  # (prompts, heads, tokens, size)
        if groups > 1:
            k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        states = scaled_dot_product_attention(q, k, v, is_causal=causal, scale=scale)
        result[begin:end] = states.transpose(1, 2).flatten(0, 1)
    return result


def _runs(starts: list[int]) -> list[tuple[int, int, int]]:
    """Group neighbours of equal length as (first token, token after the last, number of prompts)."""
    runs: list[tuple[int, int, int]] = []
    for begin, end in pairwise(starts):
        if runs and (runs[-1][1] - runs[-1][0]) == (end - begin) * runs[-1][2]:
            runs[-1] = (runs[-1][0], end, runs[-1][2] + 1)
        else:
            runs.append((begin, end, 1))
    return runs
