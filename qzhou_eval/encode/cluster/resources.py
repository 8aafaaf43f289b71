"""Where workers can run: the GPUs (or cores) of this machine, or of a Ray cluster. Starts or joins Ray."""

import logging
import os
import secrets
import signal
from dataclasses import dataclass
from typing import Literal, TypedDict

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # send no usage reports
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import RayError

from qzhou_eval.errors import BadInput
from qzhou_eval.system.environment import usable_cores

log = logging.getLogger(__name__)


class RayOptions(TypedDict, total=False):
    """What one worker requests from Ray, in Ray's own words."""

    num_gpus: int
    num_cpus: int
    scheduling_strategy: Literal["SPREAD"]


@dataclass(frozen=True)
class WorkerResources:
    """The number of workers, and in ``options`` what each one requests from Ray."""

    workers: int
    options: RayOptions


def connect(address: str | None, workers: int | None) -> None:
    """Join the cluster at ``address`` or, without one, start Ray on this machine; once per process.

    Raises:
        BadInput: there is no cluster at ``address``.
    """
    if ray.is_initialized():
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address is None:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray leaves one in the home folder
            cores = max(usable_cores(), workers or 1)
            ray.init("local", num_cpus=cores, include_dashboard=False, logging_level=logging.ERROR)
        else:
            ray.init(address, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"--ray {address}: {reason}; if it requires a token, set RAY_AUTH_MODE=token") from None
    finally:
        signal.signal(signal.SIGTERM, before)  # Ray sets its own, which ends the process silently


def device_of_cluster() -> str:
    """Return ``cuda`` if the cluster has GPUs, else ``cpu`` with a warning: nodes with GPUs may join later."""
    if ray.cluster_resources().get("GPU"):
        return "cuda"
    log.warning("the cluster has no GPU (yet): encoding on its CPUs; give --device cuda to refuse that")
    return "cpu"


def worker_resources(device: str, workers: int | None) -> WorkerResources:
    """Return a worker per GPU, or ``workers`` of them; without GPUs one per machine, with the cores shared out.

    Raises:
        BadInput: no GPU although one is asked for, or more workers than GPUs or cores.
    """
    total = ray.cluster_resources()
    if device == "cuda":
        found = int(total.get("GPU", 0))
        if not found:
            raise BadInput("--device cuda: Ray finds no GPU (yet)")
        if (workers or found) > found:
            raise BadInput(f"--workers {workers}: there are {found} GPUs; each worker needs one")
        return WorkerResources(workers or found, {"num_gpus": 1, "scheduling_strategy": "SPREAD"})
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    cores = [count for count in cores if count]
    workers = workers or len(cores)
    if workers > sum(cores):
        raise BadInput(f"--workers {workers}: there are {sum(cores)} cores; each worker needs one")
    share = max(size for size in range(1, max(cores) + 1) if sum(count // size for count in cores) >= workers)
    return WorkerResources(workers, {"num_cpus": share, "scheduling_strategy": "SPREAD"})
