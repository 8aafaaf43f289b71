"""Our side: the prompts sent, the tensors stored, and the vectors of every reading in both precisions."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

from qzhou_eval.checks.verify.statement import PRECISIONS, Statement
from qzhou_eval.checks.verify.tensors import stored_tensors
from qzhou_eval.checks.verify.tp_readings import Span, Vectors
from qzhou_eval.encode.probe import probe
from qzhou_eval.errors import BadInput
from qzhou_eval.model.embedder import Embedder
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.settings import EncoderOptions, EncoderSettings, resolve_settings
from qzhou_eval.model.tokenizer import PromptTokenizer
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.profile_files import filed_as

log = logging.getLogger(__name__)

_LIBRARIES = ("torch", "transformers", "sentence-transformers", "safetensors")


@dataclass(frozen=True)
class Input:
    """What is sent to which model; the model is not loaded yet."""

    checkpoint: Checkpoint
    profile: Profile
    settings: EncoderSettings
    labels: list[str]
    pieces: list[tuple[str, str, str, str]]
    ids: list[list[int]]
    cut: int
    readings: list[Span]
    decode: Callable[[int], str]

    @property
    def prompts(self) -> list[str]:
        return ["".join(pieces) for pieces in self.pieces]


def prepare_input(checkpoint: Checkpoint, profile: Profile, device: str) -> Input:
    """Render and tokenise the probe, and choose the readings.

    Raises:
        BadInput: the profile's token prepending, placeholder or the device does not fit the model or machine.
    """
    settings = resolve_settings(checkpoint, profile, EncoderOptions(device=device))
    tokenizer = PromptTokenizer(checkpoint, profile, **settings.tokenizing)
    rendered = probe(profile)
    tokenized = tokenizer([prompt.prompt for prompt in rendered])
    return Input(
        checkpoint=checkpoint,
        profile=profile,
        settings=settings,
        labels=[prompt.label for prompt in rendered],
        pieces=[prompt.pieces for prompt in rendered],
        ids=[list(tokens.ids) for tokens in tokenized],
        cut=sum(tokens.cut for tokens in tokenized),
        readings=tp_spans(settings.token_prepending, tokenizer, checkpoint.layers),
        decode=lambda token: tokenizer.decode([token]),
    )


def state(sent: Input) -> tuple[Statement, Vectors]:
    """Hash the tensors and compute the vectors of both precisions and all readings.

    One precision is loaded at a time, and all readings share it.
    """
    log.info("hashing the tensors of %s", sent.checkpoint.name)
    tensors = stored_tensors(sent.checkpoint)
    vectors = {}
    for precision in PRECISIONS:
        log.info("computing our side in %s", precision)
        vectors[precision], parameters = _vectors(sent, precision)
    statement = Statement(
        model=sent.checkpoint.name,
        revision=sent.checkpoint.revision,
        profile=filed_as(sent.profile),
        profile_digest=sent.profile.digest,
        token_prepending=sent.settings.token_prepending,
        max_length=sent.settings.max_length,
        parameters=parameters,
        tensors=tensors,
        labels=sent.labels,
        prompts=sent.pieces,
        ids=sent.ids,
        libraries={name: version(name) for name in _LIBRARIES},
    )
    return statement, vectors


def _vectors(sent: Input, precision: str) -> tuple[dict[Span, np.ndarray], int]:
    lenient = sent.profile.model_copy(update={"models": ()})  # a wrong parameter count is stated, not refused
    embedder = Embedder(sent.checkpoint, lenient, replace(sent.settings, dtype=precision))
    found = {span: embedder.with_token_prepending(span).encode_prompts(sent.prompts) for span in sent.readings}
    return found, embedder.parameters


def tp_spans(own: Span, tokenizer: PromptTokenizer, layers: int) -> list[Span]:
    """The published readings and the profile's own, as far as model and tokenizer support them."""
    try:
        tokenizer.placeholder()
    except BadInput:
        if own is not None:
            raise
        return [None]
    spans = {span for span in ((1, 6), (1, 7), own) if span is not None and span[1] < layers}
    return [*sorted(spans), None]
