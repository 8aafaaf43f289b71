"""How vectors were made, apart from the settings: kernels, batches and device; and which flags ask for another way."""

from collections.abc import Iterable

from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.results.entries import MadeWith


def batch_plan(batch_tokens: int) -> str:
    """Describe how batches are made, as it is recorded."""
    return f"longest first, up to {batch_tokens} tokens"


def flags_that_differ(asked: EncoderOptions, made_with: Iterable[MadeWith]) -> list[str]:
    """List the flags that ask for something other than how recorded vectors were made, each with what was recorded.

    Args:
        made_with: records as returned by :attr:`~qzhou_eval.model.embedder.Embedder.made_with`; a field missing from
            a record never counts as different.
    """
    found: dict[str, None] = {}
    for made in made_with:
        attention, plan, device = made.get("attention", ""), made.get("batch_plan", ""), made.get("device", "")
        if attention and asked.attention != "auto" and not attention.startswith(asked.attention):
            found[f"--attention {asked.attention} (made with {attention})"] = None
        if attention and asked.compile and not attention.endswith("compiled"):
            found[f"--compile (made with {attention})"] = None
        if plan and asked.batch_tokens is not None and plan != batch_plan(asked.batch_tokens):
            found[f"--batch_tokens {asked.batch_tokens} (made with {plan})"] = None
        if device and asked.device != "auto" and device.partition(":")[0] != asked.device.partition(":")[0]:
            found[f"--device {asked.device} (made on {device})"] = None
    return list(found)
