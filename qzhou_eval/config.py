"""What the user asked for, and what it means for the model and tasks at hand. Every default lives here."""

import logging
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from qzhou_eval.environment import code_revision
from qzhou_eval.errors import BadInput
from qzhou_eval.model.checkpoint import Checkpoint, find_checkpoint, state_hidden_size
from qzhou_eval.model.settings import ENCODING_VERSION, EncoderOptions, EncoderSettings, resolve_settings
from qzhou_eval.profile import Profile, load_profile
from qzhou_eval.results import DEFAULT_PROFILE, SHARED, Variant
from qzhou_eval.tasks import DataSource, Task, locate, select
from qzhou_eval.units import whole_number
from qzhou_eval.variants import variant_of
from qzhou_eval.vectors import check_dim

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunConfig:
    """The command line as values; field names, the encoder's too, are the flags' names."""

    model_name_or_path: str
    output_dir: Path | None = None
    store_dir: Path | None = None
    revision: str | None = None
    profile: str = DEFAULT_PROFILE
    tasks: list[str] | None = None
    task_types: list[str] | None = None
    dim: list[str] = field(default_factory=list)
    normalize: bool = True
    use_instruction: bool = True
    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    data_dir: Path | None = None
    eval_workers: int | None = None
    evaluators: str = SHARED
    workers: int | None = None
    ray: str | None = None
    reencode: list[str] | None = None
    reevaluate: list[str] | None = None


@dataclass(frozen=True)
class Run:
    """A run made ready: nothing is left to look up, nothing has been computed or written yet.

    ``reencode`` and ``reevaluate`` name the tasks whose vectors and scores are made again though they are there.
    ``asked`` is what was asked of the encoder, to be compared with what stored vectors were made with.

    ``provenance`` is what the manifest notes of model and profile, ``code`` of this project's own revision.

    ``open_tokenizer`` gives a callable from prompts to
    :class:`~qzhou_eval.model.tokens.Tokenized`; ``open_encoder`` an object with ``stream`` like
    :class:`~qzhou_eval.model.embedder.Embedder`. Both are called only when there is work for them. ``open_cost`` gives
    the :class:`~qzhou_eval.model.cost.Cost` of prompts, or None where it cannot be known. With workers on several
    devices ``open_crew`` starts them, given the run; without, it is None.
    """

    tasks: list[Task]
    sources: dict[str, DataSource]
    profile: Profile
    use_instruction: bool
    variants: list[Variant]
    identity: dict
    provenance: dict
    code: dict
    output_dir: Path
    store_dir: Path
    eval_workers: int | None
    evaluators: str
    asked: EncoderOptions
    reencode: frozenset[str]
    reevaluate: frozenset[str]
    open_tokenizer: Callable
    open_encoder: Callable
    open_cost: Callable
    open_crew: Callable | None = None

    @property
    def fingerprint(self) -> str:
        return self.variants[0].fingerprint


def prepare(config: RunConfig, *, encodes: bool = True) -> Run:
    """Resolve a configuration against profile, tasks, data and checkpoint.

    Args:
        encodes: vectors may have to be written; without, a store that is only read will do.

    Raises:
        BadInput: anything in it that cannot work, before anything is computed or written.
    """
    if not encodes:
        config = replace(config, workers=None)
    profile = load_profile(config.profile)
    tasks = select(config.tasks, config.task_types)
    reencode = _named_tasks("--reencode", config.reencode, tasks)
    reevaluate = _named_tasks("--reevaluate", config.reevaluate, tasks) | reencode
    sources = {task.name: locate(task, config.data_dir) for task in tasks}
    if config.use_instruction:
        _check_instructions(profile, tasks)
    checkpoint = find_checkpoint(
        config.model_name_or_path,
        revision=config.revision,
        trust_remote_code=config.encoder.trust_remote_code,
    )
    encoder = _device_of_workers(config)
    settings = resolve_settings(checkpoint, profile, encoder, here=config.ray is None)
    dims = dimensions(config.dim, profile, checkpoint.width)
    state_hidden_size(checkpoint, tuple(dims))
    output_dir = config.output_dir or Path("results") / checkpoint.name.split("/")[-1]
    store_dir = config.store_dir or output_dir / "store"
    check_writable("--output_dir", output_dir)
    if encodes:
        check_writable("--store_dir", store_dir)
    how = {"normalize": config.normalize, "use_instruction": config.use_instruction}
    return Run(
        tasks=tasks,
        sources=sources,
        profile=profile,
        use_instruction=config.use_instruction,
        variants=[variant_of(checkpoint, profile, settings, dim=dim, **how) for dim in dims],
        identity=settings.identity(checkpoint, profile),
        provenance=_provenance(checkpoint, profile, settings),
        code=code_revision(),
        output_dir=output_dir,
        store_dir=store_dir,
        eval_workers=config.eval_workers,
        evaluators=config.evaluators,
        asked=config.encoder,
        reencode=reencode,
        reevaluate=reevaluate,
        open_tokenizer=partial(_open_tokenizer, checkpoint, profile, settings),
        open_encoder=partial(_open_encoder, checkpoint, profile, settings),
        open_cost=partial(_open_cost, checkpoint, settings),
        open_crew=partial(_open_crew, config, settings.device) if _on_workers(config) else None,
    )


