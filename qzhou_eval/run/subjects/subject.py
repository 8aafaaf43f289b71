"""What a run evaluates: an encoder and its profile, resolved, with nothing loaded yet."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qzhou_eval.encode.encoder import Encoder, Prepare
from qzhou_eval.encode.readings import Reading
from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.protocol.profile import Profile

if TYPE_CHECKING:
    from qzhou_eval.encode.stage import Workers
    from qzhou_eval.model.speed.cost import Cost


class OpenWorkers(Protocol):
    """Starts workers on several devices, which encode all readings into a store."""

    def __call__(self, *, readings: Sequence[Reading], store_dir: Path) -> "Workers": ...


def unknown_cost() -> None:
    """The cost of prompts for an encoder whose arithmetic cannot be counted."""


def no_more_to_say(sizes: "array[int]") -> list[str]:
    """The plan's last lines for an encoder whose plan has no more to say."""
    return []


@dataclass(frozen=True)
class Subject:
    """An encoder that is ready to be opened.

    Attributes:
        readings: its readings, with the variants that results are filed as.
        sent: what is sent to it, in a few lines.
        open_tokenizer: returns what prepares prompts; called, as the next two, only when there is work.
        open_encoder: returns the encoder of the first reading.
        open_cost: returns the cost of prompts, None if it is unknown.
        open_workers: None if this process encodes.
        asked: the requested options, to be compared with what stored vectors were made with.
        device: where the model will run, None if it is not on this machine.
        weights_bytes: how much is loaded for it.
        counts_tokens: whether prompts' tokens are counted here, not estimated.
        plan_lines: what a plan says of the prompts to encode, by their sizes in tokens, below its table.
    """

    profile: Profile
    readings: tuple[Reading, ...]
    sent: tuple[str, ...]
    open_tokenizer: Callable[[], Prepare]
    open_encoder: Callable[[], Encoder]
    open_cost: Callable[[], "Cost | None"] = unknown_cost
    open_workers: OpenWorkers | None = None
    asked: EncoderOptions = field(default_factory=EncoderOptions)
    device: str | None = None
    weights_bytes: int = 0
    counts_tokens: bool = True
    plan_lines: Callable[["array[int]"], list[str]] = no_more_to_say
