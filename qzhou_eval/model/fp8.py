"""FP8 (e4m3) matrix products with row-wise scales in a decoder's layers: faster, vectors differ, off by default."""

import logging

import torch
from torch import nn
from torch.nn.functional import cosine_similarity

log = logging.getLogger(__name__)

_E4M3 = torch.float8_e4m3fn
_LARGEST = torch.finfo(_E4M3).max

PROBE = [  # texts on which the cosine to bfloat16 is measured
    "今天天气很好。",
    "请问退货的运费由谁承担？",
    "如何用清水和面粉做一碗手擀面？先把水慢慢倒进面粉里，揉成光滑的面团，醒半个小时，再擀开切条，下锅煮三分钟。",
    "The library opens at nine and closes at six, except on public holidays.",
    "苹果公司",
    "感冒三天，咳嗽有痰，夜里发热到三十八度五，白天退烧，要不要去医院验血？",
    "def area(width, height): return width * height",
    "列车晚点四十分钟，乘客在站台上等候，广播里反复说着抱歉。",
]


class Fp8Linear(nn.Module):
    """A linear layer with an FP8 weight, one scale per output, and an input that is scaled row by row.

    Args:
        linear: the layer to replace, in half precision; both sizes must be multiples of 16.
    """

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = _scaled(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale.t())
        self.bias = linear.bias

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        rows, scale = _scaled(states.flatten(0, -2))
        product = torch._scaled_mm(
            rows, self.weight.t(), scale_a=scale, scale_b=self.scale, out_dtype=states.dtype, use_fast_accum=True
        )
        if self.bias is not None:
            product = product + self.bias
        return product.unflatten(0, states.shape[:-1])


def _scaled(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Convert rows (n, size) to FP8, with a factor for each, float32 (n, 1): their product restores the rows.

    The factor is the smallest power of two that makes the row fit. Dividing by it is exact in bfloat16, so no float32
    copy is needed; FP8 is a floating-point format, so a larger factor costs accuracy only in its subnormal numbers.
    """
    low, high = rows.aminmax(dim=1, keepdim=True)
    largest = torch.maximum(high, -low).float().clamp(min=1e-12)
    scale = (largest / _LARGEST).log2().ceil().exp2()
    return (rows / scale.to(rows.dtype)).to(_E4M3), scale


def use_fp8(layers: nn.ModuleList) -> None:
    """Replace every linear layer in the decoder's layers; embeddings, norms and the projection stay as they are.

    Raises:
        ValueError: there are no linear layers, the device has no FP8 matrix product, or a layer's sizes do not fit it.
    """
    for layer in layers:
        for parent in list(layer.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, Fp8Linear(child))
    probe = next((module for module in layers.modules() if isinstance(module, Fp8Linear)), None)
    if probe is None:
        raise ValueError("the decoder's layers contain no linear layers")
    try:
        probe(torch.ones(16, probe.weight.shape[1], dtype=torch.bfloat16, device=probe.weight.device))
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"no FP8 matrix product on this device ({str(error).splitlines()[0]})") from None


def state_loss(exact: torch.Tensor, found: torch.Tensor) -> float:
    """Warn of the cosines of vectors (n, width) to what they were in bfloat16; return the mean."""
    cosines = cosine_similarity(found, exact)
    log.warning(
        "FP8, not for published scores: cosine to bfloat16 over %d texts: mean %.5f, lowest %.5f",
        *(len(cosines), cosines.mean(), cosines.min()),
    )
    return round(float(cosines.mean()), 6)
