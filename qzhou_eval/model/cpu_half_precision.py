"""Matrix products in half precision on a CPU that has none: done in float32 and rounded, as hardware does them.

PyTorch's own fall-back there takes some fifty times as long as float32.
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
    """In which precision linear layers of ``dtype`` multiply: their own, or float32 where the device has no other.

    Then they are changed to do so, and round the results to the dtype of what comes in.
    """
    if dtype not in _SUPPORTED or device.partition(":")[0] != "cpu" or not torch.backends.mkldnn.is_available():
        return dtype
    if getattr(torch.ops.mkldnn, _SUPPORTED[dtype])():
        return dtype
    log.info("this CPU has no products in %s: they are done in float32 and rounded", str(dtype).removeprefix("torch."))
    for layer in (layer for module in modules for layer in module.modules()):
        if type(layer) is nn.Linear:
            layer.forward = partial(_float32_linear, layer)
    return torch.float32


def _float32_linear(layer: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    bias = None if layer.bias is None else layer.bias.float()
    return linear(states.float(), layer.weight.float(), bias).to(states.dtype)
