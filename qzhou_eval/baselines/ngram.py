"""The baseline that a trained model must beat: hashed character n-grams, no training at all.

For every character n-gram (n = 1, 2, 3) of the text without white space, CRC-32 picks one of 256
components and, by its bit 16, the sign.
"""

import zlib
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from qzhou_eval.environment import versions
from qzhou_eval.model.tokens import Tokenized

if TYPE_CHECKING:
    from qzhou_eval.model.forward import Encoded

WIDTH = 256


def vector(text: str) -> np.ndarray:
    """float32 (256,), not normalised; the first unit vector if nothing is left."""
    letters = "".join(text.split())
    result = np.zeros(WIDTH, np.float32)
    for n in (1, 2, 3):
        for start in range(len(letters) - n + 1):
            code = zlib.crc32(letters[start : start + n].encode())
            result[code % WIDTH] += 1.0 if code >> 16 & 1 else -1.0
    if not result.any():
        result[0] = 1.0
    return result


class CharNgram:
    """Tokenizer and encoder in one, as :class:`qzhou_eval.config.Run` wants them; a token is a character."""

    made_with: ClassVar = {"versions": versions(("numpy", "torch"))}

    def __call__(self, prompts: list[str]) -> list[Tokenized]:
        return [Tokenized(array("I", map(ord, prompt)), cut=False) for prompt in prompts]

    def stream(self, tokenized: list[Tokenized]) -> Iterator["Encoded"]:
        import torch

        from qzhou_eval.model.forward import Encoded

        texts = ["".join(map(chr, t.ids)) for t in tokenized]
        vectors = torch.from_numpy(np.stack([vector(text) for text in texts]))
        yield Encoded(list(range(len(texts))), vectors, forwarded=sum(map(len, texts)))

    def ideal_seconds(self, lengths: list[int]) -> None:
        """No matrix products to measure."""
