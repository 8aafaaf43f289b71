"""Check with a forward pass which tokens a token attends to, whatever the model's configuration says."""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch

from qzhou_eval.errors import BadInput
from qzhou_eval.model.streams import current

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOKENS = 12
_CHANGED = 4  # from this token on, the second row has different tokens
_TOLERANCE = 1e-4  # relative to the largest component; equal states are bit-identical except with routed experts


def needs_mask(
    model: "PreTrainedModel", states: Callable[[torch.Tensor, bool], torch.Tensor], *, both_ways: bool, named: str
) -> bool:
    """Return whether a model attends both ways, as it should, only if its causal mask is replaced.

    Args:
        states: turns token ids (1, n), on the model's device, into the last layer's states (1, n, size), with the
            model's own mask or, if the second argument is true, with one that hides nothing.
        both_ways: whether a token should attend to those after it too.
        named: how messages name the model.

    Raises:
        BadInput: a token attends to others than it should, or the model does not turn token ids into hidden states.
    """
    seen = _sees_later_tokens(model, lambda ids: states(ids, False), named=named)
    if seen and not both_ways:
        raise BadInput(
            f"{named} is not causal: a token's state depends on later tokens, which its configuration does not say; "
            "give a profile with attention: bidirectional"
        )
    if seen == both_ways:
        return False
    if not _sees_later_tokens(model, lambda ids: states(ids, True), named=named):
        raise BadInput(f"{named} cannot attend both ways: a token's state never depends on later tokens")
    return True


def _sees_later_tokens(model: "PreTrainedModel", states: Callable[[torch.Tensor], torch.Tensor], *, named: str) -> bool:
    row = torch.arange(5, 5 + 3 * _TOKENS, 3)
    other = torch.cat([row[:_CHANGED], row[_CHANGED:] + 1])
    try:
        vocabulary = cast(int, model.get_input_embeddings().num_embeddings)  # typed as a part of any nn.Module
        with current(str(model.device)), torch.inference_mode():
            one, two = (
                states(ids[None].remainder(vocabulary).to(model.device))[0, :_CHANGED].float() for ids in (row, other)
            )
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{named} does not turn token ids into hidden states ({reason})") from None
    return bool((one - two).abs().max() > _TOLERANCE * one.abs().max())
