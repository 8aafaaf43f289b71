"""What is not a causal decoder is refused by name: first by its configuration, else at load by what it computes."""

import json
import shutil

import pytest
import torch
import transformers
from checkpoints import edit_json
from decoders import DECODERS, make_decoder
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from qzhou_eval import Embedder
from qzhou_eval.errors import BadInput
from qzhou_eval.model.causal import check_causal
from qzhou_eval.model.folder import config_file
from qzhou_eval.model.folder.checkpoint import find_checkpoint

MASKED = set(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
SEQUENCE_TO_SEQUENCE = set(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)
CAUSAL = set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


@pytest.fixture
def folder(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "model")


def refusal(folder, **config) -> str:
    edit_json(folder / "config.json", **config)
    with pytest.raises(BadInput) as error:
        find_checkpoint(str(folder))
    return str(error.value)


def test_every_masked_language_model_of_transformers_is_refused_by_name(folder):
    for kind in sorted(MASKED - SEQUENCE_TO_SEQUENCE):
        said = refusal(folder, model_type=kind, architectures=["SomeModel"])
        assert f"config.json: {kind} (SomeModel) is an encoder" in said
        assert "only causal decoders are supported" in said


def test_every_encoder_decoder_of_transformers_is_refused_by_name(folder):
    kinds = [kind for kind in sorted(SEQUENCE_TO_SEQUENCE) if CONFIG_MAPPING[kind].is_encoder_decoder is True]
    for kind in {*kinds, "t5", "bart", "mbart", "marian", "pegasus"}:
        assert f"{kind} (SomeModel) is an encoder-decoder" in refusal(
            folder, model_type=kind, architectures=["SomeModel"]
        )
    assert "is an encoder-decoder" in refusal(folder, model_type="nobody", is_encoder_decoder=True)


def test_no_causal_language_model_of_transformers_is_refused_by_its_name(folder):
    for kind in sorted(CAUSAL - MASKED - SEQUENCE_TO_SEQUENCE - {"whisper", "xlnet"}):
        edit_json(folder / "config.json", model_type=kind)
        assert find_checkpoint(str(folder)).architecture.kind == kind


@pytest.mark.parametrize("fields", [{"is_causal": False}, {"use_bidirectional_attention": True}])
@pytest.mark.parametrize("nested", [False, True])
def test_a_decoder_with_attention_in_both_directions_is_refused(folder, fields, nested):
    if nested:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        fields = {"text_config": config | fields}
    assert "qwen3 (Qwen3Model) is not causal (" in refusal(folder, **fields)


def test_its_own_code_may_do_what_the_stock_class_cannot(folder):
    said = refusal(folder, is_causal=False, auto_map={"AutoModel": "modeling_own.Model"})
    assert "its own code, modeling_own.Model, may work: read it, then give trust_remote_code=True" in said
    (folder / "modeling_own.py").write_text("class Model: ...\n")
    assert find_checkpoint(str(folder), trust_remote_code=True).own_code == "modeling_own.Model"


def test_a_model_of_images_is_refused(folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for name in ("vocab_size", "max_position_embeddings"):
        config.pop(name)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "vit"}))
    with pytest.raises(BadInput, match=r"config.json: no vocab_size; is this a decoder"):
        find_checkpoint(str(folder))


SMALL = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def small(name: str, **more) -> torch.nn.Module:
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SMALL | more)
    return getattr(transformers, f"{name}Model")(config).eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["Bert", "XLMRoberta", "Albert", "Electra", "DebertaV2", "ModernBert", "MPNet"])
def test_an_encoder_is_seen_by_what_it_computes(name, dtype):
    with pytest.raises(BadInput, match=f"here: {name}Model is not causal"):
        check_causal(small(name, pad_token_id=0).to(dtype), "here")


@pytest.mark.parametrize("name", ["T5", "ViT"])
def test_what_gives_no_states_of_token_ids_is_refused(name):
    more = {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 4} if name == "T5" else {}
    with pytest.raises(BadInput, match=f"here: {name}Model does not turn token ids into hidden states"):
        check_causal(small(name, **more), "here")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", DECODERS)
def test_a_decoder_passes(family, dtype):
    check_causal(make_decoder(family, layers=2).to(dtype), "here")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("GPT2", {}),
        ("OPT", {"ffn_dim": 96, "word_embed_proj_dim": 64}),
        ("Bloom", {}),
        ("GPTNeoX", {}),
        ("Mamba", {}),
        ("Mixtral", {"num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2}),
        ("Bert", {"is_decoder": True}),
    ],
)
def test_other_decoders_pass_with_experts_and_without_attention(name, more):
    check_causal(small(name, **more), "here")


@pytest.fixture
def bert(tokenizer, tmp_path):
    """The folder of a bare encoder."""
    small("Bert", vocab_size=len(tokenizer)).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


@pytest.mark.parametrize("profile", ["plain", "qzhou-zh"])
def test_a_bare_encoder_never_gives_a_vector(bert, monkeypatch, profile):
    """The second time it passes the configuration check, as an architecture would that is still unknown."""
    with pytest.raises(BadInput, match=r"config.json: bert \(BertModel\) is an encoder"):
        Embedder.from_pretrained(str(bert), profile=profile, max_length=64, token_prepending="off")
    monkeypatch.setattr(config_file, "_ENCODERS", "")
    span = "off" if profile == "plain" else (0, 1)
    with pytest.raises(BadInput, match="BertModel is not causal"):
        Embedder.from_pretrained(str(bert), profile=profile, max_length=64, token_prepending=span)
