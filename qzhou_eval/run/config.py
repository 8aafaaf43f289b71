"""A run's configuration with its defaults."""

from dataclasses import dataclass, field
from pathlib import Path

from qzhou_eval.encode.endpoint.options import EndpointOptions
from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.results.variant import SHARED


@dataclass(frozen=True)
class RunConfig:
    """The command line as values; field names, including those of the options, are the flags' names.

    One of ``model_name_or_path``, ``served`` (an endpoint) and ``encoder`` says what is evaluated. ``options`` are
    those of a model here. ``also_token_prepending`` holds further values of ``token_prepending``, encoded with the
    same loaded weights.
    """

    model_name_or_path: str | None = None
    output_dir: Path | None = None
    store_dir: Path | None = None
    revision: str | None = None
    profile: str | None = None
    default_profile: str | None = None
    benchmark: str | None = None
    tasks: list[str] | None = None
    task_types: list[str] | None = None
    dim: list[str] = field(default_factory=list)
    normalize: bool = True
    use_instruction: bool = True
    options: EncoderOptions = field(default_factory=EncoderOptions)
    also_token_prepending: tuple[str | tuple[int, int], ...] = ()
    data_dir: Path | None = None
    eval_workers: int | None = None
    evaluators: str = SHARED
    score_profile: str = "card"
    workers: int | None = None
    ray: str | None = None
    model_label: str | None = None
    no_samples: bool = False
    reencode: list[str] | None = None
    reevaluate: list[str] | None = None
    served: EndpointOptions | None = None
    encoder: str | None = None

    def folders(self, name: str) -> tuple[Path, Path]:
        """The output folder, and that of the vectors; ``name`` is the model's, ``org/name``."""
        output_dir = self.output_dir or Path("results") / name.rsplit("/", maxsplit=1)[-1]
        return output_dir, self.store_dir or output_dir / "store"
