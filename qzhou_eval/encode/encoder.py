"""The interface that the encode stage expects of an encoder. Does not depend on a model.

Two encoders are built in: :class:`~qzhou_eval.model.embedder.Embedder` for transformers (opened in run/openers.py) and
the character n-grams next to this file, the example to copy, which miniature/__main__.py runs. Everything except the
prompt that decides their vectors is in a reading's ``identity``. Several readings of one model, and workers on several
devices, need more than this interface: only the Embedder supports them.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from qzhou_eval.model.tokenizer import Tokenized
from qzhou_eval.results.entries import MadeWith

if TYPE_CHECKING:
    import torch


class Prepare(Protocol):
    """Makes prompts ready to be encoded; may run in a different thread from the encoder."""

    def __call__(self, prompts: list[str]) -> list[Tokenized]:
        """Return one result per prompt, in their order."""


class EncodedBatch(Protocol):
    """Vectors (b, width) of the prompts in ``rows``, on CPU; ``forwarded`` counts tokens, padding included."""

    @property
    def rows(self) -> list[int]: ...
    @property
    def vectors(self) -> "torch.Tensor": ...
    @property
    def forwarded(self) -> int: ...


class Encoder(Protocol):
    """Turns prepared prompts into vectors of its full width."""

    @property
    def made_with(self) -> MadeWith:
        """What vectors are made with, to be recorded."""

    def stream(self, tokenized: Sequence[Tokenized], /) -> Iterator[EncodedBatch]:
        """Yield every prompt once, batch by batch, in any order."""

    def ideal_seconds(self, lengths: list[int]) -> float | None:
        """Seconds that the arithmetic of prompts of these lengths takes at the device's ceiling; None if unknown."""


@runtime_checkable
class HasReadings(Protocol):
    """What an encoder also needs for several readings."""

    def with_token_prepending(self, span: tuple[int, int] | None) -> Encoder:
        """Return an encoder with the same weights and token prepending on other layers (None: off)."""
