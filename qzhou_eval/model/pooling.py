"""Pooling: which of a prompt's hidden states becomes its vector. One kind so far: the last token's."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LAST_TOKEN = "last token"  # part of the fingerprint, so another kind must have another name


def pooling_named(mode: object) -> str | None:
    """Return the kind named in 1_Pooling/config.json, ``lasttoken`` or ``["pooling_mode_lasttoken"]``; else None."""
    return LAST_TOKEN if mode in ("lasttoken", ["pooling_mode_lasttoken"]) else None


def pool(hidden: "torch.Tensor", last: "torch.Tensor") -> "torch.Tensor":
    """Return the vectors (n, size) of n prompts.

    Args:
        hidden: (rows, columns, size), the last layer's states of a batch.
        last: integers (2, n), the row and column of each prompt's last token.
    """
    return hidden[last[0], last[1]]
