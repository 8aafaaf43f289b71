"""A checkpoint as what a run evaluates: resolved against its profile and this machine's devices."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from qzhou_eval.benchmark.task import Task
from qzhou_eval.encode.readings import Reading
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint, state_hidden_size
from qzhou_eval.model.profile_choice import choose_profile
from qzhou_eval.model.sent_lines import sent_lines
from qzhou_eval.model.settings import ENCODING_VERSION, EncoderSettings, find_model, layer_range, resolve_settings
from qzhou_eval.protocol.dimensions import dimensions
from qzhou_eval.protocol.profile import PUBLISHED_FACTS, Profile
from qzhou_eval.protocol.prompts import check_prompts
from qzhou_eval.results.entries import Provenance
from qzhou_eval.run.config import RunConfig
from qzhou_eval.run.filing import variant_of
from qzhou_eval.run.subjects import openers
from qzhou_eval.run.subjects.subject import Subject
from qzhou_eval.system.formatting import layers_text

log = logging.getLogger(__name__)


def checkpoint_subject(config: RunConfig, model: str, tasks: list[Task], *, plans: bool) -> Subject:
    """Resolve the checkpoint ``model``, a folder or hub name.

    Args:
        plans: whether to plan only, so that workers need not be available.

    Raises:
        BadInput: no such model, or something does not fit it.
    """
    checkpoint = find_model(model, revision=config.revision, options=config.options)
    choice = choose_profile(config.profile, checkpoint, default=config.default_profile)
    profile = choice.profile
    check_prompts(profile, tasks, use_instruction=config.use_instruction)
    settings = _settings(config, checkpoint, profile, plans=plans)
    dims = dimensions(config.dim, profile, checkpoint.width)
    state_hidden_size(checkpoint, tuple(dims))
    on_workers = openers.on_workers(config.workers, config.ray)
    layers = [one.token_prepending for one in settings]
    open_encoder = partial(openers.open_encoder, checkpoint, profile, settings[0])
    lines = sent_lines(
        checkpoint, choice, settings[0], asked=config.options, layers=layers, use_instruction=config.use_instruction
    )
    return Subject(
        profile=profile,
        readings=tuple(_readings(config, checkpoint, profile, settings, dims)),
        sent=tuple(lines),
        open_tokenizer=partial(openers.open_tokenizer, checkpoint, profile, settings[0], prepends=any(layers)),
        open_encoder=open_encoder,
        open_cost=partial(openers.open_cost, checkpoint, settings[0]),
        open_workers=partial(openers.open_workers, config.workers, config.ray, settings[0].device, open_encoder)
        if on_workers
        else None,
        asked=config.options,
        device=settings[0].device if config.ray is None else None,
        weights_bytes=checkpoint.weights_bytes,
    )


def _settings(config: RunConfig, checkpoint: Checkpoint, profile: Profile, *, plans: bool) -> list[EncoderSettings]:
    """The encoder's settings for each reading, without duplicates.

    Raises:
        BadInput: as :func:`~qzhou_eval.model.settings.resolve_settings`.
    """
    options = config.options
    if not plans or (config.ray is not None and options.device == "auto"):
        options = openers.device_of_workers(options, config.workers, config.ray)
    first = resolve_settings(checkpoint, profile, options, here=config.ray is None)
    others = config.also_token_prepending
    if others and first.trust_remote_code:
        raise BadInput("--trust_remote_code: the checkpoint's own code decides on token prepending; give one value")
    spans = [layer_range(value, profile, checkpoint) for value in others]
    found = dict.fromkeys([first, *(replace(first, token_prepending=span) for span in spans)])
    if len(found) <= len(others):
        names = " and ".join(layers_text(one.token_prepending) for one in found)
        log.warning("--token_prepending: %d values mean %s here; each is encoded once", 1 + len(others), names)
    return list(found)


def _readings(
    config: RunConfig, checkpoint: Checkpoint, profile: Profile, settings: list[EncoderSettings], dims: list[int]
) -> Iterator[Reading]:
    how = {"normalize": config.normalize, "use_instruction": config.use_instruction}
    for one in settings:
        yield Reading(
            token_prepending=one.token_prepending,
            variants=[variant_of(checkpoint, profile, one, dim=dim, **how) for dim in dims],
            identity=one.identity(checkpoint, profile),
            provenance=_provenance(checkpoint, profile, one),
        )


def _provenance(checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings) -> Provenance:
    """What the manifest records about model and profile, in addition to the variant."""
    layers = settings.token_prepending
    reading = layers and f"inputs of layers[{layers[0]}] to layers[{layers[1]}], 0-based, both included"
    return {
        "model": {
            "name": checkpoint.name,
            "revision": checkpoint.revision,
            "weights_sha256": checkpoint.weights_digest,
            "tokenizer_sha256": checkpoint.tokenizer_digest,
            "hidden_size": checkpoint.architecture.hidden,
            "pooling": settings.pooling.name,
            "attention": settings.direction,
            "pickle": checkpoint.pickled,
            "adapter_of": checkpoint.base and {"name": checkpoint.base.name, "revision": checkpoint.base.revision},
            "remote_code": settings.trust_remote_code
            and {"class": checkpoint.own_code, "revision": checkpoint.revision, "sha256": checkpoint.code_digest},
        },
        "profile": {"digest": profile.digest}
        | profile.model_dump(mode="json", exclude=PUBLISHED_FACTS | {"tasks", "types"}),
        "token_prepending": "as the checkpoint's own code does it" if settings.trust_remote_code else reading,
        "encoding_version": ENCODING_VERSION,
    }
