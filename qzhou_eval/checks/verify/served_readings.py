"""What a server may make of the same weights: vectors of the probe by each reading that users have met.

Each reading changes one thing. The faults are those of servers' issue trackers: an end token that is not added, a
template that the server adds to one that is there, another pooling, a causal mask, another limit, fewer bits.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qzhou_eval.checks.verify.rounding import round_weights
from qzhou_eval.checks.verify.this_side import tp_spans
from qzhou_eval.checks.verify.tp_readings import name_of
from qzhou_eval.encode.probe import ProbePrompt
from qzhou_eval.errors import BadInput
from qzhou_eval.model.embedder import Embedder
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.own_profile import own_prompts
from qzhou_eval.model.pooling import CLS, LAST_TOKEN, MEAN, Pooling
from qzhou_eval.model.settings import EncoderSettings
from qzhou_eval.model.tokenizer import PromptTokenizer, Tokenized
from qzhou_eval.protocol.profile import Profile

log = logging.getLogger(__name__)

AS_EVALUATED = "as evaluated"
LIMITS = (128, 256, 512, 1024, 2048, 4096, 8192)


@dataclass(frozen=True)
class ServedReading:
    """Vectors of the probe, float32 (n, width), by one reading."""

    name: str
    vectors: np.ndarray


@dataclass(frozen=True)
class Ours:
    """The model as evaluated, and the probe's prompts that the server took."""

    checkpoint: Checkpoint
    profile: Profile
    settings: EncoderSettings
    prompts: Sequence[ProbePrompt]

    def load(self, **changed: Any) -> Embedder:
        """Load the model with some settings changed."""
        lenient = self.profile.model_copy(update={"models": ()})  # a wrong parameter count is not this check's
        return Embedder(self.checkpoint, lenient, replace(self.settings, **changed))

    @property
    def rendered(self) -> list[str]:
        return [prompt.prompt for prompt in self.prompts]


def readings(ours: Ours) -> Iterator[ServedReading]:
    """Yield the vectors of each reading that this model has; the first is :data:`AS_EVALUATED`."""
    embedder = ours.load()
    tokens = embedder.tokenize(ours.rendered)
    own = vectors_of(embedder, tokens)
    yield ServedReading(AS_EVALUATED, own)
    for name, prompts, without in _other_prompts(ours):
        yield ServedReading(name, vectors_of(without(embedder), embedder.tokenize(prompts)))
    if tail := embedder.tokenize.tail:
        cut = [replace(one, ids=one.ids[: -len(tail)]) for one in tokens]
        yield ServedReading("without the end token", vectors_of(embedder, cut))
    for limit in LIMITS:
        if limit < 2 * ours.settings.max_length and limit != ours.settings.max_length:
            yield from _at_limit(ours, embedder, own, tokens, limit)
    for span in tp_spans(ours.settings.token_prepending, embedder.tokenize, ours.checkpoint.layers):
        if span != ours.settings.token_prepending:
            reading = vectors_of(embedder.with_token_prepending(span), tokens)
            yield ServedReading(f"token prepending {name_of(span)}", reading)
    del embedder
    yield from _of_other_settings(ours, tokens)


def spreads(ours: Ours) -> Iterator[ServedReading]:
    """Yield the vectors of the model as evaluated, in each lower precision."""
    tokens: list[Tokenized] | None = None
    for name, dtype, bits in (
        ("float16", "float16", 0),
        ("bfloat16", "bfloat16", 0),
        ("8 bits", "float32", 8),
        ("4 bits", "float32", 4),
    ):
        with _silently():
            embedder = ours.load(dtype=dtype)
        tokens = tokens or embedder.tokenize(ours.rendered)
        if bits:
            round_weights(embedder.model, bits)
        yield ServedReading(name, vectors_of(embedder, tokens))


def vectors_of(embedder: Embedder, tokens: Sequence[Tokenized]) -> np.ndarray:
    """float32 (n, width): the vectors of token ids, not normalised."""
    found = np.zeros((len(tokens), embedder.width), np.float32)
    for done in embedder.stream(tokens):
        found[done.rows] = done.vectors.float().numpy()
    return found


Change = Callable[[Embedder], Embedder]


def _other_prompts(ours: Ours) -> Iterator[tuple[str, list[str], Change]]:
    """Readings of other prompts: their name, the prompts, and what they change of the encoder."""
    pieces = [prompt.pieces for prompt in ours.prompts]
    if any(begin or end for begin, _, _, end in pieces):
        yield "without the template", [text for _, _, text, _ in pieces], _off
        twice = [begin + "".join((begin, line, text, end)) + end for begin, line, text, end in pieces]
        yield "with the template twice", twice, _unchanged
    if any(line for _, line, _, _ in pieces):
        both = [begin + line + "".join((begin, line, text, end)) + end for begin, line, text, end in pieces]
        yield "with template and instruction twice", both, _unchanged
        yield "without the instruction", [begin + text + end for begin, _, text, end in pieces], _unchanged
    for name, text in own_prompts(ours.checkpoint).texts.items():
        if text:
            yield f"with the checkpoint's prompt {name} before it", [text + one for one in ours.rendered], _off


def _unchanged(embedder: Embedder) -> Embedder:
    return embedder


def _off(embedder: Embedder) -> Embedder:
    """Without token prepending, which needs the template at the beginning."""
    return embedder.with_token_prepending(None)


def _at_limit(
    ours: Ours, embedder: Embedder, own: np.ndarray, tokens: Sequence[Tokenized], limit: int
) -> Iterator[ServedReading]:
    """The reading with another limit, which only long prompts tell apart."""
    try:
        how = ours.settings.tokenizing | {"max_length": limit, "document_max_length": None}
        other = PromptTokenizer(ours.checkpoint, ours.profile, **how)(ours.rendered)
    except BadInput:
        return  # too short for the template
    rows = [row for row, (one, two) in enumerate(zip(tokens, other, strict=True)) if one.ids != two.ids]
    if rows:
        vectors = own.copy()
        vectors[rows] = vectors_of(embedder, [other[row] for row in rows])
        yield ServedReading(f"cut at {limit} tokens", vectors)


def _of_other_settings(ours: Ours, tokens: Sequence[Tokenized]) -> Iterator[ServedReading]:
    for kind in (LAST_TOKEN, MEAN, CLS):
        if kind != ours.settings.pooling.kind:
            yield from _loaded(ours, tokens, f"pooling {kind}", pooling=Pooling(kind), token_prepending=None)
    both = not ours.settings.both_ways
    name = f"{'bidirectional' if both else 'causal'} attention"
    yield from _loaded(ours, tokens, name, both_ways=both, token_prepending=None)


def _loaded(ours: Ours, tokens: Sequence[Tokenized], name: str, **changed: Any) -> Iterator[ServedReading]:
    try:
        with _silently():
            embedder = ours.load(**changed)
    except BadInput as error:
        log.info("%s is not tried: %s", name, error)
        return
    yield ServedReading(name, vectors_of(embedder, tokens))


@contextmanager
def _silently() -> Iterator[None]:
    """Without the lines about a model that was loaded before."""
    logger = logging.getLogger("qzhou_eval.model")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
