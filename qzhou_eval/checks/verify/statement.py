"""The statement of one side, and the probe file: statement and vectors in one safetensors file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qzhou_eval.checks.verify.tp_readings import name_of
from qzhou_eval.errors import BadInput
from qzhou_eval.system.files import publish, temporary_in

PRECISIONS = ("float32", "bfloat16")
_KEY = "qzhou-eval probe"


class Statement(BaseModel):
    """Everything about a side except its vectors.

    ``tensors`` are as :func:`~qzhou_eval.checks.verify.tensors.stored_tensors` gives them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str
    revision: str
    profile: str
    profile_digest: str
    token_prepending: tuple[int, int] | None
    max_length: int
    parameters: int
    tensors: dict[str, str]
    labels: list[str]
    prompts: list[tuple[str, str, str, str]]
    ids: list[list[int]]
    libraries: dict[str, str]


@dataclass(frozen=True)
class OtherSide:
    """The side that ours is compared with: ``vectors`` holds, for each precision, float32 (n, width), not normalised.

    ``origin`` names it in the output; ``same_files`` says whether both sides read the same weights.
    """

    origin: str
    statement: Statement
    vectors: dict[str, np.ndarray]
    same_files: bool = False


def write_file(path: Path, statement: Statement, vectors: dict[str, np.ndarray]) -> None:
    """Write a probe file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {f"vectors_{precision}": found for precision, found in vectors.items()}
    with temporary_in(path.parent) as temporary:
        temporary.write_bytes(save(content, {_KEY: statement.model_dump_json()}))
        publish(temporary, path)


def read_file(path: Path, *, prompts: int, width: int) -> OtherSide:
    """Read a probe file.

    Raises:
        BadInput: the file is missing, damaged, not a probe file, or has another number of prompts or width.
    """
    if not path.is_file():
        raise BadInput(
            f"--against {path}: no such file; give remote, sentence-transformers, a server's URL, or a file that "
            "--save wrote"
        )
    try:
        with safe_open(path, framework="np") as file:
            statement = Statement.model_validate_json((file.metadata() or {})[_KEY])
            vectors = {precision: file.get_tensor(f"vectors_{precision}") for precision in PRECISIONS}
    except (OSError, SafetensorError, KeyError, ValidationError):
        raise BadInput(f"--against {path}: damaged, or not a file that --save wrote") from None
    rows = {len(statement.labels), len(statement.prompts), len(statement.ids), *(len(v) for v in vectors.values())}
    if rows != {prompts}:
        raise BadInput(f"--against {path}: not the probe of {prompts} prompts; save it again with this version")
    for found in vectors.values():
        if found.ndim != 2 or found.shape[1] != width:
            raise BadInput(f"--against {path}: vectors of shape {found.shape}, but this model's width is {width}")
    who = f"{statement.model}, revision {statement.revision}, profile {statement.profile}"
    origin = f"{path} ({who}, {name_of(statement.token_prepending)})"
    return OtherSide(origin, statement, {name: found.astype(np.float32) for name, found in vectors.items()})
