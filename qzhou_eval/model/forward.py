"""Run batches through decoder and projection: packed, padded or of one length, whichever keeps prompts independent."""

import inspect
import logging
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from qzhou_eval.errors import BadInput
from qzhou_eval.model.batching.attention import kernel, packed_attention, packed_inputs
from qzhou_eval.model.batching.batches import ONE_LENGTH, PACKED, WAYS, Batch, pack, pad, plan, prefetch
from qzhou_eval.model.batching.independence import leak, routes_experts, trial_prompts
from qzhou_eval.model.decoder_family import decoder_layers, obstacle
from qzhou_eval.model.pooling import pool
from qzhou_eval.model.streams import current, start_copy
from qzhou_eval.model.token_prepending import PrependedLayers, TokenPositions, prepending
from qzhou_eval.system.options import option

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoded:
    """Vectors (b, width) of some prompts, on CPU in the model's dtype; ``forwarded`` counts padding too."""

    rows: list[int]
    vectors: torch.Tensor
    forwarded: int


class Forward:
    """A loaded decoder with its projection, and the way in which batches go through it.

    The way is the fastest of :data:`~qzhou_eval.model.batching.batches.WAYS` in which, in a trial with these weights,
    no vector depends on its neighbours; token prepending is part of the trial.

    Args:
        max_length: tokens of the longest prompt to expect.
        attention: ``packed``, ``padded``, or ``auto``: the fastest way that works with the decoder.
        own_code: whether the decoder is the checkpoint's own code, which runs as it is.
        span: first and last layer (0-based, both included) with token prepending, or None.
        head: the tokens that all prompts begin with, up to the placeholder; None if there is none.

    Attributes:
        way: how its prompts share batches.
        attention: the way and its kernel, for the manifest.
        width: components of a vector.
        layers: the decoder's layers, or None if they cannot be found or must not be changed.

    Raises:
        BadInput: the decoder does not run at all, with token prepending, or in the way that is asked for; or no way
            keeps its prompts independent.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        projection: nn.Linear | None,
        *,
        device: str,
        max_length: int,
        attention: str = "auto",
        own_code: bool = False,
        span: tuple[int, int] | None = None,
        head: array | None = None,
    ) -> None:
        self.model = model
        self.projection = projection
        self.device = device
        self.max_length = max_length
        self.way = ONE_LENGTH
        self.own_code = own_code
        self.layers = None if own_code else _layers(model)
        if span is not None:
            self._to_prepend(*span)
        self._fits: int | None = None
        self._takes = inspect.signature(model.forward).parameters
        self._choose(attention, span, head or array("I"))
        dense = model.config._attn_implementation
        self.attention = f"{self.way}, {kernel(*self._place()) if self.way == PACKED else dense}"

    def __call__(self, batch: Batch, prepended: PrependedLayers | None = None) -> torch.Tensor:
        """Compute the vectors (n, width) of a batch, in the model's dtype, on its device, without waiting for a GPU.

        Args:
            prepended: the layers with token prepending, or None.
        """
        with current(self.device), torch.inference_mode(), ExitStack() as changed:
            batch = batch.to(self.device)
            if self.way == PACKED:
                changed.enter_context(packed_attention(self.model))
            if prepended is not None:
                (row, first), last = batch.first, (batch.last[0], batch.last[1])
                places = TokenPositions(len(batch.ids), placeholder=(row, first + prepended.placeholder), last=last)
                changed.enter_context(prepending(self._to_prepend(prepended.first, prepended.last), places))
            hidden = self.model(**self._inputs(batch)).last_hidden_state
            pooled = pool(hidden, batch.last)
            return pooled if self.projection is None else self.projection(pooled)

    def stream(
        self,
        sequences: list[array],
        batch_tokens: int,
        *,
        prepended: PrependedLayers | None = None,
    ) -> Iterator[Encoded]:
        """Yield the vectors of all token sequences that are not empty, batch by batch.

        The next batch is made in another thread and started before the vectors of the previous one are waited for.

        Raises:
            torch.OutOfMemoryError: a single prompt does not fit on the device.
        """
        rows = plan([len(ids) for ids in sequences], batch_tokens, self.way)
        waiting = None
        for batch in prefetch(self.batch(some, sequences) for some in rows):
            for started in self._start(batch, sequences, prepended):
                if waiting is not None:
                    yield _arrived(*waiting)
                waiting = started
        if waiting is not None:
            yield _arrived(*waiting)

    def _start(
        self, batch: Batch, sequences: list[array], prepended: PrependedLayers | None
    ) -> Iterator[tuple[Batch, Callable[[], torch.Tensor]]]:
        """Start a batch; if it does not fit on the device, start its halves, and split later batches likewise."""
        started = None
        if batch.tokens <= self.limit(batch.tokens) or len(batch.rows) == 1:
            try:
                started = batch, start_copy(self(batch, prepended))
            except torch.OutOfMemoryError:
                if len(batch.rows) == 1:
                    raise torch.OutOfMemoryError(f"a single prompt of {batch.longest} tokens does not fit") from None
        if started is not None:
            yield started
            return
        if batch.tokens <= self.limit(batch.tokens):  # outside the handler, whose traceback would keep the tensors
            self._lower_limit(batch.tokens)
        lengths = [len(sequences[row]) for row in batch.rows]
        for part in plan(lengths, self.limit(batch.tokens), self.way):
            yield from self._start(self.batch([batch.rows[i] for i in part], sequences), sequences, prepended)

    def limit(self, batch_tokens: int) -> int:
        """The tokens that fit on the device, as far as known: ``batch_tokens``, or fewer if that many did not fit."""
        return batch_tokens if self._fits is None else min(batch_tokens, self._fits)

    def _lower_limit(self, tokens: int) -> None:
        self._fits = tokens // 2
        log.warning(
            "the device is out of memory at %d tokens in a batch; continuing with at most %d", tokens, self._fits
        )
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def batch(self, rows: list[int], sequences: list[array]) -> Batch:
        """Make a batch of some of the token sequences, in the form that this decoder takes."""
        return (pack if self.way == PACKED else pad)(rows, sequences)

    def compile(self) -> None:
        """Compile the decoder's layers, for any number of tokens.

        Raises:
            BadInput: they cannot be found.
        """
        if self.layers is None:
            flag = option("compile", True)
            raise BadInput(f"{flag}: {self._name} has no list of layers to compile; drop it")
        for layer in self.layers:
            layer.compile(dynamic=True)

    def check(self, span: tuple[int, int] | None, head: array) -> None:
        """Repeat the trial in the chosen way, with token prepending on other layers.

        Raises:
            BadInput: prompts are then not independent.
        """
        if span is not None:
            self._to_prepend(*span)
        trial = self._trial(span, head)
        if found := trial(self.way):
            raise BadInput(f"{self._name}: token prepending on layers {span} is not possible here: {found}")

    def _choose(self, attention: str, span: tuple[int, int] | None, head: array) -> None:
        """Choose the first way in which prompts are independent."""
        trial = self._trial(span, head)
        faults: dict[str, str] = {}
        for way in WAYS if attention == "auto" else (attention,):
            fault = obstacle(self.model, way, self.max_length, own_code=self.own_code)
            if fault is None and (fault := trial(way)) is None:
                self.way = way
                if faults:
                    log.warning("batches are %s (%s)", way, "; ".join(f"not {w}: {f}" for w, f in faults.items()))
                return
            faults[way] = fault
        if attention != "auto":
            raise BadInput(f"{option('attention', attention)}: {faults[attention]}; use {option('attention', 'auto')}")
        raise BadInput(
            f"{self._name}: its prompts cannot be kept independent: {'; '.join(map(': '.join, faults.items()))}"
        )

    def _trial(self, span: tuple[int, int] | None, head: array) -> Callable[[str], str | None]:
        """Run a few prompts alone; the returned function says why a way would not keep prompts independent, or None."""
        config = self.model.config.get_text_config(decoder=True)
        prompts = trial_prompts(head, config.vocab_size, self.max_length)
        prepended = None if span is None else PrependedLayers(*span, placeholder=len(head) - 1)
        judge = partial(leak, prompts=prompts, dtype=self._place()[1], routed=routes_experts(config))
        tried = copy(self)
        tried.way = ONE_LENGTH
        try:
            alone = torch.cat([tried(pad([0], [ids]), prepended) for ids in prompts[0]])
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise BadInput(f"{self._name}: it does not run here ({_line(error)})") from error
        self.width = alone.shape[1]

        def trial(way: str) -> str | None:
            tried.way = way
            try:
                return judge(lambda some: tried._all(some, prepended), alone=alone)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                return f"the decoder does not take such batches ({_line(error)})"

        return trial

    def _all(self, prompts: list[array], prepended: PrependedLayers | None) -> torch.Tensor:
        """Compute vectors (n, width) of a few prompts, longest first, on the device; batches are made as in a run."""
        lengths = [len(ids) for ids in prompts]
        budget = 8 * len(lengths) * max(lengths)  # large enough that padding splits nothing
        return torch.cat([self(self.batch(rows, prompts), prepended) for rows in plan(lengths, budget, self.way)])

    def _inputs(self, batch: Batch) -> dict[str, torch.Tensor | int]:
        """The decoder's keyword arguments; decoders that count positions themselves are not given any."""
        inputs: dict[str, torch.Tensor | int] = {"input_ids": batch.ids, "position_ids": batch.positions}
        inputs["use_cache"] = False
        if batch.mask is not None:
            inputs["attention_mask"] = batch.mask
        packed = {} if batch.starts is None else packed_inputs(batch.starts, batch.longest)
        return {name: value for name, value in inputs.items() if name in self._takes} | packed

    def _to_prepend(self, first: int, last: int) -> nn.ModuleList:
        """The layers from ``first`` to ``last``, both included.

        Raises:
            BadInput: the layers cannot be found.
        """
        if self.layers is None:
            off = option("token_prepending", "off")
            raise BadInput(f"{self._name}: token prepending cannot find its list of layers; give {off}")
        return self.layers[first : last + 1]

    @property
    def _name(self) -> str:
        return f"model type {self.model.config.model_type!r} ({type(self.model).__name__})"

    def _place(self) -> tuple[torch.device, torch.dtype]:
        weight = next(self.model.parameters())
        return weight.device, weight.dtype


def _arrived(batch: Batch, wait: Callable[[], torch.Tensor]) -> Encoded:
    return Encoded(batch.rows, wait(), forwarded=batch.tokens)


def _layers(model: "PreTrainedModel") -> nn.ModuleList | None:
    try:
        return decoder_layers(model)
    except (ValueError, AttributeError):
        return None


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:150]
