"""What encoders yield: the vectors of some prompts. Does not import torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Encoded:
    """Vectors (b, width) of the prompts in ``rows``, on CPU, in any floating dtype.

    ``forwarded`` counts the tokens that went through the model for them, padding included.
    """

    rows: list[int]
    vectors: "torch.Tensor"
    forwarded: int
