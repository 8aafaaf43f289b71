"""FP8: its product compared with one written out, and its vectors, which can never pass for the published ones."""

import json
import re

import numpy as np
import pytest
import torch
import transformers
from commands import run_command
from torch.nn.functional import cosine_similarity
from torch.utils._python_dispatch import TorchDispatchMode

from qzhou_eval import Embedder, cli
from qzhou_eval.errors import BadInput
from qzhou_eval.model.fp8 import PROBE, Fp8Linear, _scaled, use_fp8


def rounded(rows: torch.Tensor) -> torch.Tensor:
    """Each row as FP8 holds it, float64: scaled by the least power of two with which it fits 448, e4m3's largest."""
    scale = 2 ** np.ceil(np.log2(rows.double().abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 448))
    return (rows.double() / scale).float().to(torch.float8_e4m3fn).double() * scale


class LargestInFloat32(TorchDispatchMode):
    """Records how many numbers the largest float32 tensor has that any operation makes within the block."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        made = [one for one in (result if isinstance(result, tuple) else [result]) if isinstance(one, torch.Tensor)]
        self.numbers = max([self.numbers, *(one.numel() for one in made if one.dtype == torch.float32)])
        return result


def test_a_layer_multiplies_what_fp8_holds_of_weights_and_rows():
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 48, dtype=torch.bfloat16)
    linear.weight.data[3] *= 100  # each row needs its own scale, not one for all
    states = torch.randn(2, 5, 64, dtype=torch.bfloat16)
    states[0, 1] = 0
    states[1, 2] *= 1000
    expected = rounded(states.flatten(0, 1)) @ rounded(linear.weight.data).T + linear.bias.double()
    with torch.no_grad():
        found = Fp8Linear(linear)(states)
    assert found.shape == (2, 5, 48) and found.dtype == torch.bfloat16
    error = (found.flatten(0, 1).double() - expected).abs()
    assert (error <= 0.01 * expected.abs().amax(dim=1, keepdim=True) + 0.01).all()
    exact = states.flatten(0, 1).double() @ linear.weight.data.double().T + linear.bias.double()
    assert (expected - exact).abs().max() > 10 * error.max(), "the reference itself must be far from an exact product"


def test_rows_become_fp8_without_a_copy_in_float32_and_lose_no_more_than_at_full_range():
    torch.manual_seed(0)
    rows = torch.randn(64, 512, dtype=torch.bfloat16) * torch.logspace(-3, 3, 64).unsqueeze(1).bfloat16()
    with LargestInFloat32() as seen:
        found, scale = _scaled(rows)
    assert found.dtype == torch.float8_e4m3fn and scale.dtype == torch.float32
    assert 0 < seen.numbers <= 64, "a factor for each row, no row"
    exact = rows.double()
    full = exact.abs().amax(dim=1, keepdim=True) / 448
    at_full_range = (exact / full).float().to(torch.float8_e4m3fn).double() * full
    ours, theirs = ((some - exact).norm(dim=1) / exact.norm(dim=1) for some in (found.double() * scale, at_full_range))
    assert ours.mean() < 1.01 * theirs.mean() and ours.max() < 1.05 * theirs.max()


def test_its_cosine_to_bfloat16_is_printed_and_noted(tiny, caplog):
    exact = Embedder.from_pretrained(str(tiny), profile="qzhou-zh", device="cpu", dtype="bfloat16")
    fast = Embedder.from_pretrained(str(tiny), profile="qzhou-zh", device="cpu", dtype="bfloat16", fp8=True)
    vectors = [torch.from_numpy(one.encode(PROBE)) for one in (exact, fast)]
    cosines = cosine_similarity(*vectors)
    assert 0.95 < cosines.mean() < 0.99999
    assert fast.made_with["fp8_cosine"] == pytest.approx(float(cosines.mean()), abs=1e-4)
    (said,) = re.findall(r"mean (\S+),", caplog.text)
    assert float(said) == pytest.approx(float(cosines.mean()), abs=1e-4) and "not for published scores" in caplog.text
    assert "fp8_cosine" not in exact.made_with


@pytest.mark.slow
def test_its_results_are_filed_apart(tiny, official, tmp_path):
    bfloat16, fp8 = (run_command(tiny, official, tmp_path, *more) for more in ([], ["--fp8"]))
    assert cli.main(bfloat16) == 0
    assert cli.main(fp8) == 0
    variants = [entry["variant"] for entry in json.loads((tmp_path / "manifest.json").read_text())["variants"].values()]
    assert {(one["dtype"], ("dtype", "fp8") in map(tuple, one["experiment"])) for one in variants} == {
        ("bfloat16", False),
        ("fp8", True),
    }
    assert len({one["fingerprint"] for one in variants}) == len(list((tmp_path / "store").iterdir())) == 2


def test_it_needs_bfloat16_and_a_device_that_has_it(tiny, monkeypatch):
    with pytest.raises(BadInput, match="fp8=True: needs bfloat16 weights, not float32"):
        Embedder.from_pretrained(str(tiny), profile="qzhou-zh", device="cpu", fp8=True)

    def without(*args, **kwargs):
        raise RuntimeError("torch._scaled_mm is only supported on other devices")

    monkeypatch.setattr(torch, "_scaled_mm", without)
    with pytest.raises(BadInput, match="fp8=True: no FP8 matrix product on this device"):
        Embedder.from_pretrained(str(tiny), profile="qzhou-zh", device="cpu", dtype="bfloat16", fp8=True)


def test_a_decoder_without_linear_layers_is_refused():
    gpt2 = transformers.GPT2Model(transformers.GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=64))
    with pytest.raises(ValueError, match="no linear layers"):
        use_fp8(gpt2.h)


def test_it_is_never_on_by_itself(tiny):
    one = Embedder.from_pretrained(str(tiny), profile="qzhou-zh", device="cpu", dtype="bfloat16")
    assert not [m for m in one.model.modules() if isinstance(m, Fp8Linear)]
    assert np.isfinite(one.encode(["天"])).all()
