"""One batch through decoder and projection: packed or padded attention, token prepending, the last layer cut short."""

import logging
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from qzhou_eval.errors import BadInput
from qzhou_eval.model.attention import kernel, packed_inputs, use_packed_attention
from qzhou_eval.model.batches import Batch, ahead, on_its_way, pack, pad, plan
from qzhou_eval.model.last_tokens import can_be_cut, last_tokens_only
from qzhou_eval.model.token_prepending import Places, decoder_layers, prepending

log = logging.getLogger(__name__)

PROBE = (2, 9, 9, 17)  # tokens of the prompts by which packed attention is held against padded
PROBE_COSINE = 0.99  # in bfloat16 two right ways agree to about 0.9999; prompts that see each other do not


@dataclass(frozen=True)
class Encoded:
    """Vectors (b, width) of some prompts, on CPU in the model's dtype; ``forwarded`` counts tokens with padding."""

    rows: list[int]
    vectors: torch.Tensor
    forwarded: int


class Forward:
    """A loaded decoder with its projection, and the way in which batches go through it.

    Args:
        max_length: tokens of the longest prompt that will come.
        attention: ``packed``, ``padded``, or ``auto``: packed where the decoder can.
        own_code: the decoder is the checkpoint's own code, which runs as it is.

    Attributes:
        packed: whether it takes packed batches; padded ones otherwise.
        attention: the same with the kernel, for the manifest.

    Raises:
        BadInput: packed attention is asked for and this decoder cannot have it.
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
    ) -> None:
        self.model = model
        self.projection = projection
        self.device = device
        self.packed = self.cut = False
        self._fits: int | None = None
        self._dense = model.config._attn_implementation
        self.layers = None if own_code else decoder_layers(model)
        obstacle = self._choose(attention, max_length) if self.layers else "the checkpoint's own code pads"
        if obstacle and attention == "packed":
            raise BadInput(f"--attention packed: {obstacle}; use --attention padded")
        if obstacle and attention == "auto":
            log.warning("padded batches, not packed ones: %s", obstacle)
        self.attention = f"packed, {kernel(*self._place())}" if self.packed else f"padded, {self._dense}"

    def __call__(
        self, batch: Batch, *, span: tuple[int, int] | None = None, placeholder: int | None = None
    ) -> torch.Tensor:
        """Vectors (n, width) of a batch, in the model's dtype, on its device; nothing here waits for a GPU.

        Args:
            span: first and last layer (0-based, both included) with token prepending, or None.
            placeholder: its position in each prompt.
        """
        batch = batch.to(self.device)
        with torch.inference_mode(), ExitStack() as changed:
            if self.cut:
                changed.enter_context(last_tokens_only(self.layers[-1], batch.last))
            if span is not None:
                first, last = batch.first, tuple(batch.last)
                places = Places(len(batch.ids), placeholder=(first[0], first[1] + placeholder), last=last)
                changed.enter_context(prepending(self.layers[span[0] : span[1] + 1], places))
            how = packed_inputs(batch.starts, batch.longest) if self.packed else {"attention_mask": batch.mask}
            hidden = self.model(
                input_ids=batch.ids, position_ids=batch.positions, use_cache=False, **how
            ).last_hidden_state
            hidden = hidden[0] if self.cut else hidden[batch.last[0], batch.last[1]]
            vectors = hidden if self.projection is None else self.projection(hidden)
            return vectors[: len(batch.rows)]  # the rows behind them fill up a multiple, see last_tokens

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
        rows = plan([len(ids) for ids in sequences], batch_tokens, packed=self.packed)
        waiting = None
        for batch in ahead(self.batch(some, sequences) for some in rows):
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
                started = batch, on_its_way(self(batch, **how))
            except torch.OutOfMemoryError:
                if len(batch.rows) == 1:
                    raise torch.OutOfMemoryError(f"a single prompt of {batch.longest} tokens does not fit") from None
        if started is not None:
            yield started
            return
        if batch.tokens <= self.limit(batch.tokens):  # out of the handler: its traceback would hold the tensors
            self._lower_limit(batch.tokens)
        lengths = [len(sequences[row]) for row in batch.rows]
        for part in plan(lengths, self.limit(batch.tokens), packed=self.packed):
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
        return (pack if self.packed else pad)(rows, sequences)

    def compile(self) -> None:
        """Compile the decoder's layers, all but one that is cut short, for any number of tokens."""
        for layer in self.layers[:-1] if self.cut else self.layers:
            layer.compile(dynamic=True)

    def _choose(self, attention: str, max_length: int) -> str | None:
        """Take packed attention and the short last layer if they give what the plain way gives; else say why not."""
        expected = self._probe()
        self.cut = can_be_cut(self.layers[-1])
        obstacle = self._obstacle(max_length)
        if attention != "padded" and obstacle is None:
            use_packed_attention(self.model)
            self.packed = True
            if (obstacle := self._difference(expected)) is None:
                return None
            self.model.config._attn_implementation = self._dense
            self.packed = False
        if self.cut and self._difference(expected) is not None:
            self.cut = False
        return obstacle

    def _obstacle(self, max_length: int) -> str | None:
        """Why this decoder cannot have packed attention, as far as its configuration says."""
        config = self.model.config.get_text_config(decoder=True)
        if getattr(config, "attn_logit_softcapping", None) is not None:
            return "the decoder caps attention softly"
        kinds = getattr(config, "layer_types", None)
        slides = kinds is None or any("sliding" in kind for kind in kinds)
        window = getattr(config, "sliding_window", None)
        if slides and window is not None and window < max_length:
            return f"the decoder's window of {window} tokens is shorter than --max_length"
        return None

    def _difference(self, expected: torch.Tensor) -> str | None:
        """Why this decoder cannot have packed attention, as far as trying tells."""
        try:
            cosines = cosine_similarity(self._probe().float(), expected.float())
        except torch.OutOfMemoryError:
            raise
        except (ImportError, TypeError, ValueError, RuntimeError) as error:
            return f"the decoder does not take packed rows ({str(error).splitlines()[0]})"
        if cosines.min() < PROBE_COSINE:
            return f"the decoder gives other vectors then (cosine {cosines.min():.4f})"
        return None

    def _probe(self) -> torch.Tensor:
        """Vectors of a few sequences of arbitrary tokens."""
        vocabulary = self.model.get_input_embeddings().num_embeddings
        sequences = [array("I", [(7 + 31 * (n + k)) % vocabulary for k in range(n)]) for n in reversed(PROBE)]
        return self(self.batch(list(range(len(PROBE))), sequences))

    def _place(self) -> tuple[torch.device, torch.dtype]:
        weight = next(self.model.parameters())
        return weight.device, weight.dtype


def _arrived(batch: Batch, wait: Callable[[], torch.Tensor]) -> Encoded:
    return Encoded(batch.rows, wait(), forwarded=batch.tokens)