def _named_tasks(flag: str, names: list[str] | None, tasks: list[Task]) -> frozenset[str]:
    """The tasks that a flag names: all of the run's if it is given without a name, none if it is not given.

    Raises:
        BadInput: one of them is no task of this run.
    """
    known = [task.name for task in tasks]
    for name in names or []:
        if name not in known:
            raise BadInput(f"{flag} {name}: not a task of this run, which has {', '.join(known)}")
    return frozenset(known if names == [] else names or [])


def _on_workers(config: RunConfig) -> bool:
    return config.ray is not None or (config.workers or 1) > 1


def _device_of_workers(config: RunConfig) -> EncoderOptions:
    """The encoder's options with the device that workers have, on a cluster perhaps another than this machine's.

    Raises:
        BadInput: Ray is not installed, no cluster at ``--ray``, or a device that workers cannot have.
    """
    options = config.encoder
    if not _on_workers(config):
        return options
    flag = "--workers" if config.ray is None else "--ray"
    if find_spec("ray") is None:
        raise BadInput(f"{flag}: needs Ray: {sys.executable} -m pip install -r requirements-ray.txt")
    if options.device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"--device {options.device}: {flag} gives each worker its own GPU; give auto, cpu or cuda")
    if config.ray is None or options.device != "auto":
        return options
    from qzhou_eval.cluster.places import connect, device_of_cluster

    connect(config.ray, config.workers)
    return replace(options, device=device_of_cluster())


def _open_crew(config: RunConfig, device: str, run: Run):
    from qzhou_eval.cluster.crew import Crew
    from qzhou_eval.cluster.places import connect, find_places

    connect(config.ray, config.workers)
    places = find_places(device, config.workers)
    return Crew(places, run.open_encoder, run.identity, run.fingerprint, run.store_dir.resolve())


def _provenance(checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings) -> dict:
    """What the manifest says of model and profile, besides what decides a vector."""
    layers = settings.token_prepending
    reading = layers and f"inputs of layers[{layers[0]}] to layers[{layers[1]}], 0-based, both included"
    return {
        "model": {
            "name": checkpoint.name,
            "revision": checkpoint.revision,
            "weights_sha256": checkpoint.weights_digest,
            "tokenizer_sha256": checkpoint.tokenizer_digest,
            "hidden_size": checkpoint.architecture.hidden,
            "remote_code": settings.trust_remote_code
            and {"class": checkpoint.own_code, "revision": checkpoint.revision, "sha256": checkpoint.code_digest},
        },
        "profile": {"digest": profile.digest} | profile.model_dump(mode="json", exclude={"tasks", "model"}),
        "token_prepending": "as the checkpoint's own code does it" if settings.trust_remote_code else reading,
        "encoding_version": ENCODING_VERSION,
    }


def _open_tokenizer(checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings):
    from qzhou_eval.model.tokens import PromptTokenizer

    tokenizer = PromptTokenizer(checkpoint, profile, max_length=settings.max_length, truncate=settings.truncate)
    if settings.token_prepending:
        tokenizer.placeholder()  # fail now rather than after the texts are read
    return tokenizer


def _open_encoder(checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings):
    from qzhou_eval.model.embedder import Embedder

    return Embedder(checkpoint, profile, settings)


def _open_cost(checkpoint: Checkpoint, settings: EncoderSettings):
    if settings.trust_remote_code:
        return None  # what that code computes is its own affair
    from qzhou_eval.model.cost import checkpoint_cost

    return checkpoint_cost(checkpoint)


def _check_instructions(profile: Profile, tasks: list[Task]) -> None:
    missing = [task.name for task in tasks if profile.instruction and task.name not in profile.tasks]
    if missing:
        raise BadInput(
            f"profile {profile.name} has no instruction for {', '.join(missing)}; "
            "add one to its tasks, or give --use_instruction false"
        )


def check_writable(flag: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written, without making it."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise BadInput(f"{flag} {folder}: {existing} is a file, not a folder")
    try:
        tempfile.TemporaryFile(dir=existing).close()  # has no name where the system can: a kill leaves nothing
    except OSError as error:
        raise BadInput(f"{flag} {folder}: cannot write there ({error.strerror})") from None


def dimensions(asked: list[str], profile: Profile, width: int) -> list[int]:
    """``--dim``: numbers, ``all`` (the profile's dimensions that the model has, and its full width), or nothing.

    Raises:
        BadInput: not a number, or wider than the model.
    """
    dims = set()
    for value in asked or [str(width)]:
        if value == "all":
            dims |= {d for d in profile.matryoshka_dims if d <= width} | {width}
        elif (number := whole_number(value)) is not None:
            dims.add(check_dim(number, width))
        else:
            raise BadInput(f"--dim {value}: give numbers from 1 to {width}, or all")
    _state_untrained(sorted(dims), profile, width)
    return sorted(dims)


def _state_untrained(dims: list[int], profile: Profile, width: int) -> None:
    """Say which dimensions a model was not trained to be cut to, where the profile lists those that it was."""
    trained = profile.matryoshka_dims
    untrained = [str(dim) for dim in dims if trained and dim not in (*trained, width)]
    if untrained:
        known = ", ".join(map(str, trained))
        log.warning(
            "--dim %s: the model was not trained for it; profile %s lists %s", " ".join(untrained), profile.name, known
        )
