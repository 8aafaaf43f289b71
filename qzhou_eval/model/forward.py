"""One batch through decoder and projection: packed, padded or of one length, whichever leaves prompts independent."""

import inspect
import logging
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from qzhou_eval.errors import BadInput
from qzhou_eval.model.batching.attention import kernel, packed_attention, packed_inputs
from qzhou_eval.model.batching.batches import ONE_LENGTH, PACKED, WAYS, Batch, pack, pad, plan, prefetch
from qzhou_eval.model.batching.compatibility import obstacle
from qzhou_eval.model.batching.independence import leak, routes_experts, trial_prompts
from qzhou_eval.model.pooling import pool
from qzhou_eval.model.streams import current, start_copy
from qzhou_eval.model.token_prepending import TokenPositions, decoder_layers, prepending
from qzhou_eval.system.options import option

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoded:
    """Vectors (b, width) of some prompts, on CPU in the model's dtype; ``forwarded`` counts tokens with padding."""

    rows: list[int]
    vectors: torch.Tensor
    forwarded: int


class Forward:
    """A loaded decoder with its projection, and the way in which batches go through it.

    The way is the fastest of :data:`~qzhou_eval.model.batching.batches.WAYS` in which, by trial with these weights, no
    vector depends on its neighbours; token prepending is part of the trial.

    Args:
        max_length: tokens of the longest prompt that will come.
        attention: ``packed``, ``padded``, or ``auto``: whatever way the decoder can.
        own_code: the decoder is the checkpoint's own code, which runs as it is.
        span: first and last layer (0-based, both included) with token prepending, or None.
        head: the tokens that all prompts begin with, up to the placeholder; None where there is none.

    Attributes:
        way: how its prompts share batches.
        attention: the same with the kernel, for the manifest.
        width: components of a vector.
        layers: the decoder's layers, or None where they are not to be found or not to be touched.

    Raises:
        BadInput: the decoder does not run, not with token prepending, or not in the way that is asked for; or in no way
            are its prompts independent.
    """

    def __init__(
        self,
        model: nn.Module,
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
        if span is not None and self.layers is None:
            off = option("token_prepending", "off")
            raise BadInput(f"{self._name}: token prepending finds no list of its layers; give {off}")
        self._fits: int | None = None
        self._takes = inspect.signature(model.forward).parameters
        self._choose(attention, span, head or array("I"))
        dense = model.config._attn_implementation
        self.attention = f"{self.way}, {kernel(*self._place()) if self.way == PACKED else dense}"

    def __call__(
        self, batch: Batch, *, span: tuple[int, int] | None = None, placeholder: int | None = None
    ) -> torch.Tensor:
        """Vectors (n, width) of a batch, in the model's dtype, on its device; nothing here waits for a GPU.

        Args:
            span: first and last layer (0-based, both included) with token prepending, or None.
            placeholder: its position in each prompt.
        """
        with current(self.device), torch.inference_mode(), ExitStack() as changed:
            batch = batch.to(self.device)
            if self.way == PACKED:
                changed.enter_context(packed_attention(self.model))
            if span is not None:
                first, last = batch.first, tuple(batch.last)
                places = TokenPositions(len(batch.ids), placeholder=(first[0], first[1] + placeholder), last=last)
                changed.enter_context(prepending(self.layers[span[0] : span[1] + 1], places))
            hidden = self.model(**self._inputs(batch)).last_hidden_state
            pooled = pool(hidden, batch.last)
            return pooled if self.projection is None else self.projection(pooled)

    def stream(
        self,
        sequences: list[array],
        batch_tokens: int,
        *,
        span: tuple[int, int] | None = None,
        placeholder: int | None = None,
    ) -> Iterator[Encoded]:
        """Yield the vectors of all token sequences that are not empty, batch by batch.

        The next batch is made in another thread, and is on its way before one waits for the vectors of the last.

        Raises:
            torch.OutOfMemoryError: the device is too full for a single prompt.
        """
        rows = plan([len(ids) for ids in sequences], batch_tokens, self.way)
        waiting = None
        for batch in prefetch(self.batch(some, sequences) for some in rows):
            for started in self._start(batch, sequences, span=span, placeholder=placeholder):
                if waiting is not None:
                    yield _arrived(*waiting)
                waiting = started
        if waiting is not None:
            yield _arrived(*waiting)

    def _start(self, batch: Batch, sequences: list[array], **how) -> Iterator[tuple[Batch, Callable]]:
        """Put a batch on its way; if the device is too full for it, its halves, and so with those that come after."""
        started = None
        if batch.tokens <= self.limit(batch.tokens) or len(batch.rows) == 1:
            try:
                started = batch, start_copy(self(batch, **how))
            except torch.OutOfMemoryError:
                if len(batch.rows) == 1:
                    raise torch.OutOfMemoryError(f"a single prompt of {batch.longest} tokens does not fit") from None
        if started is not None:
            yield started
            return
        if batch.tokens <= self.limit(batch.tokens):  # out of the handler: its traceback would hold the tensors
            self._lower_limit(batch.tokens)
        lengths = [len(sequences[row]) for row in batch.rows]
        for part in plan(lengths, self.limit(batch.tokens), self.way):
            yield from self._start(self.batch([batch.rows[i] for i in part], sequences), sequences, **how)

    def limit(self, batch_tokens: int) -> int:
        """What fits the device, as far as is known: ``batch_tokens``, or fewer where so many did not."""
        return batch_tokens if self._fits is None else min(batch_tokens, self._fits)

    def _lower_limit(self, tokens: int) -> None:
        self._fits = tokens // 2
        log.warning("the device is out of memory at %d tokens in a batch; going on with at most %d", tokens, self._fits)
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def batch(self, rows: list[int], sequences: list[array]) -> Batch:
        """Some of the token sequences as this decoder takes them."""
        return (pack if self.way == PACKED else pad)(rows, sequences)

    def compile(self) -> None:
        """Compile the decoder's layers, for any number of tokens.

        Raises:
            BadInput: they are not to be found.
        """
        if self.layers is None:
            flag = option("compile", True)
            raise BadInput(f"{flag}: {self._name} has no list of layers that could be compiled; drop it")
        for layer in self.layers:
            layer.compile(dynamic=True)

    def check(self, span: tuple[int, int] | None, head: array) -> None:
        """Repeat the trial in the way that was chosen, with token prepending on other layers.

        Raises:
            BadInput: prompts are not independent then.
        """
        trial = self._trial(span, head)
        if found := trial(self.way):
            raise BadInput(f"{self._name}: token prepending on layers {span} cannot be had here: {found}")

    def _choose(self, attention: str, span: tuple[int, int] | None, head: array) -> None:
        """Take the first way in which prompts are independent."""
        trial = self._trial(span, head)
        faults: dict[str, str] = {}
        for way in WAYS if attention == "auto" else (attention,):
            fault = obstacle(self.model, way, self.max_length, own_code=self.own_code)
            if fault is None and (fault := trial(way)) is None:
                self.way = way
                if faults:
                    log.warning("batches are %s: %s", way, "; ".join(f"not {w}: {f}" for w, f in faults.items()))
                return
            faults[way] = fault
        if attention != "auto":
            raise BadInput(f"{option('attention', attention)}: {faults[attention]}; use {option('attention', 'auto')}")
        raise BadInput(f"{self._name}: its prompts cannot be kept apart: {'; '.join(map(': '.join, faults.items()))}")

    def _trial(self, span: tuple[int, int] | None, head: array) -> Callable[[str], str | None]:
        """Run a few prompts alone; the result tells of a way why prompts would not be independent, or None."""
        config = self.model.config.get_text_config(decoder=True)
        prompts = trial_prompts(head, config.vocab_size, self.max_length)
        how = {"span": span, "placeholder": len(head) - 1}
        judge = partial(leak, prompts=prompts, dtype=self._place()[1], routed=routes_experts(config))
        tried = copy(self)
        tried.way = ONE_LENGTH
        try:
            alone = torch.cat([tried(pad([0], [ids]), **how) for ids in prompts[0]])
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise BadInput(f"{self._name}: it does not run here ({_line(error)})") from error
        self.width = alone.shape[1]

        def trial(way: str) -> str | None:
            tried.way = way
            try:
                return judge(lambda some: tried._all(some, **how), alone=alone)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                return f"the decoder does not take such batches ({_line(error)})"

        return trial

    def _all(self, prompts: list[array], **how) -> torch.Tensor:
        """Vectors (n, width) of a few prompts, longest first, on the device; batches are made as in a run."""
        lengths = [len(ids) for ids in prompts]
        budget = 8 * len(lengths) * max(lengths)  # so large that padding splits nothing
        return torch.cat([self(self.batch(rows, prompts), **how) for rows in plan(lengths, budget, self.way)])

    def _inputs(self, batch: Batch) -> dict:
        """What the decoder is called with; decoders that count positions themselves are not told of them."""
        inputs = {"input_ids": batch.ids, "position_ids": batch.positions, "use_cache": False}
        if self.way == PACKED:
            how = packed_inputs(batch.starts, batch.longest)
        else:
            how = {"attention_mask": batch.mask} if "attention_mask" in self._takes else {}
        return {name: value for name, value in inputs.items() if name in self._takes} | how

    @property
    def _name(self) -> str:
        return f"model type {self.model.config.model_type!r} ({type(self.model).__name__})"

    def _place(self) -> tuple[torch.device, torch.dtype]:
        weight = next(self.model.parameters())
        return weight.device, weight.dtype


def _arrived(batch: Batch, wait: Callable[[], torch.Tensor]) -> Encoded:
    return Encoded(batch.rows, wait(), forwarded=batch.tokens)


def _layers(model: nn.Module) -> nn.ModuleList | None:
    try:
        return decoder_layers(model)
    except (ValueError, AttributeError):
        return None


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:150]
