"""Whether prompts of one batch leave each other alone: tried on a few short ones with the loaded weights.

A leak shows in two ways, and both are asked. One prompt's tokens are changed, everything else stays as it is: the
vectors of the others must stay the same bit by bit, in any precision. And each vector must be that of its prompt alone,
as far as the precision goes: that finds what does not depend on the others' tokens but on their length, padding or
place.
"""

from array import array
from collections.abc import Callable

import torch

LENGTHS = (17, 9, 9, 2)  # tokens behind those that all prompts begin with, longest first, as prompts are planned
CHANGED = 2  # the changed one: longer, equal and shorter ones stand beside it, on both sides

# The largest |found - alone| / |alone| of a vector. In float32 right ways agree to about 1e-6; in half precision two
# right ways through many layers agree to a few hundredths, see docs/decoders.md.
ALONE = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}
# The same where experts are routed and a prompt is changed: products of an expert's rows change their shape with it.
ROUTED = {torch.float32: 1e-6, torch.float16: 0.02, torch.bfloat16: 0.1}


def trial_prompts(head: array, vocabulary: int, max_length: int) -> tuple[list[array], list[array]]:
    """A few sequences of arbitrary tokens behind ``head``, at most ``max_length`` long; the same with one changed."""
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
    """What one sees of prompts that do not leave each other alone, or None.

    Args:
        encode: prompts to vectors (n, width), by the way that is tried.
        prompts: those of :func:`trial_prompts`.
        alone: vectors (n, width) of the first of them, each in a batch of its own.
        dtype: in which the decoder computes; vectors may come in another.
        routed: the decoder routes tokens to experts.
    """
    if not alone.isfinite().all():
        return None  # nothing can be compared; such vectors are refused where they are stored
    found, beside = (encode(some) for some in prompts)
    others = [row for row in range(len(found)) if row != CHANGED]
    change = _apart(beside[others], found[others])
    if change > (ROUTED[dtype] if routed else 0):
        return f"a prompt changes the vectors of others by {change:.1e}"
    change = _apart(found, alone)
    if not change <= ALONE[dtype]:
        return f"a prompt among others has another vector than alone, by {change:.1e}"
    return None


def routes_experts(config) -> bool:
    """Whether a decoder's configuration names experts."""
    counts = (value for name, value in vars(config).items() if "expert" in name and not isinstance(value, bool))
    return any(isinstance(value, int) and value > 1 for value in counts)


def _apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest relative distance of two vectors in the same row; exactly 0 where all are the same."""
    found, expected = found.double(), expected.double()
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1).clamp(min=1e-30)).max())
