"""The head: what a sentence-transformers folder applies to a pooled vector, one module after the other."""

import json

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.files import PICKLE, SINGLE
from qzhou_eval.model.folder.modules import LAYER_NORM, HeadModule
from qzhou_eval.model.folder.weights import is_pickled, load_pickle

ACTIVATIONS: dict[str, type[nn.Module]] = {  # by the last part of the class's path; no other class is imported
    one.__name__: one
    for one in (nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.Mish, nn.Softplus)
}


class Normalize(nn.Module):
    """L2 normalisation between other modules; at the end, vectors are normalised after they are cut."""

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(vectors, dim=-1)


def load_head(checkpoint: Checkpoint, *, dtype: torch.dtype, device: str) -> nn.Sequential | None:
    """Load the modules after pooling, or return None if there are none that change a vector's direction.

    Raises:
        BadInput: an unknown activation, or tensors that do not fit.
    """
    head = head_shape(checkpoint)
    if head is None:
        return None
    for module, part in zip(checkpoint.head, head, strict=True):
        if module.has_weights:
            _load(module, part, dtype=dtype, device=device)
    return head.eval()


def head_shape(checkpoint: Checkpoint) -> nn.Sequential | None:
    """Build the modules after pooling on the meta device, without weights, or return None as :func:`load_head` does.

    Raises:
        BadInput: an unknown activation, or missing sizes.
    """
    with torch.device("meta"):
        parts = [_shape(module) for module in checkpoint.head]
    return nn.Sequential(*parts) if parts else None


def _shape(module: HeadModule) -> nn.Module:
    if not module.has_weights:
        return Normalize()
    config = json.loads((module.folder / "config.json").read_text("utf-8"))
    try:
        if module.kind == LAYER_NORM:
            return nn.LayerNorm(config["dimension"])
        linear = nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    except (RuntimeError, KeyError, TypeError) as error:
        raise _cannot_load(module, error) from None
    name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    path, _, short = name.rpartition(".")
    if config.get("use_residual") or not path.startswith("torch.nn") or short not in ACTIVATIONS:
        what = "a residual" if config.get("use_residual") else f"activation {name}"
        raise BadInput(f"{module.folder}: Dense with {what}; supported activations are {', '.join(ACTIVATIONS)}")
    return linear if short == "Identity" else nn.Sequential(linear, ACTIVATIONS[short]())


def _load(module: HeadModule, part: nn.Module, *, dtype: torch.dtype, device: str) -> None:
    """Load a module's tensors, whose names begin with ``linear.`` or ``norm.``."""
    target = part[0] if isinstance(part, nn.Sequential) else part
    try:
        if is_pickled(module.folder):
            tensors = load_pickle(module.folder / PICKLE, device=device)
        else:
            tensors = load_file(module.folder / SINGLE, device=device)
        tensors = {name.removeprefix("linear.").removeprefix("norm."): one.to(dtype) for name, one in tensors.items()}
        target.load_state_dict(tensors, assign=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _cannot_load(module, error) from None


def _cannot_load(module: HeadModule, error: Exception) -> BadInput:
    return BadInput(f"{module.folder}: cannot load the {module.kind} module ({' '.join(str(error).split())})")
