"""The smallest encoder: hashed character n-grams. The example to copy, and the baseline any trained model must beat.

For every character n-gram (n = 1, 2, 3) of the text without white space, CRC-32 picks one of 256
components and, by its bit 16, the sign.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from qzhou_eval.encode.encoder import Encoded, PreparedText
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.results.entries import MadeWith
from qzhou_eval.results.variant import Variant
from qzhou_eval.system.digests import sha256_of_json
from qzhou_eval.system.environment import versions

WIDTH = 256
LONGEST = 3
_STEPS = np.array([zlib.crc32(bytes([byte ^ 0xFF])) ^ 0xFF000000 for byte in range(256)], np.uint32)  # CRC-32's table
_TEXTS = 2048  # counted at once


def variant() -> Variant:
    """What results of this encoder are filed as: plain texts."""
    profile = load_profile("plain")
    return Variant(
        model="local/char-ngram",
        revision="1",
        dim=WIDTH,
        width=WIDTH,
        profile=profile.name,
        profile_digest=profile.digest,
        fingerprint=sha256_of_json(CharNgram.identity),
        token_prepending=None,
        normalize=True,
        use_instruction=False,
        max_length=profile.max_length,
        truncate="whole",
        dtype="float32",
        experiment=(),
    )


def vectors(texts: list[str]) -> np.ndarray:
    """Return float32 (n, 256), not normalised; a text whose vector would be zero gets the first unit vector."""
    result = np.zeros((len(texts), WIDTH), np.float32)
    for start in range(0, len(texts), _TEXTS):
        result[start : start + _TEXTS] = _counted(["".join(text.split()) for text in texts[start : start + _TEXTS]])
    result[~result.any(axis=1), 0] = 1.0
    return result


def _counted(texts: list[str]) -> np.ndarray:
    """Add every n-gram's sign to its component; return float64 (texts, 256)."""
    text_of = np.repeat(np.arange(len(texts)), list(map(len, texts)))
    total = np.zeros(len(texts) * WIDTH)
    for n, of_all in enumerate(_codes("".join(texts)), start=1):
        inside = text_of[: len(of_all)] == text_of[n - 1 :]
        codes, at = of_all[inside], text_of[: len(of_all)][inside] * WIDTH
        total += np.bincount(at + codes % WIDTH, np.where(codes >> 16 & 1, 1.0, -1.0), len(total))
    return total.reshape(len(texts), WIDTH)


def _codes(text: str) -> Iterator[np.ndarray]:
    """Yield for n = 1, 2, 3 the CRC-32 of each n-gram's UTF-8, uint32, in order, continuing that of the shorter one."""
    data = np.frombuffer(text.encode(), np.uint8)
    starts = np.flatnonzero(data & 0xC0 != 0x80)  # a character's other bytes begin with the bits 10
    sizes = np.diff(starts, append=len(data))
    state = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    for n in range(min(LONGEST, len(starts))):
        state = state[: len(starts) - n]
        for place in range(sizes[n:].max()):
            more = sizes[n:] > place
            byte = data[starts[n:][more] + place]
            state[more] = _STEPS[state[more] & 0xFF ^ byte] ^ state[more] >> 8
        yield ~state


class CharNgram:
    """The encoder, as ``--encoder`` expects it; a token is a character."""

    identity: ClassVar[Mapping[str, object]] = {"encoder": "character n-grams", "width": WIDTH}
    width: ClassVar[int] = WIDTH
    made_with: ClassVar[MadeWith] = {"versions": versions(("numpy", "torch"))}

    def prepare(self, prompts: list[str]) -> list[PreparedText]:
        return [PreparedText(prompt, size=len(prompt)) for prompt in prompts]

    def stream(self, prepared: Sequence[PreparedText]) -> Iterator[Encoded]:
        import torch

        found = torch.from_numpy(vectors([prompt.text for prompt in prepared]))
        yield Encoded(list(range(len(prepared))), found, forwarded=sum(prompt.size for prompt in prepared))
