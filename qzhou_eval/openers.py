"""What a run opens once there is work for it: tokenizer, model, arithmetic, workers on several devices."""

from dataclasses import replace
from importlib.util import find_spec

from qzhou_eval.errors import BadInput
from qzhou_eval.generation import how_to_install
from qzhou_eval.model.checkpoint import Checkpoint
from qzhou_eval.model.settings import EncoderOptions, EncoderSettings
from qzhou_eval.profile import Profile


def on_workers(workers: int | None, ray: str | None) -> bool:
    """Whether workers encode, rather than this process."""
    return ray is not None or (workers or 1) > 1


def device_of_workers(options: EncoderOptions, workers: int | None, ray: str | None) -> EncoderOptions:
    """The encoder's options with the device that workers have, on a cluster perhaps another than this machine's.

    Raises:
        BadInput: Ray is not installed, no cluster at ``--ray``, or a device that workers cannot have.
    """
    if not on_workers(workers, ray):
        return options
    flag = "--workers" if ray is None else "--ray"
    if find_spec("ray") is None:
        raise BadInput(f"{flag}: needs Ray: {how_to_install('ray')}")
    if options.device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"--device {options.device}: {flag} gives each worker its own GPU; give auto, cpu or cuda")
    if ray is None or options.device != "auto":
        return options
    from qzhou_eval.cluster.places import connect, device_of_cluster

    connect(ray, workers)
    return replace(options, device=device_of_cluster())


def open_crew(workers: int | None, ray: str | None, device: str, run):
    """A :class:`~qzhou_eval.cluster.crew.Crew` for a :class:`~qzhou_eval.config.Run`."""
    from qzhou_eval.cluster.crew import Crew
    from qzhou_eval.cluster.places import connect, find_places

    connect(ray, workers)
    places = find_places(device, workers)
    return Crew(places, run.open_encoder, run.readings, run.store_dir.resolve())


def open_tokenizer(checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings, *, prepends: bool):
    """A :class:`~qzhou_eval.model.tokens.PromptTokenizer`.

    Args:
        prepends: token prepending is among the readings, so each prompt must hold the placeholder.
    """
    from qzhou_eval.model.tokens import PromptTokenizer

    tokenizer = PromptTokenizer(checkpoint, profile, max_length=settings.max_length, truncate=settings.truncate)
    if prepends:
        tokenizer.placeholder()  # fail now rather than after the texts are read
    return tokenizer


def open_encoder(checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings):
    """The :class:`~qzhou_eval.model.embedder.Embedder`."""
    from qzhou_eval.model.embedder import Embedder

    return Embedder(checkpoint, profile, settings)


def open_cost(checkpoint: Checkpoint, settings: EncoderSettings):
    """The :class:`~qzhou_eval.model.cost.Cost` of prompts, or None where it cannot be known."""
    if settings.trust_remote_code:
        return None  # what that code computes is its own affair
    from qzhou_eval.model.cost import checkpoint_cost

    return checkpoint_cost(checkpoint)
