"""The interface that the encode stage expects of an encoder. Does not depend on a model.

Three are built in: :class:`~qzhou_eval.model.embedder.Embedder` for transformers, :mod:`qzhou_eval.encode.endpoint` for
HTTP, and the character n-grams next to this file, the example to copy. How each is opened is in run/subjects/.
Everything except the prompt that decides their vectors is in a reading's ``identity``. Several readings of one model,
and workers on several devices, need more than this interface: only the Embedder supports them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from qzhou_eval.model.encoded import Encoded
from qzhou_eval.results.entries import MadeWith

__all__ = ["Encoded", "Encoder", "HasCeiling", "HasReadings", "OwnEncoder", "Prepare", "Prepared", "PreparedText"]


class Prepared(Protocol):
    """A prompt that is ready to be encoded: its size in tokens (0 only if it has none), and whether a limit cut it."""

    @property
    def size(self) -> int: ...
    @property
    def cut(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class PreparedText:
    """A prompt for encoders that take text."""

    text: str
    size: int
    cut: bool = False


class Prepare(Protocol):
    """Makes prompts ready to be encoded; may run in a different thread from the encoder."""

    def __call__(self, prompts: list[str], /) -> Sequence[Prepared]:
        """Return one result per prompt, in their order."""


class Encoder(Protocol):
    """Turns prepared prompts into vectors of its full width."""

    @property
    def made_with(self) -> MadeWith:
        """What vectors are made with, to be recorded."""

    def stream(self, prepared: Sequence[Any], /) -> Iterator[Encoded]:
        """Yield every prompt once, batch by batch, in any order; they were prepared by this encoder's own means."""


class OwnEncoder(Encoder, Protocol):
    """What ``--encoder package.module:Class`` asks of a class, which is called without arguments.

    Attributes:
        identity: everything except the prompt that decides a vector, as JSON values; vectors are stored under it.
        width: the components of each vector.
    """

    @property
    def identity(self) -> Mapping[str, object]: ...
    @property
    def width(self) -> int: ...

    def prepare(self, prompts: list[str], /) -> Sequence[Prepared]:
        """As :class:`Prepare`."""


@runtime_checkable
class HasCeiling(Protocol):
    """What an encoder also has whose arithmetic can be counted."""

    def ideal_seconds(self, lengths: list[int]) -> float | None:
        """Seconds that the arithmetic of prompts of these lengths takes at the device's ceiling; None if unknown."""


@runtime_checkable
class HasReadings(Protocol):
    """What an encoder also needs for several readings."""

    def with_token_prepending(self, span: tuple[int, int] | None) -> Encoder:
        """Return an encoder with the same weights and token prepending on other layers (None: off)."""


def ideal_seconds(encoder: Encoder, lengths: list[int]) -> float | None:
    """As :class:`HasCeiling`; None for an encoder without it."""
    return encoder.ideal_seconds(lengths) if isinstance(encoder, HasCeiling) else None
