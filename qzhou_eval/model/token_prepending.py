"""Token prepending: let early tokens of a causal decoder see the whole sentence.

Before each decoder layer of a range, the hidden state at the placeholder is replaced by the
hidden state of the sequence's last token (Fu et al., "Token Prepending", ACL 2025). It adds no
parameters, needs no training, and does not depend on prompts, tokenizers or checkpoints.

Layers are 0-based and the range is inclusive: ``1..7`` changes the inputs of ``layers[1]`` to
``layers[7]`` and never of ``layers[0]``. This is what the card of QZhou-Embedding-Zh means by "from
layer-1 to layer-7 (index)". The reference code of Fu et al. treats its exiting index as
exclusive, so the same two numbers there mean layers 1 to 6.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import nn

from qzhou_eval.model.family import decoder_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def check_range(first_layer: int, last_layer: int, depth: int) -> None:
    """Refuse a layer range that does not lie within a decoder of ``depth`` layers.

    Raises:
        ValueError: the range is empty, negative, or reaches beyond the last layer.
    """
    if not 0 <= first_layer <= last_layer < depth:
        raise ValueError(
            f"token prepending on layers {first_layer}-{last_layer}: "
            f"the model has layers 0 to {depth - 1} (0-based, both ends included)"
        )


@contextmanager
def token_prepending(
    model: "PreTrainedModel",
    *,
    placeholder_positions: torch.Tensor,
    last_positions: torch.Tensor,
    first_layer: int = 1,
    last_layer: int = 7,
) -> Iterator[None]:
    """Within the block, every forward pass of ``model`` uses token prepending; after it, the model is as before.

    Works under ``torch.no_grad``, autograd and ``torch.compile`` (even if the model was compiled before the block).
    Not safe for two threads that share one model.

    Args:
        model: any Hugging Face decoder, with or without its LM head.
        placeholder_positions: integer tensor (batch,), the column of each sequence's placeholder
            in the padded batch.
        last_positions: integer tensor (batch,), the column of each sequence's last token.
        first_layer: first decoder layer (0-based) whose input is changed.
        last_layer: last decoder layer whose input is changed, inclusive.

    Raises:
        ValueError: the layer range does not fit the model, the positions are not two non-negative integer tensors of
            the same shape (batch,), a batch has a different number of rows, or the block is nested in another one
            of the same model.
    """
    layers = decoder_layers(model)
    check_range(first_layer, last_layer, len(layers))
    _check_positions(placeholder_positions, last_positions)
    rows = torch.arange(len(last_positions), device=last_positions.device)
    places = TokenPositions(rows=len(rows), placeholder=(rows, placeholder_positions), last=(rows, last_positions))
    with prepending(layers[first_layer : last_layer + 1], places):
        yield


@dataclass(frozen=True)
class TokenPositions:
    """Positions of placeholders and last tokens in hidden states of ``rows`` rows: tensors (n,) of rows and columns.

    All tensors are integer. A packed batch has one row, which holds n sequences; a padded one has a row per sequence.
    """

    rows: int
    placeholder: tuple[torch.Tensor, torch.Tensor]
    last: tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class PrependedLayers:
    """The layers whose input token prepending changes, and the placeholder's position in each prompt.

    Layers are counted from 0, both ends included.
    """

    first: int
    last: int
    placeholder: int


@contextmanager
def prepending(layers: Iterable[nn.Module], places: TokenPositions) -> Iterator[None]:
    """Like :func:`token_prepending`, on given layers and places; unchecked, since reading them would wait for a GPU.

    Raises:
        ValueError: a batch has a different number of rows, or the block is nested in another one of the same layers.
    """
    changed: list[tuple[nn.Module, type]] = []
    try:
        for layer in layers:
            if isinstance(layer, _Prepending):
                raise ValueError("token prepending is already active in this model")
            vars(layer)["_token_prepending"] = places
            own_class: type = type(layer)
            changed.append((layer, own_class))
            layer.__class__ = _prepending(own_class)
        yield
    finally:
        for layer, own_class in changed:
            layer.__class__ = own_class
            del vars(layer)["_token_prepending"]


class _Prepending(nn.Module):
    """Mixin placed before a decoder layer's class: replaces the placeholder's row, then calls the layer.

    A class rather than a hook: compiled code guards on a module's type, but would silently ignore a hook
    that was set after compilation.
    """

    _token_prepending: TokenPositions

    def __call__(self, *args, **kwargs):
        places = self._token_prepending
        hidden = args[0] if args else kwargs["hidden_states"]
        if hidden.shape[0] != places.rows:
            raise ValueError(
                f"token prepending: positions of {places.rows} sequences, but {hidden.shape[0]} in the batch"
            )
        hidden = hidden.index_put(places.placeholder, hidden[places.last])
        if args:
            return super().__call__(hidden, *args[1:], **kwargs)
        return super().__call__(**kwargs | {"hidden_states": hidden})


@cache
def _prepending(layer_class: type) -> type:
    return type(layer_class.__name__, (_Prepending, layer_class), {})


def _check_positions(placeholder: torch.Tensor, last: torch.Tensor) -> None:
    for name, positions in (("placeholder_positions", placeholder), ("last_positions", last)):
        whole = not (positions.is_floating_point() or positions.dtype == torch.bool)
        if positions.ndim != 1 or not whole or positions.shape != last.shape:
            raise ValueError(f"{name} must be an integer tensor of shape (batch,)")
        if (positions < 0).any():
            raise ValueError(f"{name} must count from the batch's first column: no negative positions")
