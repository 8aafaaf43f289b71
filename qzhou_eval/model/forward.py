"""Run batches through body, pooling and head: packed, padded or of one length, whichever keeps prompts independent."""

import logging
from array import array
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from qzhou_eval.errors import BadInput
from qzhou_eval.model.batching.attention import kernel
from qzhou_eval.model.batching.batches import ONE_LENGTH, PACKED, WAYS, Batch, plan, prefetch
from qzhou_eval.model.batching.independence import leak, routes_experts, trial_prompts
from qzhou_eval.model.body import Body
from qzhou_eval.model.encoded import Encoded
from qzhou_eval.model.pooling import LAST, Pooling, pool
from qzhou_eval.model.streams import current, start_copy
from qzhou_eval.model.token_prepending import PrependedLayers
from qzhou_eval.system.options import option

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)


class Forward:
    """A loaded transformer with pooling and head, and the way in which batches go through it.

    The way is the fastest of :data:`~qzhou_eval.model.batching.batches.WAYS` in which, in a trial with these weights,
    no vector depends on its neighbours; token prepending is part of the trial.

    Args:
        max_length: tokens of the longest prompt to expect.
        attention: ``packed``, ``padded``, or ``auto``: the fastest way that works with the model.
        own_code: whether the model is the checkpoint's own code, which runs as it is.
        pooling: how a prompt's states become one vector.
        both_ways: whether a token attends to those after it too; a decoder's causal mask is then replaced.
        span: first and last layer (0-based, both included) with token prepending, or None.
        begins: the tokens that all prompts begin with, up to the placeholder; None if there is none.

    Attributes:
        way: how its prompts share batches.
        attention: the way and its kernel, for the manifest.
        width: components of a vector.

    Raises:
        BadInput: the model does not run at all, with token prepending, or in the way that is asked for; a token attends
            to others than it should; or no way keeps its prompts independent.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        head: nn.Module | None,
        *,
        device: str,
        max_length: int,
        attention: str = "auto",
        own_code: bool = False,
        pooling: Pooling = LAST,
        both_ways: bool = False,
        span: tuple[int, int] | None = None,
        begins: array | None = None,
    ) -> None:
        self.body = Body(model, device=device, own_code=own_code, both_ways=both_ways)
        self.head = head
        self.pooling = pooling
        self.device = device
        self.max_length = max_length
        self.way = ONE_LENGTH
        if span is not None:
            self.body.to_prepend(*span)
        self._fits: int | None = None
        self._choose(attention, span, begins or array("I"))
        dense = model.config._attn_implementation
        self.attention = f"{self.way}, {kernel(*self.body.place) if self.way == PACKED else dense}"

    def __call__(self, batch: Batch, prepended: PrependedLayers | None = None) -> torch.Tensor:
        """Compute the vectors (n, width) of a batch, in the model's dtype, on its device, without waiting for a GPU.

        Args:
            prepended: the layers with token prepending, or None.
        """
        with current(self.device), torch.inference_mode():
            batch = batch.to(self.device)
            pooled = pool(self.pooling, self.body.states(self.way, batch, prepended), batch)
            return pooled if self.head is None else self.head(pooled)

    def stream(
        self,
        sequences: list[array],
        batch_tokens: int,
        *,
        before: list[int] | None = None,
        prepended: PrependedLayers | None = None,
    ) -> Iterator[Encoded]:
        """Yield the vectors of all token sequences that are not empty, batch by batch.

        The next batch is made in another thread and started before the vectors of the previous one are waited for.

        Args:
            before: how many tokens of each come before its text, if pooling leaves those out.

        Raises:
            torch.OutOfMemoryError: a single prompt does not fit on the device.
        """
        rows = plan([len(ids) for ids in sequences], batch_tokens, self.way)
        waiting = None
        make = partial(self.batch, sequences=sequences, before=before)
        for batch in prefetch(make(some) for some in rows):
            for started in self._start(batch, make, prepended):
                if waiting is not None:
                    yield _arrived(*waiting)
                waiting = started
        if waiting is not None:
            yield _arrived(*waiting)

    def _start(
        self, batch: Batch, make: Callable[[list[int]], Batch], prepended: PrependedLayers | None
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
        for part in plan(batch.lengths.tolist(), self.limit(batch.tokens), self.way):
            yield from self._start(make([batch.rows[i] for i in part]), make, prepended)

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

    def batch(self, rows: list[int], sequences: list[array], before: list[int] | None = None) -> Batch:
        """Make a batch of some of the token sequences, in the form that this model takes.

        Args:
            before: how many tokens of each come before its text, if pooling leaves those out.
        """
        batch = self.body.batch(self.way, rows, sequences)
        if not self.pooling.averages:
            return batch
        skipped = np.array([before[row] if before else 0 for row in rows])
        weights = self.pooling.weights(batch.lengths.numpy(), skipped)
        return replace(batch, weights=torch.from_numpy(weights))

    def check(self, span: tuple[int, int] | None, begins: array) -> None:
        """Repeat the trial in the chosen way, with token prepending on other layers.

        Raises:
            BadInput: prompts are then not independent.
        """
        if span is not None:
            self.body.to_prepend(*span)
        trial = self._trial(span, begins)
        if found := trial(self.way):
            raise BadInput(f"{self.body.name}: token prepending on layers {span} is not possible here: {found}")

    def _choose(self, attention: str, span: tuple[int, int] | None, begins: array) -> None:
        """Choose the first way in which prompts are independent."""
        trial = self._trial(span, begins)
        faults: dict[str, str] = {}
        for way in WAYS if attention == "auto" else (attention,):
            fault = self.body.obstacle(way, self.max_length)
            if fault is None and (fault := trial(way)) is None:
                self.way = way
                if faults:
                    log.warning("batches are %s (%s)", way, "; ".join(f"not {w}: {f}" for w, f in faults.items()))
                return
            faults[way] = fault
        if attention != "auto":
            raise BadInput(f"{option('attention', attention)}: {faults[attention]}; use {option('attention', 'auto')}")
        raise BadInput(
            f"{self.body.name}: its prompts cannot be kept independent: {'; '.join(map(': '.join, faults.items()))}"
        )

    def _trial(self, span: tuple[int, int] | None, begins: array) -> Callable[[str], str | None]:
        """Run a few prompts alone; the returned function says why a way would not keep prompts independent, or None."""
        config = self.body.model.config.get_text_config(decoder=True)
        prompts = trial_prompts(begins, config.vocab_size, self.max_length)
        prepended = None if span is None else PrependedLayers(*span, placeholder=len(begins) - 1)
        judge = partial(leak, prompts=prompts, dtype=self.body.place[1], routed=routes_experts(config))
        tried = copy(self)
        tried.way = ONE_LENGTH
        try:
            alone = torch.cat([tried(tried.batch([0], [ids]), prepended) for ids in prompts[0]])
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise BadInput(f"{self.body.name}: it does not run here ({_line(error)})") from error
        self.width = alone.shape[1]

        def trial(way: str) -> str | None:
            tried.way = way
            try:
                return judge(lambda some: tried._all(some, prepended), alone=alone)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                return f"the model does not take such batches ({_line(error)})"

        return trial

    def _all(self, prompts: list[array], prepended: PrependedLayers | None) -> torch.Tensor:
        """Compute vectors (n, width) of a few prompts, longest first, on the device; batches are made as in a run."""
        lengths = [len(ids) for ids in prompts]
        budget = 8 * len(lengths) * max(lengths)  # large enough that padding splits nothing
        return torch.cat([self(self.batch(rows, prompts), prepended) for rows in plan(lengths, budget, self.way)])


def _arrived(batch: Batch, wait: Callable[[], torch.Tensor]) -> Encoded:
    return Encoded(batch.rows, wait(), forwarded=batch.tokens)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:150]
