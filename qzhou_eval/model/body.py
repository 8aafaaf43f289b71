"""A loaded transformer: makes batches in the form that it takes, and computes their last layer's states."""

import inspect
from array import array
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch import nn

from qzhou_eval.errors import BadInput
from qzhou_eval.model import family
from qzhou_eval.model.batching.attention import packed_attention, packed_inputs
from qzhou_eval.model.batching.batches import ONE_LENGTH, PACKED, Batch, pack, pad
from qzhou_eval.model.direction import needs_mask
from qzhou_eval.model.token_prepending import PrependedLayers, TokenPositions, prepending
from qzhou_eval.system.options import option

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Body:
    """A transformer with attention in the direction that is asked for.

    Args:
        own_code: whether the model is the checkpoint's own code, which runs as it is.
        both_ways: whether a token attends to those after it too; a decoder's causal mask is then replaced.

    Attributes:
        layers: the model's layers, or None if they cannot be found or must not be changed.

    Raises:
        BadInput: a token attends to others than it should.
    """

    def __init__(self, model: "PreTrainedModel", *, device: str, own_code: bool, both_ways: bool) -> None:
        self.model = model
        self.device = device
        self.own_code = own_code
        self.both_ways = both_ways
        self.layers = None if own_code else _layers(model)
        self._takes = inspect.signature(model.forward).parameters
        self._padding = family.padding_before_positions(model)
        self._masked = False
        if not own_code:
            self._masked = needs_mask(model, self._of_one, both_ways=both_ways, named=self.name)

    @property
    def name(self) -> str:
        return f"model type {self.model.config.model_type!r} ({type(self.model).__name__})"

    @property
    def place(self) -> tuple[torch.device, torch.dtype]:
        """Device and dtype of the weights."""
        weight = next(self.model.parameters())
        return weight.device, weight.dtype

    def obstacle(self, way: str, max_length: int) -> str | None:
        """Return why prompts of up to ``max_length`` tokens may not share batches in the given way, or None."""
        if self._masked and (fault := family.windowed(self.model.config.get_text_config(decoder=True), max_length)):
            return fault
        return family.obstacle(self.model, way, max_length, own_code=self.own_code)

    def batch(self, way: str, rows: list[int], sequences: list[array]) -> Batch:
        """Make a batch of some of the token sequences."""
        if way == PACKED:
            return pack(rows, sequences, padding=self._padding)
        return pad(rows, sequences, left=not self.both_ways, padding=self._padding)

    def states(self, way: str, batch: Batch, prepended: PrependedLayers | None = None) -> torch.Tensor:
        """Compute the last layer's states (rows, columns, size) of a batch on the model's device.

        Args:
            prepended: the layers with token prepending, or None.
        """
        with ExitStack() as changed:
            if way == PACKED:
                changed.enter_context(packed_attention(self.model, both_ways=self.both_ways))
            if prepended is not None:
                (row, first), last = batch.first, (batch.last[0], batch.last[1])
                places = TokenPositions(len(batch.ids), placeholder=(row, first + prepended.placeholder), last=last)
                changed.enter_context(prepending(self.to_prepend(prepended.first, prepended.last), places))
            inputs = self._inputs(batch, counted=way == ONE_LENGTH, masked=self._masked)
            return self.model(**inputs).last_hidden_state

    def to_prepend(self, first: int, last: int) -> nn.ModuleList:
        """The layers from ``first`` to ``last``, both included.

        Raises:
            BadInput: the layers cannot be found.
        """
        if self.layers is None:
            off = option("token_prepending", "off")
            raise BadInput(f"{self.name}: token prepending cannot find its list of layers; give {off}")
        return self.layers[first : last + 1]

    def compile(self) -> None:
        """Compile the layers, for any number of tokens.

        Raises:
            BadInput: they cannot be found.
        """
        if self.layers is None:
            flag = option("compile", True)
            raise BadInput(f"{flag}: {self.name} has no list of layers to compile; drop it")
        for layer in self.layers:
            layer.compile(dynamic=True)

    def _of_one(self, ids: torch.Tensor, masked: bool) -> torch.Tensor:
        batch = pad([0], [array("I", ids[0].tolist())]).to(self.device)
        return self.model(**self._inputs(batch, counted=True, masked=masked)).last_hidden_state

    def _inputs(self, batch: Batch, *, counted: bool, masked: bool) -> dict[str, torch.Tensor | int]:
        """The model's keyword arguments; ``counted``: it counts positions itself, as it can without padding."""
        inputs: dict[str, torch.Tensor | int] = {"input_ids": batch.ids, "use_cache": False}
        if not counted:
            inputs["position_ids"] = batch.positions
        if getattr(self.model.config, "type_vocab_size", None):
            inputs["token_type_ids"] = torch.zeros_like(batch.ids)
        if batch.mask is not None:
            inputs["attention_mask"] = family.both_ways_mask(batch.mask, self.place[1]) if masked else batch.mask
        packed = {} if batch.starts is None else packed_inputs(batch.starts, batch.longest)
        return {name: value for name, value in inputs.items() if name in self._takes} | packed


def _layers(model: "PreTrainedModel") -> nn.ModuleList | None:
    try:
        return family.decoder_layers(model)
    except (ValueError, AttributeError):
        return None
