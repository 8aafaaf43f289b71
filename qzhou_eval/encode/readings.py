"""Readings: one loaded model reads the same prompts with token prepending on different layers, or on none.

They share weights, prompts and token ids; each has its own vectors. Does not depend on prompts or tasks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qzhou_eval.encode.encoder import Encoder, HasReadings, ideal_seconds
from qzhou_eval.results.entries import Provenance
from qzhou_eval.results.variant import Variant
from qzhou_eval.system.formatting import layers_text


@dataclass(frozen=True)
class Reading:
    """One reading.

    Attributes:
        token_prepending: its layers (0-based, both included), or None.
        variants: what its results are filed as, one per dimension.
        identity: everything except the prompt that decides a vector.
        provenance: what the manifest records about model and profile.
    """

    token_prepending: tuple[int, int] | None
    variants: list[Variant]
    identity: dict[str, object]
    provenance: Provenance

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the identity, under which its vectors are stored."""
        return self.variants[0].fingerprint

    @property
    def name(self) -> str:
        """Its name among several readings."""
        return f"TP {layers_text(self.token_prepending)}"


def encoders(encoder: Encoder, readings: Iterable[Reading]) -> dict[str, Encoder]:
    """Return an encoder for each reading, by its fingerprint; all share the weights that the first one has loaded.

    Raises:
        BadInput: the model does not support one of the readings.
        TypeError: the encoder has only one reading, but there are several.
    """
    first, *others = readings
    ideal_seconds(encoder, [])  # the ceiling is measured once, before anything is timed; the others share it
    if not others:
        return {first.fingerprint: encoder}
    if not isinstance(encoder, HasReadings):
        raise TypeError(f"{type(encoder).__name__} has only one reading")
    found = {other.fingerprint: encoder.with_token_prepending(other.token_prepending) for other in others}
    return {first.fingerprint: encoder} | found
