"""Lists the tensors a checkpoint stores: names, shapes, dtypes, and a digest of the bytes. Loads no model."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.adapter import WEIGHTS
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.files import INDEX, SINGLE
from qzhou_eval.model.folder.modules import DENSE


def stored_tensors(checkpoint: Checkpoint) -> dict[str, str]:
    """Each tensor's name -> ``dtype shape sha256``.

    The names of an only Dense begin with ``projection.``, those of other modules after pooling with the folder's name.

    The digest is over the bytes as they are stored; how they are split over files does not matter.

    Raises:
        BadInput: a file is missing or damaged.
    """
    found: dict[str, str] = {}
    for path in _files(checkpoint.body):
        found |= _tensors(path)
    weighted = [module for module in checkpoint.head if module.has_weights]
    for module in weighted:
        prefix = "projection" if len(weighted) == 1 and module.kind == DENSE else module.folder.name
        found |= {f"{prefix}.{name}": value for name, value in _tensors(module.folder / SINGLE).items()}
    if checkpoint.adapter is not None:
        found |= {f"adapter.{name}": value for name, value in _tensors(checkpoint.adapter / WEIGHTS).items()}
    return dict(sorted(found.items()))


def _files(folder: Path) -> list[Path]:
    """The files that are loaded: the single one, or those that the index names."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    try:
        names = set(json.loads((folder / INDEX).read_text("utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError):
        raise BadInput(f"{folder}: neither {SINGLE} nor a readable {INDEX}") from None
    return [folder / name for name in sorted(names)]


def _tensors(path: Path) -> dict[str, str]:
    found = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (the file is not a mapping)
                stored = file.get_slice(name)
                content = file.get_tensor(name).reshape(-1).view(torch.uint8).numpy()
                digest = hashlib.sha256(content).hexdigest()
                found[name] = f"{stored.get_dtype()} {stored.get_shape()} {digest}"
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path}: damaged or incomplete ({error})") from None
    return found
