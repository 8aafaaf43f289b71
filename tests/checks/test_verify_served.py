"""Is what is served what was evaluated? Each fault of a server is named, and a faithful one passes."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import yaml
from embedding_server import Served, serving

from qzhou_eval import Embedder, cli
from qzhou_eval.encode.char_ngrams import vectors as ngrams
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.protocol.profile_files import load_profile

pytestmark = pytest.mark.slow

LIMIT = 96


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> Path:
    """The miniature's profile with a short limit."""
    path = tmp_path_factory.mktemp("profiles") / "short.yaml"
    path.write_text(yaml.safe_dump({"name": "short", "extends": "qzhou-zh-mini", "source": "t", "max_length": LIMIT}))
    return path


def changed(profile: Path, **fields) -> str:
    path = profile.with_name("-".join(["other", *fields]) + ".yaml")
    other = yaml.safe_load(profile.read_text()) | fields
    path.write_text(yaml.safe_dump(other))
    return str(path)


def loaded(profile, **options) -> Embedder:
    return Embedder.from_pretrained(str(CHECKPOINT), profile=str(profile), device="cpu", **options)


def verify(url: str, profile, *more: str) -> int:
    argv = ["verify", "--model_name_or_path", str(CHECKPOINT), "--profile", str(profile), "--device", "cpu"]
    return cli.main([*argv, "--against", url, *more])


def twice(profile: Path):
    before, after = load_profile(str(profile)).template.split("{text}")
    model = loaded(profile)
    return lambda texts: model.encode_prompts([before + text + after for text in texts])


def longer(profile: Path):
    model = loaded(profile)
    return lambda texts: 3 * model.encode_prompts(texts)


def rounded(profile: Path, quantised) -> Embedder:
    model = loaded(profile)
    for module in model.model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data = quantised(module.weight.data)
    return model


def in_eight_bits(weight: torch.Tensor) -> torch.Tensor:
    """By torch's own quantisation."""
    scale = weight.abs().amax(dim=1) / 127
    kept = torch.quantize_per_channel(weight, scale, torch.zeros(len(scale)), 0, torch.qint8)
    return kept.dequantize()


def in_four_bits(weight: torch.Tensor) -> torch.Tensor:
    """By GGUF's own Q4_0."""
    kind = gguf.GGMLQuantizationType.Q4_0
    return torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind))


SAME = "verdict: OK: what is served is what was evaluated"
FAULTS = {
    "as evaluated": (lambda p: loaded(p).encode_prompts, SAME),
    "longer vectors": (longer, SAME),
    "bfloat16": (lambda p: loaded(p, dtype="bfloat16").encode_prompts, f"{SAME}, to the rounding of bfloat16"),
    "off": (lambda p: loaded(p, token_prepending="off").encode_prompts, "'token prepending off'"),
    "1-6": (lambda p: loaded(p, token_prepending=(1, 6)).encode_prompts, "'token prepending TP 1-6'"),
    "twice": (twice, "'with the template twice'"),
    "mean": (
        lambda p: loaded(changed(p, pooling="mean", token_prepending=None)).encode_prompts,
        "'pooling mean'",
    ),
    "bidirectional": (
        lambda p: loaded(changed(p, attention="bidirectional", token_prepending=None)).encode_prompts,
        "'bidirectional attention'",
    ),
    "limit": (lambda p: loaded(p, max_length=128).encode_prompts, "'cut at 128 tokens'"),
    "8 bits": (
        lambda p: rounded(p, in_eight_bits).encode_prompts,
        "the cosines spread as with 8 bits",
    ),
    "4 bits": (lambda p: rounded(p, in_four_bits).encode_prompts, "the cosines spread as with 4 bits"),
    "another model": (lambda p: lambda texts: ngrams(texts).repeat(7, 1), "NOT THE SAME: no reading fits"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_server_does_is_named(profile, fault, capsys):
    made, words = FAULTS[fault]
    encode = made(profile)
    with serving(Served(encode=lambda texts, body: encode(texts))) as served:
        code = verify(served.url, profile, "--endpoint_requests", "1")
    out = capsys.readouterr().out
    last = out.splitlines()[-1]
    assert words in last, out
    assert last.startswith(words) or not words.startswith(SAME)
    assert code == (0 if words.startswith(SAME) else 1)
    assert "vectors NOT normalised" in out  # as the model itself gives them


def test_an_end_token_that_is_not_added_is_named(profile, capsys):
    ends = changed(profile, end_token="<|endoftext|>")
    without = loaded(profile).encode_prompts
    with serving(Served(encode=lambda texts, body: without(texts))) as served:
        assert verify(served.url, ends, "--endpoint_requests", "1") == 1
    assert "'without the end token'" in capsys.readouterr().out.splitlines()[-1]


def test_another_attention_is_named_where_the_prompt_is_not_pooled(profile, capsys):
    pooled = {"pooling": "mean", "include_prompt": False, "token_prepending": None}
    encode = loaded(changed(profile, attention="bidirectional", **pooled)).encode_prompts
    with serving(Served(encode=lambda texts, body: encode(texts))) as served:
        assert verify(served.url, changed(profile, **pooled), "--endpoint_requests", "1") == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("what fits is 'bidirectional attention'")  # exactly


def test_a_module_that_is_left_out_is_seen_by_the_width(profile, capsys):
    with serving(Served(encode=lambda texts, body: ngrams(texts))) as served:
        assert verify(served.url, profile) == 1
    assert "verdict: NOT THE SAME: 256 components, not 1792" in capsys.readouterr().out


@pytest.mark.parametrize(("scale", "code"), [(1.0, 0), (0.01, 1)])
def test_two_servers(capsys, scale, code):
    def coarse(texts, body):
        unit = ngrams(texts) / np.linalg.norm(ngrams(texts), axis=1)[:, None]
        return unit if scale == 1 else np.round(unit / scale) * scale

    with serving(Served()) as one, serving(Served(encode=coarse, models=("other",))) as two:
        assert cli.main(["verify", "--endpoint", one.url, "--against", two.url]) == code
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("verdict: OK" if code == 0 else "verdict: NOT THE SAME")
    assert "vectors NOT normalised" in out
    assert "components ROUNDED to 2 decimals" in out if code else "vectors of norm 1" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["verify"], "give --model_name_or_path M, or --endpoint URL with --against URL"),
        (["verify", "--endpoint", "http://127.0.0.1:9/v1"], "--endpoint: compared with what?"),
        (["verify", "--against", "http://127.0.0.1:9/v1"], "give --model_name_or_path M, or --endpoint URL"),
        (["verify", "--endpoint", "http://127.0.0.1:9/v1", "--against", "model"], "--against model: not a URL"),
        (["verify", "--model_name_or_path", str(CHECKPOINT), "--endpoint_model", "x"], "only with --endpoint URL"),
        (["verify", "--model_name_or_path", str(CHECKPOINT), "--against", "http://127.0.0.1:9/v1"], "no answer"),
    ],
)
def test_what_cannot_be_compared_is_one_line(argv, message, capsys):
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
