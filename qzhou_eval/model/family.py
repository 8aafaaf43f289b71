"""What differs from one model family to the next: its layers, its positions, and when its prompts may share a batch.

A family that needs more than this fails the trial at load, which names what is wrong: batching/independence.py.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

from qzhou_eval.model.batching.batches import ONE_LENGTH, PACKED
from qzhou_eval.system.options import option

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def decoder_layers(model: "PreTrainedModel") -> nn.ModuleList:
    """Return the list of layers of any Hugging Face decoder or encoder.

    It is the one ``nn.ModuleList`` whose length is ``num_hidden_layers`` of the text config.

    Raises:
        ValueError: the model has no such list, or more than one.
    """
    depth = model.config.get_text_config(decoder=True).num_hidden_layers
    found = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    if len(found) != 1:
        raise ValueError(f"{type(model).__name__}: expected one list of {depth} layers, found {len(found)}")
    return found[0]


def padding_before_positions(model: nn.Module) -> int | None:
    """Return the padding token's id if the table of positions begins after it, as in RoBERTa; else None."""
    tables = (getattr(module, "position_embeddings", None) for module in model.modules())
    return next(
        (one.padding_idx for one in tables if isinstance(one, nn.Embedding) and one.padding_idx is not None), None
    )


def both_ways_mask(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Turn a mask (n, longest) with 0 where padded into one (n, 1, longest, longest) to add to attention's scores.

    A mask of four dimensions replaces the causal one that a decoder would make.
    """
    hidden = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask == 0, torch.finfo(dtype).min)
    return hidden[:, None, None, :].expand(-1, 1, mask.shape[1], -1)


def obstacle(model: "PreTrainedModel", way: str, max_length: int, *, own_code: bool) -> str | None:
    """Return why prompts of up to ``max_length`` tokens may not share batches in the given way, or None.

    Args:
        own_code: whether the model is the checkpoint's own code.
    """
    text = model.config.get_text_config(decoder=True)
    limit = _rotary_limit(text, "dynamic")
    if limit is not None and limit < max_length:
        fits = option("max_length", limit)
        return f"beyond {limit} tokens, rotary positions depend on the longest prompt so far; give {fits}"
    if way == ONE_LENGTH:
        return None
    if fault := _sees_lengths(text, max_length):
        return fault
    if way == PACKED:
        return _not_packed(text, max_length, own_code=own_code)
    if next(model.parameters()).dtype != torch.float32 and _has_state(model):
        return "in half precision, rounding would hide what padding adds to its state"
    return None


def _sees_lengths(config: "PreTrainedConfig", max_length: int) -> str | None:
    limit = _rotary_limit(config, "longrope")
    if limit is not None and limit < max_length:
        return f"beyond {limit} tokens, rotary positions depend on the batch's longest prompt"
    chunk = getattr(config, "attention_chunk_size", None)
    if chunk is not None and chunk < max_length:
        return f"its attention is cut into chunks of {chunk} tokens, counted in the batch"
    return None


def _not_packed(config: "PreTrainedConfig", max_length: int, *, own_code: bool) -> str | None:
    if own_code:
        return "the checkpoint's own code pads"
    if getattr(config, "attn_logit_softcapping", None) is not None:
        return "it uses a soft cap in attention"
    return windowed(config, max_length)


def windowed(config: "PreTrainedConfig", max_length: int) -> str | None:
    """Return that a token attends to fewer than ``max_length`` others, or None."""
    kinds = getattr(config, "layer_types", None)
    slides = kinds is None or any("sliding" in kind for kind in kinds)
    window = getattr(config, "sliding_window", None) or getattr(config, "local_attention", None)
    if slides and window is not None and window < max_length:
        return f"its sliding window of {window} tokens is shorter than {option('max_length')}"
    return None


def _has_state(model: nn.Module) -> bool:
    """Whether tokens also affect each other outside attention, which masks padding exactly."""
    return getattr(model, "_is_stateful", False) or any(isinstance(part, nn.Conv1d) for part in model.modules())


def _rotary_limit(config: "PreTrainedConfig", kind: str) -> int | None:
    """Return how many tokens have fixed rotary positions of this kind, or None if the kind is not used."""
    written = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    each = [written, *(value for value in written.values() if isinstance(value, dict))]  # by kind of layer, or flat
    limits = [
        one.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
        for one in each
        if kind in str(one.get("rope_type") or one.get("type"))
    ]
    return min((limit or config.max_position_embeddings for limit in limits), default=None)
