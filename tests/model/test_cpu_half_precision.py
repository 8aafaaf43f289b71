"""Half precision on a CPU without it: products as hardware computes them, whatever this machine supports."""

import logging

import pytest
import torch
from torch import nn

from qzhou_eval.model import cpu_half_precision
from qzhou_eval.model.embedder import Embedder

TEXTS = ["今天天气很好。", "苹果公司", "请问退货的运费由谁承担？" * 20]


@pytest.fixture
def without_half(monkeypatch):
    """Make this CPU report no products in half precision."""
    ops = type("Ops", (), {name: staticmethod(lambda: False) for name in cpu_half_precision._SUPPORTED.values()})
    monkeypatch.setattr(torch.ops, "mkldnn", ops)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_product_is_the_exact_one_rounded_once(dtype, bias, without_half):
    torch.manual_seed(0)
    layer, states = nn.Linear(64, 48, bias=bias).to(dtype), torch.randn(5, 7, 64).to(dtype)
    assert cpu_half_precision.settle_products([layer], "cpu", dtype) == torch.float32
    with torch.inference_mode():
        found = layer(states)
    exact = states.double() @ layer.weight.double().T + (layer.bias.double() if bias else 0.0)
    assert found.dtype == dtype and found.shape == (5, 7, 48)
    half_a_step = torch.finfo(dtype).eps / 2 * exact.abs() * (1 + 1e-3) + 1e-6
    assert ((found.double() - exact).abs() <= half_a_step).all()


def test_a_gpu_and_full_precision_are_left_alone(without_half):
    layer = nn.Linear(4, 4)
    assert cpu_half_precision.settle_products([layer], "cuda:0", torch.bfloat16) == torch.bfloat16
    assert cpu_half_precision.settle_products([layer], "cpu", torch.float32) == torch.float32
    assert "forward" not in vars(layer)


def test_a_model_gives_the_vectors_of_torchs_own_products(tiny, without_half, caplog, monkeypatch):
    with caplog.at_level(logging.INFO):
        widened = Embedder.from_pretrained(str(tiny), profile="qzhou-zh-mini", device="cpu", dtype="bfloat16")
    assert "no matrix products in bfloat16: they are computed in float32 and rounded" in caplog.text
    monkeypatch.setattr(cpu_half_precision, "_SUPPORTED", {})
    own = Embedder.from_pretrained(str(tiny), profile="qzhou-zh-mini", device="cpu", dtype="bfloat16")
    assert (widened.made_with["products"], own.made_with["products"]) == ("float32", "bfloat16")
    cosines = (widened.encode(TEXTS) * own.encode(TEXTS)).sum(axis=1)
    assert (cosines > 0.999).all()
