"""The interface that the encode stage expects of an encoder. Does not depend on a model.

Two encoders are built in: :class:`~qzhou_eval.model.embedder.Embedder` for transformers, and the character n-grams next
to this file, which are the example to copy; miniature/__main__.py runs them. Everything besides the prompt that decides
their vectors is in a reading's ``identity``. Several readings of one model, and workers on several devices, need more
than this interface: only the Embedder supports them.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Prepared(Protocol):
    """A prompt ready to be encoded: its token ids, and whether the limit cut it."""

    ids: Sequence[int]
    cut: bool


class Prepare(Protocol):
    """Makes prompts ready to be encoded; may run in a different thread from the encoder."""

    def __call__(self, prompts: list[str]) -> Sequence[Prepared]:
        """Return one result per prompt, in their order."""


class EncodedBatch(Protocol):
    """Vectors (b, width) of the prompts in ``rows``, on CPU; ``forwarded`` counts tokens, padding included."""

    rows: list[int]
    vectors: "torch.Tensor"
    forwarded: int


class Encoder(Protocol):
    """Turns prepared prompts into vectors of its full width."""

    @property
    def made_with(self) -> dict:
        """The machine, libraries and kernels that vectors are made with, to be recorded; JSON values."""

    def stream(self, prepared: Sequence[Prepared]) -> Iterator[EncodedBatch]:
        """Yield every prompt once, batch by batch, in any order."""

    def ideal_seconds(self, lengths: list[int]) -> float | None:
        """Seconds that the arithmetic of prompts of these lengths takes at the device's ceiling; None if unknown."""
