"""Is a loaded model a causal decoder? A forward pass tells, whatever its configuration says."""

import torch
from torch import nn

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.architecture import SUPPORTED
from qzhou_eval.model.streams import current

_TOKENS = 12
_CHANGED = 4  # the tokens from here on are other ones in the second row
_TOLERANCE = 1e-4  # of the largest component; equal states are equal bit by bit, but for routed experts


def check_causal(model: nn.Module, folder: object) -> None:
    """Refuse a model in which a token's state depends on the tokens behind it.

    Raises:
        BadInput: it does, or the model does not take token ids and give hidden states.
    """
    device = next(model.parameters()).device
    row = torch.arange(5, 5 + 3 * _TOKENS, 3)
    other = torch.cat([row[:_CHANGED], row[_CHANGED:] + 1])
    name = type(model).__name__
    try:
        vocabulary = model.get_input_embeddings().num_embeddings
        with current(str(device)), torch.inference_mode():
            one, two = (
                model(input_ids=ids[None].remainder(vocabulary).to(device), use_cache=False)
                .last_hidden_state[0, :_CHANGED]
                .float()
                for ids in (row, other)
            )
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{folder}: {name} does not make states of token ids ({reason}); {SUPPORTED}") from None
    if (one - two).abs().max() > _TOLERANCE * one.abs().max():
        raise BadInput(
            f"{folder}: {name} sees both directions: a token's state depends on those behind it; {SUPPORTED}"
        )
