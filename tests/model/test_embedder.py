"""The Embedder compared with peers: sentence-transformers without TP, a hand-written forward pass with TP."""

import shutil
import sys

import numpy as np
import pytest
import torch
import transformers
from checkpoints import edit_json, with_remote_code
from decoders import make_decoder
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from qzhou_eval import Embedder
from qzhou_eval.errors import BadInput
from qzhou_eval.model import head, loading
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.settings import EncoderOptions, resolve_settings
from qzhou_eval.model.token_prepending import token_prepending
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.protocol.prompts import render

TEXTS = ["今天天气很好", "", "a", "火锅很好吃，" * 30, "{x} <|im_start|> y", "火车晚点到达。"]
PROFILE = load_profile("qzhou-zh")


def embedder(folder, **options):
    return Embedder.from_pretrained(str(folder), **{"profile": "qzhou-zh", "device": "cpu"} | options)


@pytest.fixture(scope="module")
def peer(tiny):
    return SentenceTransformer(str(tiny), device="cpu")


def copy_of(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_without_tp_it_equals_sentence_transformers_at_every_dimension(tiny, peer):
    prompts = [render(PROFILE, text, "Retrieve") for text in TEXTS]
    model = embedder(tiny, token_prepending="off")
    full = peer.encode(prompts, convert_to_numpy=True)
    assert np.abs(model.encode_prompts(prompts) - full).max() < 1e-5
    for dim in (1, 32, 96):
        expected = peer.encode(prompts, truncate_dim=dim, normalize_embeddings=True)
        assert np.abs(model.encode(TEXTS, instruction="Retrieve", dim=dim) - expected).max() < 1e-5


@pytest.mark.parametrize("span", [(1, 7), (1, 6), (2, 3)])
def test_with_tp_it_equals_one_unpadded_sequence_at_a_time(tiny, peer, tokenizer, span):
    """Token prepending in batches compared with sentence-transformers' own modules, prompt by prompt."""
    found = embedder(tiny, token_prepending=span).encode(TEXTS, normalize=False)
    decoder, dense = peer[0].auto_model, peer[2].linear
    for row, text in enumerate(TEXTS):
        ids = torch.tensor([tokenizer(render(PROFILE, text))["input_ids"]])
        place, end = torch.tensor([4]), torch.tensor([ids.shape[1] - 1])
        positions = {"placeholder_positions": place, "last_positions": end}
        with torch.no_grad(), token_prepending(decoder, **positions, first_layer=span[0], last_layer=span[1]):
            expected = dense(decoder(input_ids=ids).last_hidden_state[0, -1])
        assert np.abs(found[row] - expected.numpy()).max() < 1e-5


def test_auto_is_what_the_profile_says(tiny):
    on, auto = (embedder(tiny, token_prepending=tp).encode(TEXTS) for tp in ("on", "auto"))
    off = embedder(tiny, token_prepending="off").encode(TEXTS)
    assert np.array_equal(on, auto)
    assert np.abs(on - off).max() > 1e-3
    assert embedder(tiny, profile="plain").settings.token_prepending is None


def test_vectors_do_not_depend_on_the_batch(tiny):
    many = embedder(tiny).encode(TEXTS)
    one = embedder(tiny, batch_tokens=1).encode(TEXTS)
    assert np.abs(many - one).max() < 1e-6


def test_order_duplicates_and_nothing(tiny):
    model = embedder(tiny)
    once = model.encode(TEXTS)
    again = model.encode([*TEXTS[::-1], TEXTS[0]])
    assert np.abs(again[:-1][::-1] - once).max() < 1e-6
    assert model.encode([]).shape == (0, 96)


def test_bfloat16_stays_close_and_keeps_float32_at_the_end(tiny):
    exact, rough = (embedder(tiny, dtype=dtype).encode(TEXTS) for dtype in ("float32", "bfloat16"))
    assert rough.dtype == np.float32
    assert (exact * rough).sum(axis=1).min() > 0.99
    assert np.allclose(np.linalg.norm(rough, axis=1), 1, atol=1e-6)


def test_a_prompt_without_a_token_gets_the_zero_vector(tiny):
    model = embedder(tiny, profile="plain")
    alone, beside = model.encode([""]), model.encode(["a", ""])
    assert not alone.any() and not beside[1].any()
    assert np.abs(beside[0] - model.encode(["a"])[0]).max() < 1e-6


def test_another_reading_shares_the_weights(tiny):
    model = embedder(tiny)
    for span in ((1, 6), None):
        other = model.with_token_prepending(span)
        assert other.model is model.model
        assert np.array_equal(other.encode(TEXTS), embedder(tiny, token_prepending=span or "off").encode(TEXTS))
    assert model.settings.token_prepending == (1, 7)


def test_a_bare_decoder_with_its_language_model_head_works(tmp_path, tiny, tokenizer):
    """A plain language model: there is no projection, and the head is not used."""
    torch.manual_seed(0)
    decoder = make_decoder("Qwen2", vocab_size=len(tokenizer))
    decoder.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    with_head = {f"model.{k}": v for k, v in weights.items()} | {"lm_head.weight": torch.zeros(len(tokenizer), 64)}
    save_file(with_head, tmp_path / "model.safetensors", {"format": "pt"})
    found = embedder(tmp_path, token_prepending="off").encode(["天气"], normalize=False)
    ids = torch.tensor([tokenizer(render(PROFILE, "天气"))["input_ids"]])
    with torch.no_grad():
        expected = decoder(input_ids=ids).last_hidden_state[0, -1]
    assert np.abs(found[0] - expected.numpy()).max() < 1e-5


@pytest.fixture
def remote(tiny, tokenizer, tmp_path, monkeypatch):
    """A function that gives the model its own code for token prepending; the side effects of loading it are undone."""
    mapping = transformers.models.auto.modeling_auto.MODEL_MAPPING
    monkeypatch.setattr(mapping, "_extra_content", dict(mapping._extra_content))
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("sys.path", [*sys.path])
    placeholder = tokenizer.convert_tokens_to_ids("<|im_start|>")
    return lambda last_layer: with_remote_code(
        tiny, tmp_path / f"remote-{last_layer}", placeholder=placeholder, last_layer=last_layer
    )


def test_stock_classes_are_used_also_after_a_load_with_remote_code(tiny, remote):
    """Code may register its class for the stock config in the whole process; ours must not use it."""
    folder = remote(7)
    with (folder / "modeling_prepending.py").open("a") as code:
        code.write("\n\nimport transformers\n\n")
        code.write("transformers.AutoModel.register(transformers.Qwen3Config, PrependingQwen3, exist_ok=True)\n")
    before = embedder(tiny, token_prepending="off").encode(TEXTS)
    loaded = type(transformers.AutoModel.from_pretrained(folder, trust_remote_code=True))
    assert loaded.__name__ == "PrependingQwen3"
    assert type(transformers.AutoModel.from_pretrained(tiny)) is loaded  # transformers itself is affected
    for checkpoint in (folder, tiny):
        model = embedder(checkpoint, token_prepending="off")
        assert type(model.model) is transformers.Qwen3Model
        assert np.array_equal(model.encode(TEXTS), before)


@pytest.mark.parametrize("last", [6, 7])
def test_with_trust_remote_code_the_checkpoints_code_runs_and_ours_stays_off(tiny, remote, last):
    """Only its own token prepending runs: ours on top of it would silently turn 1-6 into 1-7."""
    own_code = embedder(remote(last), trust_remote_code=True)
    assert type(own_code.model).__name__ == "PrependingQwen3"
    assert own_code.settings.token_prepending is None
    expected = embedder(tiny, token_prepending=(1, last)).encode(TEXTS)
    assert np.abs(own_code.encode(TEXTS) - expected).max() < 1e-5


def test_token_prepending_of_ours_is_refused_where_the_checkpoints_code_runs(remote):
    folder = remote(6)
    for asked in ("on", "off", (1, 6)):
        with pytest.raises(BadInput, match="own code decides on token prepending"):
            embedder(folder, token_prepending=asked, trust_remote_code=True)


def test_what_would_change_the_checkpoints_code_is_refused(remote):
    folder = remote(6)
    for asked in ({"fp8": True, "dtype": "bfloat16"}, {"compile": True}):
        with pytest.raises(BadInput, match="own code runs as it is; drop fp8 and compile"):
            embedder(folder, trust_remote_code=True, **asked)
    with pytest.raises(BadInput, match="attention='packed': the checkpoint's own code pads"):
        embedder(folder, trust_remote_code=True, attention="packed")


def test_code_counts_in_the_fingerprint_only_where_it_runs(tiny, remote):
    """Looking at the checkpoint's code later must not make every stored vector stale."""

    def fingerprint(folder, **options):
        checkpoint = find_checkpoint(str(folder))
        return resolve_settings(checkpoint, PROFILE, EncoderOptions(device="cpu", **options)).fingerprint(
            checkpoint, PROFILE
        )

    folder = remote(7)
    before = [fingerprint(folder), fingerprint(folder, trust_remote_code=True)]
    with (folder / "modeling_prepending.py").open("a") as code:
        code.write("# changed\n")
    after = [fingerprint(folder), fingerprint(folder, trust_remote_code=True)]
    assert after[0] == before[0]
    assert len({*before, after[1]}) == 3


def test_code_of_another_repository_is_refused(remote):
    folder = remote(7)
    edit_json(folder / "config.json", auto_map={"AutoModel": "org/other--modeling.X"})
    with pytest.raises(BadInput, match="code from another repository"):
        embedder(folder, trust_remote_code=True)


def test_trust_without_code_changes_nothing(tiny):
    trusting = embedder(tiny, trust_remote_code=True)
    assert trusting.settings == embedder(tiny).settings
    assert type(trusting.model) is transformers.Qwen3Model


def test_weights_go_straight_to_their_device(tiny, monkeypatch):
    """The meta device acts as a GPU: whatever is on the CPU when the model is sent there was in host memory."""
    sent, asked = [], []
    to, load_file = torch.nn.Module.to, head.load_file
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *a: sent.extend(self.parameters()) or to(self, *a))
    monkeypatch.setattr(head, "load_file", lambda path, device="cpu": asked.append(device) or load_file(path))
    checkpoint = find_checkpoint(str(tiny))
    decoder = loading.load_body(checkpoint, dtype=torch.bfloat16, device="meta", trust_remote_code=False)
    head.load_head(checkpoint, dtype=torch.bfloat16, device="meta")
    assert {p.device.type for p in [*decoder.parameters(), *decoder.buffers(), *sent]} == {"meta"}
    assert {p.dtype for p in decoder.parameters()} == {torch.bfloat16}
    assert asked == ["meta"]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda w: w.pop("layers.3.mlp.up_proj.weight"), "1 tensors missing .*layers.3.mlp.up_proj.weight"),
        (lambda w: w.update({"layers.3.extra": torch.zeros(2)}), "1 tensors unexpected .*layers.3.extra"),
        (lambda w: w.update({"norm.weight": torch.zeros(3)}), "another shape .*norm.weight"),
    ],
)
def test_every_tensor_is_accounted_for(tmp_path, tiny, break_it, message):
    folder = copy_of(tiny, tmp_path)
    weights = load_file(folder / "model.safetensors")
    break_it(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=message):
        embedder(folder)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda d: edit_json(d / "1_Pooling/config.json", pooling_mode="mean_sqrt_len_tokens"), "pooling mean_sqrt"),
        (
            lambda d: edit_json(d / "2_Dense/config.json", activation_function="torch.nn.Softmax"),
            "activation torch.nn.Softmax",
        ),
        (lambda d: edit_json(d / "2_Dense/config.json", bias=False), "cannot load the Dense module"),
        (lambda d: edit_json(d / "config.json", model_type="nobody"), "nobody.*trust_remote_code=True"),
        (lambda d: (d / "model.safetensors").rename(d / "model.bin"), r"no \*.safetensors"),
        (lambda d: (d / "config.json").unlink(), "not a model folder"),
        (lambda d: (d / "config.json").write_text("{"), "cannot read"),
        (lambda d: (d / "tokenizer.json").unlink(), "tokenizer"),
    ],
)
def test_a_broken_folder_is_named(tmp_path, tiny, break_it, message):
    folder = copy_of(tiny, tmp_path)
    break_it(folder)
    with pytest.raises(BadInput, match=message):
        embedder(folder)


