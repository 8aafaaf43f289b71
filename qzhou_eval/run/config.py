"""A run's configuration with its defaults, and its resolution against the given model, tasks and data."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qzhou_eval.benchmark.data_sources import DataSource, NoData, locate, no_data
from qzhou_eval.benchmark.registry import Task, named_tasks, select
from qzhou_eval.encode.encoder import Encoder, Prepare
from qzhou_eval.encode.readings import Reading
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint, state_hidden_size
from qzhou_eval.model.profile_choice import choose_profile
from qzhou_eval.model.sent_lines import sent_lines
from qzhou_eval.model.settings import (
    ENCODING_VERSION,
    EncoderOptions,
    EncoderSettings,
    find_model,
    layer_range,
    resolve_settings,
)
from qzhou_eval.protocol.dimensions import dimensions
from qzhou_eval.protocol.profile import PUBLISHED_FACTS, Profile
from qzhou_eval.protocol.prompts import check_prompts
from qzhou_eval.results.entries import Provenance
from qzhou_eval.results.variant import SHARED, Variant
from qzhou_eval.run import openers
from qzhou_eval.run.filing import variant_of
from qzhou_eval.system.environment import code_revision
from qzhou_eval.system.files import check_writable
from qzhou_eval.system.formatting import layers_text

if TYPE_CHECKING:
    from qzhou_eval.encode.stage import Workers
    from qzhou_eval.model.speed.cost import Cost

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunConfig:
    """The command line as values; field names, including the encoder's, are the flags' names.

    ``also_token_prepending`` holds further values of ``token_prepending``, encoded with the same loaded weights.
    """

    model_name_or_path: str
    output_dir: Path | None = None
    store_dir: Path | None = None
    revision: str | None = None
    profile: str | None = None
    default_profile: str | None = None
    tasks: list[str] | None = None
    task_types: list[str] | None = None
    dim: list[str] = field(default_factory=list)
    normalize: bool = True
    use_instruction: bool = True
    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    also_token_prepending: tuple[str | tuple[int, int], ...] = ()
    data_dir: Path | None = None
    eval_workers: int | None = None
    evaluators: str = SHARED
    score_profile: str = "card"
    workers: int | None = None
    ray: str | None = None
    model_label: str | None = None
    reencode: list[str] | None = None
    reevaluate: list[str] | None = None


class OpenWorkers(Protocol):
    """Starts workers on several devices, which encode all readings into a store."""

    def __call__(self, *, readings: Sequence[Reading], store_dir: Path) -> "Workers": ...


@dataclass(frozen=True)
class Run:
    """A run that is ready to start: everything is resolved, nothing has been computed or written yet.

    ``reencode`` and ``reevaluate`` name the tasks whose vectors and scores are made again even if they exist.
    ``asked`` holds the requested encoder options, to be compared with what stored vectors were made with.
    ``sent`` says in a few lines what is sent to the model. ``code`` is this project's own revision.
    ``model_label`` is what reports call the model, None for its name. ``score_profile`` decides which splits count in
    the scores that are logged during the run; results have all splits.
    ``without_data`` are requested tasks that a plan leaves out. ``device`` is where the model will run, None on a
    cluster.

    ``open_tokenizer`` and ``open_encoder``, which is for the first reading, are called only when there is work for
    them. ``open_cost`` returns the cost of prompts, None if it is unknown. ``open_workers`` is None without workers.
    """

    tasks: list[Task]
    without_data: list[Task]
    sources: dict[str, DataSource]
    data_dir: Path | None
    profile: Profile
    use_instruction: bool
    readings: tuple[Reading, ...]
    sent: tuple[str, ...]
    code: dict[str, str | bool | None]
    device: str | None
    weights_bytes: int
    output_dir: Path
    store_dir: Path
    eval_workers: int | None
    evaluators: str
    score_profile: str
    asked: EncoderOptions
    model_label: str | None
    reencode: frozenset[str]
    reevaluate: frozenset[str]
    open_tokenizer: Callable[[], Prepare]
    open_encoder: Callable[[], Encoder]
    open_cost: Callable[[], "Cost | None"]
    open_workers: OpenWorkers | None = None

    @property
    def variants(self) -> list[Variant]:
        """The variants of all readings."""
        return [variant for reading in self.readings for variant in reading.variants]


def prepare_run(config: RunConfig, *, encodes: bool = True, plans: bool = False) -> Run:
    """Resolve a configuration against profile, tasks, data and checkpoint.

    Args:
        encodes: whether vectors may have to be written; if not, a read-only store is enough.
        plans: whether to plan only: tasks without data are left out, and workers need not be available.

    Raises:
        BadInput: something in the configuration cannot work; raised before anything is computed or written.
    """
    if not encodes:
        config = replace(config, workers=None)
    tasks = select(config.tasks, config.task_types)
    reencode = named_tasks("--reencode", config.reencode, tasks)
    reevaluate = named_tasks("--reevaluate", config.reevaluate, tasks) | reencode
    sources = _sources(tasks, config.data_dir, partly=plans)
    checkpoint = find_model(config.model_name_or_path, revision=config.revision, options=config.encoder)
    choice = choose_profile(config.profile, checkpoint, default=config.default_profile)
    profile = choice.profile
    check_prompts(profile, tasks, use_instruction=config.use_instruction)
    settings = _settings(config, checkpoint, profile, plans=plans)
    dims = dimensions(config.dim, profile, checkpoint.width)
    state_hidden_size(checkpoint, tuple(dims))
    output_dir = config.output_dir or Path("results") / checkpoint.name.split("/")[-1]
    store_dir = config.store_dir or output_dir / "store"
    check_writable("--output_dir", output_dir)
    if encodes:
        check_writable("--store_dir", store_dir)
    on_workers = openers.on_workers(config.workers, config.ray)
    layers = [one.token_prepending for one in settings]
    open_encoder = partial(openers.open_encoder, checkpoint, profile, settings[0])
    return Run(
        tasks=[task for task in tasks if task.name in sources],
        without_data=[task for task in tasks if task.name not in sources],
        sources=sources,
        data_dir=config.data_dir,
        profile=profile,
        use_instruction=config.use_instruction,
        readings=tuple(_readings(config, checkpoint, profile, settings, dims)),
        sent=tuple(
            sent_lines(
                checkpoint,
                choice,
                settings[0],
                asked=config.encoder,
                layers=layers,
                use_instruction=config.use_instruction,
            )
        ),
        code=code_revision(),
        device=settings[0].device if config.ray is None else None,
        weights_bytes=checkpoint.weights_bytes,
        output_dir=output_dir,
        store_dir=store_dir,
        eval_workers=config.eval_workers,
        evaluators=config.evaluators,
        score_profile=config.score_profile,
        asked=config.encoder,
        model_label=config.model_label,
        reencode=reencode,
        reevaluate=reevaluate,
        open_tokenizer=partial(openers.open_tokenizer, checkpoint, profile, settings[0], prepends=any(layers)),
        open_encoder=open_encoder,
        open_cost=partial(openers.open_cost, checkpoint, settings[0]),
        open_workers=partial(openers.open_workers, config.workers, config.ray, settings[0].device, open_encoder)
        if on_workers
        else None,
    )


def _sources(tasks: list[Task], data_dir: Path | None, *, partly: bool) -> dict[str, DataSource]:
    """Where each task's data is; ``partly``: leave out tasks without data, as long as one has data.

    Raises:
        BadInput: tasks' data is missing; the message names them all.
    """
    found, missing = {}, []
    for task in tasks:
        try:
            found[task.name] = locate(task, data_dir)
        except NoData:
            missing.append(task)
    if missing and not (partly and found):
        raise no_data(missing, data_dir)
    return found


def _settings(config: RunConfig, checkpoint: Checkpoint, profile: Profile, *, plans: bool) -> list[EncoderSettings]:
    """The encoder's settings for each reading, without duplicates.

    Raises:
        BadInput: as :func:`~qzhou_eval.model.settings.resolve_settings`.
    """
    options = config.encoder
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
