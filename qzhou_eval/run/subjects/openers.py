"""Opens what a run needs once there is work for it: tokenizer, encoder, cost estimate, workers on several devices."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from qzhou_eval.encode.readings import Reading
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.settings import EncoderOptions, EncoderSettings
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.system.formatting import whole_number
from qzhou_eval.system.mteb_version import how_to_install

if TYPE_CHECKING:
    from qzhou_eval.encode.cluster.worker_pool import WorkerPool
    from qzhou_eval.model.embedder import Embedder
    from qzhou_eval.model.speed.cost import Cost
    from qzhou_eval.model.tokenizer import PromptTokenizer


def on_workers(workers: int | None, ray: str | None) -> bool:
    """Whether workers encode instead of this process."""
    return ray is not None or (workers or 1) > 1


def device_of_workers(options: EncoderOptions, workers: int | None, ray: str | None) -> EncoderOptions:
    """The encoder's options with the workers' device, which on a cluster may differ from this machine's.

    Raises:
        BadInput: Ray is not installed, there is no cluster at ``--ray``, or workers cannot use the device.
    """
    if not on_workers(workers, ray):
        return options
    flag = "--workers" if ray is None else "--ray"
    if find_spec("ray") is None:
        raise BadInput(f"{flag}: needs Ray: {how_to_install('ray')}")
    if options.device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"--device {options.device}: {flag} gives each worker its own GPU; give auto, cpu or cuda")
    if ray not in (None, "auto"):
        _check_head_node(ray)
    if ray is None or options.device != "auto":
        return options
    from qzhou_eval.encode.cluster.resources import connect, device_of_cluster

    connect(ray, workers)
    return replace(options, device=device_of_cluster())


def _check_head_node(address: str) -> None:
    """Check at once that it answers: importing Ray takes seconds, and Ray itself retries for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    number = whole_number(port)
    if not host or number is None:
        raise BadInput(f"--ray {address}: give the head node's HOST:PORT, or auto")
    try:
        socket.create_connection((host, number), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise BadInput(f"--ray {address}: no cluster there ({error})") from None


def open_workers(
    workers: int | None,
    ray: str | None,
    device: str,
    open_encoder: Callable[[], "Embedder"],
    *,
    readings: Sequence[Reading],
    store_dir: Path,
) -> "WorkerPool":
    """Start workers for a run's readings, which write to its store."""
    from qzhou_eval.encode.cluster.resources import connect, worker_resources
    from qzhou_eval.encode.cluster.worker_pool import WorkerPool

    connect(ray, workers)
    places = worker_resources(device, workers)
    return WorkerPool(places, open_encoder, readings, store_dir.resolve())


def open_tokenizer(
    checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings, *, prepends: bool
) -> "PromptTokenizer":
    """Open the tokenizer.

    Args:
        prepends: whether a reading uses token prepending, so that each prompt must contain the placeholder.
    """
    from qzhou_eval.model.tokenizer import PromptTokenizer

    tokenizer = PromptTokenizer(checkpoint, profile, **settings.tokenizing)
    if prepends:
        tokenizer.placeholder()  # fail now, not only after the texts are read
    return tokenizer


def open_encoder(checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings) -> "Embedder":
    """Load the model."""
    from qzhou_eval.model.embedder import Embedder

    return Embedder(checkpoint, profile, settings)


def open_cost(checkpoint: Checkpoint, settings: EncoderSettings) -> "Cost | None":
    """The cost of prompts, or None if it is unknown."""
    if settings.trust_remote_code:
        return None  # its operations are unknown
    from qzhou_eval.model.speed.cost import checkpoint_cost

    return checkpoint_cost(checkpoint, both_ways=settings.both_ways)
