"""Readings: the ways in which one loaded model reads the same prompts, token prepending here or there or nowhere.

They share weights, prompts and token ids; each has its own vectors. Knows no prompt and no task.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qzhou_eval.encode.encoder import Encoder
from qzhou_eval.model.settings import layers_text
from qzhou_eval.results.variant import Variant


@dataclass(frozen=True)
class Reading:
    """One reading.

    Attributes:
        token_prepending: its layers (0-based, both included), or None.
        variants: what its results are called, one for each dimension.
        identity: all that, with the prompt, decides a vector.
        provenance: what the manifest notes of model and profile.
    """

    token_prepending: tuple[int, int] | None
    variants: list[Variant]
    identity: dict
    provenance: dict

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the identity, under which its vectors lie."""
        return self.variants[0].fingerprint

    @property
    def name(self) -> str:
        """What it is called beside others."""
        return f"TP {layers_text(self.token_prepending)}"


def encoders(encoder, readings: Iterable[Reading]) -> dict[str, Encoder]:
    """An encoder for each reading, by its fingerprint, all with the loaded weights of the first one's.

    Raises:
        BadInput: the model cannot be read in one of these ways.
    """
    first, *others = readings
    encoder.ideal_seconds([])  # the ceiling is measured once, before a clock runs; the others have the same
    found = {other.fingerprint: encoder.with_token_prepending(other.token_prepending) for other in others}
    return {first.fingerprint: encoder} | found