def test_the_profiles_own_model_must_have_its_parameter_count(tmp_path, tiny):
    folder = shutil.copytree(tiny, tmp_path / "QZhou-Embedding-Zh")
    with pytest.raises(BadInput, match="parameters, but profile qzhou-zh is of a model with 7,575,747,328"):
        embedder(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token_prepending": (1, 9)}, "layers 0 to 8"),
        ({"token_prepending": "sometimes"}, "choose auto, on, off"),
        ({"dtype": "float8"}, "dtype='float8'"),
        ({"truncate": "middle"}, "truncate='middle'"),
        ({"max_length": 0}, "max_length=0"),
        ({"profile": "plain", "token_prepending": "on"}, "names no placeholder"),
    ],
)
def test_settings_that_cannot_work_are_refused(tiny, options, message):
    with pytest.raises(BadInput, match=message):
        embedder(tiny, **options)


def test_a_dimension_wider_than_the_model_is_refused(tiny):
    with pytest.raises(BadInput, match=r"dim=97.*96 dimensions"):
        embedder(tiny).encode(["a"], dim=97)


def test_a_prompt_without_the_placeholder_is_refused(tiny):
    with pytest.raises(BadInput, match=r"does not have <\|im_start\|> as token 4"):
        embedder(tiny).encode_prompts(["今天天气很好"])
