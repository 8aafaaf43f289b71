"""Which tokens a token attends to: by the configuration or the profile, and checked by what the model computes."""

import json
import shutil
from functools import partial

import pytest
import torch
import transformers
from checkpoints import edit_json
from decoders import DECODERS, make_decoder
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from qzhou_eval import Embedder
from qzhou_eval.errors import BadInput
from qzhou_eval.model.direction import needs_mask
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


def test_every_masked_language_model_of_transformers_is_read_as_an_encoder(folder):
    for kind in sorted(MASKED - SEQUENCE_TO_SEQUENCE):
        edit_json(folder / "config.json", model_type=kind)
        assert find_checkpoint(str(folder)).both_ways


def test_every_encoder_decoder_of_transformers_is_refused_by_name(folder):
    kinds = [kind for kind in sorted(SEQUENCE_TO_SEQUENCE) if CONFIG_MAPPING[kind].is_encoder_decoder is True]
    for kind in {*kinds, "t5", "bart", "mbart", "marian", "pegasus"}:
        assert f"{kind} is an encoder-decoder" in refusal(folder, model_type=kind)
    assert "is an encoder-decoder" in refusal(folder, model_type="nobody", is_encoder_decoder=True)


def test_every_causal_language_model_of_transformers_is_read_as_one(folder):
    for kind in sorted(CAUSAL - MASKED - SEQUENCE_TO_SEQUENCE - {"whisper", "xlnet"}):
        edit_json(folder / "config.json", model_type=kind)
        assert not find_checkpoint(str(folder)).both_ways
    edit_json(folder / "config.json", model_type="bert", is_decoder=True)
    assert not find_checkpoint(str(folder)).both_ways


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"is_causal": False}, True),
        ({"use_bidirectional_attention": True}, True),
        ({"is_causal": True, "use_bidirectional_attention": None}, False),
        ({"use_bidirectional_attention": "vision"}, False),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_decoders_configuration_says_which_tokens_are_seen(folder, fields, expected, nested):
    if nested:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        fields = {"text_config": config | fields}
    edit_json(folder / "config.json", **fields)
    assert find_checkpoint(str(folder)).both_ways == expected


@pytest.mark.parametrize("value", ["no", 1, [True]])
def test_what_the_configuration_must_not_say(folder, value):
    assert f"config.json: is_causal is {value!r}; expected true or false" in refusal(folder, is_causal=value)


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


def states_of(model):
    def states(ids, masked):
        mask = torch.zeros(1, 1, ids.shape[1], ids.shape[1], dtype=model.dtype) if masked else None
        return model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state

    return states


def mask_needed(model, *, both_ways: bool) -> bool:
    return needs_mask(model, states_of(model), both_ways=both_ways, named="it")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["Bert", "XLMRoberta", "Albert", "Electra", "DebertaV2", "ModernBert", "MPNet"])
def test_an_encoder_is_seen_by_what_it_computes(name, dtype):
    model = small(name, pad_token_id=0).to(dtype)
    model.forward = partial(_without_cache, model.forward)
    assert not mask_needed(model, both_ways=True)
    with pytest.raises(BadInput, match="it is not causal: a token's state depends on later tokens"):
        mask_needed(model, both_ways=False)


def _without_cache(forward, *, use_cache, **inputs):
    return forward(**inputs)


@pytest.mark.parametrize("name", ["T5", "ViT"])
def test_what_gives_no_states_of_token_ids_is_refused(name):
    more = {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 4} if name == "T5" else {}
    with pytest.raises(BadInput, match="it does not turn token ids into hidden states"):
        mask_needed(small(name, **more), both_ways=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", DECODERS)
def test_a_decoder_is_causal_and_sees_both_ways_with_a_mask_alone(family, dtype):
    model = make_decoder(family, layers=2).to(dtype)
    assert not mask_needed(model, both_ways=False)
    assert mask_needed(model, both_ways=True)


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
    assert not mask_needed(small(name, **more), both_ways=False)


def test_a_model_without_attention_cannot_see_both_ways():
    model = small("Mamba")
    forward = model.forward
    model.forward = lambda input_ids, attention_mask, use_cache: forward(input_ids, use_cache=use_cache)
    with pytest.raises(BadInput, match="it cannot attend both ways: a token's state never depends on later tokens"):
        mask_needed(model, both_ways=True)


@pytest.fixture
def bert(tokenizer, tmp_path):
    """The folder of a bare encoder."""
    small("Bert", vocab_size=len(tokenizer)).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def test_a_bare_encoder_gives_a_vector_only_if_a_profile_says_how(bert, tmp_path):
    with pytest.raises(BadInput, match=r"does not say how a text's vector is made .*pooling: mean"):
        Embedder.from_pretrained(str(bert), profile="plain", max_length=64)
    with pytest.raises(BadInput, match="token prepending needs a causal decoder"):
        Embedder.from_pretrained(str(bert), profile="qzhou-zh", max_length=64)
    (tmp_path / "mean.yaml").write_text("{name: mean, extends: plain, source: a test, pooling: mean}")
    found = Embedder.from_pretrained(str(bert), profile=str(tmp_path / "mean.yaml"), max_length=64)
    assert (found.settings.pooling.name, found.settings.both_ways) == ("mean", True)


def test_an_encoder_that_nobody_knows_is_found_out_by_what_it_computes(bert, tmp_path, monkeypatch):
    monkeypatch.setattr(config_file, "_ENCODERS", "")
    with pytest.raises(BadInput, match=r"BertModel.* is not causal.*give a profile with attention: bidirectional"):
        Embedder.from_pretrained(str(bert), profile="plain", max_length=64)
    (tmp_path / "cls.yaml").write_text(
        "{name: cls, extends: plain, source: a test, pooling: cls, attention: bidirectional}"
    )
    assert Embedder.from_pretrained(str(bert), profile=str(tmp_path / "cls.yaml"), max_length=64).settings.both_ways
