"""Pooling: which of a prompt's hidden states its vector is made of. One kind so far, the last token's."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LAST_TOKEN = "last token"  # in a store's fingerprint: another kind must have another name


def pooling_named(mode: object) -> str | None:
    """The kind that 1_Pooling/config.json names, ``lasttoken`` or ``["pooling_mode_lasttoken"]``; None for another."""
    return LAST_TOKEN if mode in ("lasttoken", ["pooling_mode_lasttoken"]) else None


def pool(hidden: "torch.Tensor", last: "torch.Tensor") -> "torch.Tensor":
    """Vectors (n, size) of n prompts.

    Args:
        hidden: (rows, columns, size), the last layer's states of a batch.
        last: integers (2, n), the row and column of each prompt's last token.
    """
    return hidden[last[0], last[1]]
