"""The baseline file: a run's results as one JSON file that is readable in a diff. Judges nothing.

Per model and setting: what decides its scores (``settings``), what they were made from (``made_from``, reported but
never judged), and per task the scores by dimension, their spread, the tolerance, which may be edited, and a few unit
vectors at the widest dimension, whose leading components are those of the narrower ones.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue, ValidationError, model_validator

from qzhou_eval.errors import BadInput
from qzhou_eval.results.setting import label
from qzhou_eval.system.files import write_text

KEPT = 2  # vectors of each side; few, since a baseline is kept in version control
STORED = np.dtype("<f2")  # of a unit vector's components; its cosine with the original is 1 within 1e-6


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskBaseline(_Strict):
    """One task under one setting.

    Attributes:
        settings: what else decides its scores: metric, splits, data, libraries, instruction.
        scores: by dimension, 0 to 100.
        spread: standard error of the score over the task's own items, points, the largest of the dimensions; None if it
            is unknown.
        between_runs: the largest difference between the runs that the baseline was made from, points; None if
            there was only one.
        tolerance: points; a difference within it is OK, within three times DRIFT, beyond FAIL.
        probe: by side, base64 of float16 (at most 2, the widest dimension): unit vectors.
    """

    settings: dict[str, JsonValue]
    scores: dict[int, FiniteFloat] = Field(min_length=1)
    spread: FiniteFloat | None
    between_runs: FiniteFloat | None
    tolerance: FiniteFloat = Field(ge=0)
    probe: dict[str, str]

    @model_validator(mode="after")
    def _whole_probe(self) -> "TaskBaseline":
        self.vectors()
        return self

    def vectors(self) -> dict[str, np.ndarray]:
        """The probe: by side, float32 (at most 2, the widest dimension)."""
        try:
            flat = {
                side: np.frombuffer(base64.b64decode(text, validate=True), STORED) for side, text in self.probe.items()
            }
            return {side: values.reshape(-1, max(self.scores)).astype(np.float32) for side, values in flat.items()}
        except (binascii.Error, ValueError):
            raise ValueError(f"the probe does not hold vectors of {max(self.scores)} float16 components") from None


class Result(_Strict):
    """One model at one setting; ``experiment`` is what the setting's results are filed under, without the dimension."""

    model: str
    experiment: dict[str, JsonValue]
    settings: dict[str, JsonValue]
    made_from: dict[str, str | None]
    tasks: dict[str, TaskBaseline] = Field(min_length=1)

    @property
    def label(self) -> str:
        return label(self.model, self.experiment.items())


class Baseline(_Strict):
    """The whole file."""

    format: Literal[1]
    results: list[Result] = Field(min_length=1)


def packed(vectors: np.ndarray) -> str:
    """The first :data:`KEPT` vectors of (n, dim) as a baseline keeps them: unit length, float16, base64."""
    return base64.b64encode(unit(vectors[:KEPT]).astype(STORED).tobytes()).decode()


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, dim) scaled to length 1, float64; vectors without a direction (zero, not finite) become 0."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    pointing = np.isfinite(lengths) & (lengths > 0)
    return np.divide(wide, lengths, out=np.zeros_like(wide), where=pointing)


def read_baseline(path: Path) -> Baseline:
    """Read a baseline that :func:`write_baseline` wrote, edited or not.

    Raises:
        BadInput: no such file, or not a complete baseline of this format.
    """
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"--baseline {path}: no such file; --update-baseline writes one") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise BadInput(f"--baseline {path}: not a baseline ({where}: {first['msg']})") from None
    except OSError as error:
        raise BadInput(f"--baseline {path}: cannot be read ({error.strerror})") from None


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, whole or not at all; the same one gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(baseline.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")
