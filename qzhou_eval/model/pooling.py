"""Pooling: which of a prompt's hidden states its vector is made of. One kind so far, the last token's."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LAST_TOKEN = "last token"  # in a store's fingerprint: another kind must have another name
_NAMED = {"lasttoken": LAST_TOKEN}


def pooling_named(mode: object) -> str | None:
    """The kind that 1_Pooling/config.json names, ``lasttoken`` or ``["pooling_mode_lasttoken"]``; None for another."""
    modes = [mode] if isinstance(mode, str) else mode
    if not isinstance(modes, list) or len(modes) != 1 or not isinstance(modes[0], str):
        return None
    return _NAMED.get(modes[0].removeprefix("pooling_mode_"))


def pool(hidden: "torch.Tensor", last: "torch.Tensor") -> "torch.Tensor":
    """Vectors (n, size) of n prompts.

    Args:
        hidden: (rows, columns, size), the last layer's states of a batch.
        last: integers (2, n), the row and column of each prompt's last token.
    """
    return hidden[last[0], last[1]]
