"""Check with a forward pass that a loaded model is a causal decoder, whatever its configuration says."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.config_file import SUPPORTED
from qzhou_eval.model.streams import current

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOKENS = 12
_CHANGED = 4  # from this token on, the second row has different tokens
_TOLERANCE = 1e-4  # relative to the largest component; equal states are bit-identical except with routed experts


def check_causal(model: "PreTrainedModel", folder: Path) -> None:
    """Refuse a model in which a token's state depends on later tokens.

    Raises:
        BadInput: it does, or the model does not turn token ids into hidden states.
    """
    device = next(model.parameters()).device
    row = torch.arange(5, 5 + 3 * _TOKENS, 3)
    other = torch.cat([row[:_CHANGED], row[_CHANGED:] + 1])
    name = type(model).__name__
    try:
        vocabulary = cast(int, model.get_input_embeddings().num_embeddings)  # typed as a part of any nn.Module
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
        raise BadInput(f"{folder}: {name} does not turn token ids into hidden states ({reason}); {SUPPORTED}") from None
    if (one - two).abs().max() > _TOLERANCE * one.abs().max():
        raise BadInput(f"{folder}: {name} is not causal: a token's state depends on later tokens; {SUPPORTED}")
