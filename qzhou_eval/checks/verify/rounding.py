"""Rounds a loaded model's weights as quantised servers do, to see how far that moves vectors."""

import torch
from torch import nn

GROUP = 32  # weights that share a scale in four bits, as in GGUF's Q4_0


def round_weights(model: nn.Module, bits: int) -> None:
    """Round the weights of every linear layer in place to ``bits`` (8 or 4), symmetrically.

    Eight bits have a scale for each output, four for each group of :data:`GROUP` inputs.
    """
    most = 2 ** (bits - 1) - 1
    for module in model.modules():
        if isinstance(module, nn.Linear):
            weight = module.weight.data
            inputs = weight.shape[1]
            size = GROUP if bits == 4 and inputs % GROUP == 0 else inputs
            groups = weight.reshape(-1, size)
            scale = (groups.abs().amax(dim=1, keepdim=True) / most).clamp_min(torch.finfo(weight.dtype).tiny)
            module.weight.data = ((groups / scale).round() * scale).reshape(weight.shape)
