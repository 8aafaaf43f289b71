"""What the encode stage asks of an encoder. Knows no model.

Two are built in: :class:`~qzhou_eval.model.embedder.Embedder` for transformers, and the character n-grams beside this
file, which are the example to copy; miniature/__main__.py runs them. What decides their vectors, apart from the prompt,
is a reading's ``identity``. Several readings of one model, and workers on several devices, ask more: those are the
Embedder's alone.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Prepared(Protocol):
    """A prompt made ready to be encoded: its token ids, and whether the limit cut it."""

    ids: Sequence[int]
    cut: bool


class Prepare(Protocol):
    """Makes prompts ready; may run in another thread than the encoder."""

    def __call__(self, prompts: list[str]) -> Sequence[Prepared]:
        """One for each prompt, in their order."""


class EncodedBatch(Protocol):
    """Vectors (b, width) of the prompts in ``rows``, on CPU; ``forwarded`` counts tokens, padding included."""

    rows: list[int]
    vectors: "torch.Tensor"
    forwarded: int


class Encoder(Protocol):
    """Turns prepared prompts into vectors of its full width."""

    @property
    def made_with(self) -> dict:
        """What vectors owe to machine, libraries and kernels, for the record; JSON values."""

    def stream(self, prepared: Sequence[Prepared]) -> Iterator[EncodedBatch]:
        """Every prompt once, batch by batch, in any order."""

    def ideal_seconds(self, lengths: list[int]) -> float | None:
        """What the arithmetic of prompts of these lengths takes at the device's ceiling; None if that is not known."""
