"""Half-precision matrix products on a CPU that has none: computed in float32 and rounded, as hardware does.

PyTorch's own fallback there takes about fifty times as long as float32.
"""

import logging
from collections.abc import Iterable
from functools import partial

import torch
from torch import nn
from torch.nn.functional import linear

log = logging.getLogger(__name__)

_SUPPORTED = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}


def settle_products(modules: Iterable[nn.Module], device: str, dtype: torch.dtype) -> torch.dtype:
    """Return the precision in which linear layers of ``dtype`` multiply: their own, or float32 if the device lacks it.

    In the latter case the layers are changed to do so, and to round the results to the dtype of their input.
    """
    if dtype not in _SUPPORTED or device.partition(":")[0] != "cpu" or not torch.backends.mkldnn.is_available():
        return dtype
    if getattr(torch.ops.mkldnn, _SUPPORTED[dtype])():
        return dtype
    log.info(
        "this CPU has no matrix products in %s: they are computed in float32 and rounded",
        str(dtype).removeprefix("torch."),
    )
    for layer in (layer for module in modules for layer in module.modules()):
        if type(layer) is nn.Linear:
            vars(layer)["forward"] = partial(_float32_linear, layer)
    return torch.float32


def _float32_linear(layer: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    bias = None if layer.bias is None else layer.bias.float()
    return linear(states.float(), layer.weight.float(), bias).to(states.dtype)
