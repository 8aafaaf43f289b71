"""How fast prompts go through a model: measured if this machine has the hardware, else assumed from data sheets."""

import random
import time
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING

import torch

from qzhou_eval.model.speed.cost import Cost
from qzhou_eval.model.tokenizer import Tokenized
from qzhou_eval.system.environment import hardware

if TYPE_CHECKING:
    from qzhou_eval.model.embedder import Embedder

# Operations per second of dense bfloat16 products with float32 sums: the vendor's data sheets (SXM where there is one).
PEAKS = {"h100": 989e12, "h200": 989e12, "a100": 312e12, "4090": 165e12}
EFFICIENCY = 0.46  # of the peak: 65 % of a large matrix product, which itself reaches about 70 %

PROBE_SECONDS = 10.0
PART_SECONDS = 1.0  # a part of the probe that takes this long is large enough
PART_BATCHES = 16


@dataclass(frozen=True)
class Speed:
    """A speed, and in words where the figure comes from.

    ``rate`` is in units of :meth:`~qzhou_eval.model.speed.cost.Cost.effort` per second.
    """

    rate: float
    source: str


def assumed(gpu: str, devices: int = 1) -> Speed:
    """The speed to expect by a data sheet in :data:`PEAKS`, of one or several GPUs that share the prompts evenly."""
    source = f"{EFFICIENCY:.0%} of the data sheet's {PEAKS[gpu] / 1e12:.0f} TFLOP/s (bfloat16)"
    named = f"one {gpu.upper()}" if devices == 1 else f"{devices} {gpu.upper()}, each"
    return Speed(devices * EFFICIENCY * PEAKS[gpu], f"arithmetic, not a measurement: {named} at {source}")


def is_here(name: str, device: str = "cuda") -> bool:
    """Whether this machine has the named hardware; for a GPU, as ``device``."""
    if name == "cpu":
        return True
    return torch.cuda.is_available() and name in torch.cuda.get_device_name(device).lower()


def measured(
    encoder: "Embedder", tokenized: list[Tokenized], cost: Cost, *, seconds: float = PROBE_SECONDS, devices: int = 1
) -> Speed:
    """Measure the speed: send prompts through a loaded model for about ``seconds`` and discard the vectors.

    The prompts are drawn at random, repeatedly if there are few, and sent in parts that grow until one takes a
    second or fills :data:`PART_BATCHES` batches. Those parts are warm-up; only later ones are timed.

    Args:
        tokenized: at least one prompt with a token.
        devices: how many GPUs like this one share the prompts; workers on a CPU share the same cores.
    """
    drawn = [prompt for prompt in tokenized if prompt.ids]
    random.Random(0).shuffle(drawn)
    prompts = cycle(drawn)
    mean = sum(len(prompt.ids) for prompt in drawn) / len(drawn)
    batch = max(1, round(encoder.settings.batch_tokens / mean))
    size = max(1, batch // 8)
    while _seconds(encoder, list(islice(prompts, size))) < PART_SECONDS and size < PART_BATCHES * batch:
        size *= 2
    timed, effort, tokens = 0.0, 0.0, 0
    while timed < seconds:
        part = list(islice(prompts, size))
        timed += _seconds(encoder, part)
        effort += cost.effort([len(prompt.ids) for prompt in part])
        tokens += sum(len(prompt.ids) for prompt in part)
    source = f"calibrated: {tokens / timed:,.0f} tokens/s on {_name(encoder)}, a probe of {timed:.0f} s"
    if devices == 1 or encoder.settings.device == "cpu":
        return Speed(effort / timed, source)
    return Speed(devices * effort / timed, f"{source}; multiplied by {devices}, not measured")


def _seconds(encoder: "Embedder", part: list[Tokenized]) -> float:
    start = time.perf_counter()
    for _ in encoder.stream(part):
        pass  # a yielded vector is on the CPU, so the device has done its work
    return time.perf_counter() - start


def _name(encoder: "Embedder") -> str:
    found = hardware(encoder.settings.device)
    kind, name = ("GPU", found["gpu"]) if "gpu" in found else ("CPU", found["cpu"] or found["machine"])
    return f"this machine's {kind} ({name})"
