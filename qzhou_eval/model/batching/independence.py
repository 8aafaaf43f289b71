"""Test that prompts in a batch are independent of each other: a trial of a few short ones with the loaded weights.

A leak shows in two ways, and both are tested. If one prompt's tokens are changed and everything else stays the same,
the other prompts' vectors must stay bit-identical, in any precision. And each vector must equal that of its prompt
alone, up to the precision: this finds effects that depend not on the others' tokens but on their length, padding or
position.
"""

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

LENGTHS = (17, 9, 9, 2)  # tokens after those that all prompts begin with; longest first, as in planned batches
CHANGED = 2  # the changed prompt: it has longer, equal and shorter neighbours, on both sides

# The largest |found - alone| / |alone| allowed for a vector. In float32, correct ways agree to about 1e-6; in half
# precision, two correct ways through many layers agree to a few hundredths, see docs/decoders.md.
ALONE = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}
# The same for a changed prompt where experts are routed: the shapes of an expert's products change with the prompt.
ROUTED = {torch.float32: 1e-6, torch.float16: 0.02, torch.bfloat16: 0.1}


def trial_prompts(head: array, vocabulary: int, max_length: int) -> tuple[list[array], list[array]]:
    """Return a few sequences of arbitrary tokens after ``head``, up to ``max_length`` long; also with one changed."""
    lengths = [min(n, max(1, max_length - len(head))) for n in LENGTHS]
    prompts = [head + array("I", [(7 + 31 * (n + k)) % vocabulary for k in range(n)]) for n in lengths]
    other = head + array("I", [(token + 5) % vocabulary for token in prompts[CHANGED][len(head) :]])
    return prompts, [other if row == CHANGED else prompt for row, prompt in enumerate(prompts)]


def leak(
    encode: Callable[[list[array]], torch.Tensor],
    *,
    prompts: tuple[list[array], list[array]],
    alone: torch.Tensor,
    dtype: torch.dtype,
    routed: bool,
) -> str | None:
    """Say how prompts affect each other's vectors, or return None if they do not.

    Args:
        encode: turns prompts into vectors (n, width) in the way under trial.
        prompts: from :func:`trial_prompts`.
        alone: vectors (n, width) of the unchanged prompts, each encoded in a batch of its own.
        dtype: the dtype in which the decoder computes; vectors may have another.
        routed: whether the decoder routes tokens to experts.
    """
    if not alone.isfinite().all():
        return None  # nothing can be compared; such vectors are refused when they are stored
    found, beside = (encode(some) for some in prompts)
    others = [row for row in range(len(found)) if row != CHANGED]
    change = _apart(beside[others], found[others])
    if change > (ROUTED[dtype] if routed else 0):
        return f"a prompt changes the vectors of others by {change:.1e}"
    change = _apart(found, alone)
    if not change <= ALONE[dtype]:
        return f"a prompt's vector among others differs from its vector alone by {change:.1e}"
    return None


def routes_experts(config: "PreTrainedConfig") -> bool:
    """Whether a decoder's configuration names experts."""
    counts = (value for name, value in vars(config).items() if "expert" in name and not isinstance(value, bool))
    return any(isinstance(value, int) and value > 1 for value in counts)


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest relative distance between two vectors in the same row; exactly 0 if all are the same."""
    found, expected = found.double(), expected.double()
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1).clamp(min=1e-30)).max())
