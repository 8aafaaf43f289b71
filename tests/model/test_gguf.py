"""GGUF files, given as a file or as the only one of a folder: vectors of the weights that they hold."""

import json
import logging
import os
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen3Config, Qwen3Model

from qzhou_eval import Embedder
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.folder.gguf_file import as_folder

TEXTS = ["今天天气很好", "一列火车", "bge"]
F32, Q8 = gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.Q8_0


def write_gguf(model: Path, path: Path, *, kind=F32, pooling: int | None = None, **more) -> Path:
    """Write a Qwen3 model folder as GGUF with the format's own writer.

    Args:
        kind: how matrices are stored.
        more: tensors (arrays), flags (bool) and texts to add, with ``__`` for each dot of their names.
    """
    config = json.loads((model / "config.json").read_text())
    layers = config["num_hidden_layers"]
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    if pooling is not None:
        writer.add_uint32("qwen3.pooling_type", pooling)
    _write_tokenizer(writer, json.loads((model / "tokenizer.json").read_text()))
    for name, value in more.items():
        add = {bool: writer.add_bool, str: writer.add_string}.get(type(value), writer.add_tensor)
        add(name.replace("__", "."), value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, layers)
    for name, tensor in load_file(model / "model.safetensors").items():
        array = tensor.float().numpy()
        stored = kind if array.ndim == 2 else F32
        data = gguf.quants.quantize(array, stored)
        writer.add_tensor(names.get_name(f"model.{name}", (".weight",)), data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer, tokenizer: dict) -> None:
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    numbered = {number: token for token, number in tokenizer["model"]["vocab"].items()} | special
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([numbered[number] for number in sorted(numbered)])
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if number in special else normal for number in sorted(numbered)])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(0)


@pytest.fixture
def bare(tiny, tmp_path) -> Path:
    """A decoder alone, which is all that GGUF holds; transformers reads no other size of a head than Qwen3's own."""
    folder = tmp_path / "bare"
    torch.manual_seed(0)
    config = Qwen3Config.from_pretrained(tiny, head_dim=128, num_hidden_layers=2, layer_types=["full_attention"] * 2)
    Qwen3Model(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny / name, folder / name)
    return folder


def embedder(model: Path) -> Embedder:
    return Embedder.from_pretrained(str(model), profile="plain", device="cpu")


def test_a_file_with_float32_tensors_gives_the_vectors_of_its_model(bare, tmp_path):
    file = write_gguf(bare, tmp_path / "my.model.gguf")
    ours, its_models = embedder(file), embedder(bare)
    assert [one.ids for one in ours.tokenize(TEXTS)] == [one.ids for one in its_models.tokenize(TEXTS)]
    assert np.abs(ours.encode(TEXTS) - its_models.encode(TEXTS)).max() < 1e-5
    assert ours.checkpoint.name == "local/my.model"


def test_eight_bits_come_close_and_are_another_model(bare, tmp_path):
    eight = embedder(write_gguf(bare, tmp_path / "eight.gguf", kind=Q8))
    cosines = (eight.encode(TEXTS) * embedder(bare).encode(TEXTS)).sum(axis=1)
    assert 0.99 < cosines.min() < cosines.max() < 0.999999
    assert eight.checkpoint.digest != find_checkpoint(str(write_gguf(bare, tmp_path / "full.gguf"))).digest


def test_it_is_dequantised_once(bare, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    file = write_gguf(bare, tmp_path / "model.gguf")
    first = find_checkpoint(str(file))
    assert caplog.text.count("dequantising to float32, once") == 1
    assert find_checkpoint(str(file)).folder == first.folder
    assert caplog.text.count("dequantising") == 1
    other = find_checkpoint(str(write_gguf(bare, file, kind=Q8)))  # another file under the same name
    assert other.folder != first.folder


def test_the_only_file_of_a_folder(bare, tmp_path):
    folder = tmp_path / "download"
    folder.mkdir()
    file = write_gguf(bare, folder / "a.gguf")
    assert find_checkpoint(str(folder)).digest == find_checkpoint(str(file)).digest
    shutil.copy(file, folder / "b.gguf")
    with pytest.raises(BadInput, match=r"2 GGUF files; give one of them, such as .*a\.gguf"):
        find_checkpoint(str(folder))


@pytest.mark.parametrize(("number", "name"), [(None, "last token"), (0, "last token"), (1, "mean"), (3, "last token")])
def test_its_pooling_is_used(bare, tmp_path, number, name):
    file = write_gguf(bare, tmp_path / "model.gguf", pooling=number)
    assert find_checkpoint(str(file)).pooling.name == name


def test_its_flags_for_attention_and_end_token_are_used(bare, tmp_path):
    flags = {"qwen3__attention__causal": False, "tokenizer__ggml__add_eos_token": True}
    file = write_gguf(bare, tmp_path / "model.gguf", pooling=1, **flags)
    found = embedder(file)
    assert found.checkpoint.both_ways
    assert [list(one.ids)[-1] for one in found.tokenize(TEXTS)] == [0, 0, 0]


def test_what_cannot_be_read_is_one_line_and_leaves_nothing(bare, tmp_path):
    projection = write_gguf(bare, tmp_path / "projection.gguf", dense_2__weight=np.ones((8, 64), np.float32))
    reranker = write_gguf(bare, tmp_path / "reranker.gguf", pooling=4)
    scaled = write_gguf(bare, tmp_path / "scaled.gguf", qwen3__rope__scaling__type="yarn")
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(write_gguf(bare, tmp_path / "whole.gguf").read_bytes()[:5000])
    (tmp_path / "empty.gguf").touch()
    for file, message in {
        projection: r"1 tensors other than the transformer's \(dense_2\.weight",
        scaled: r"scaled rotary positions \(yarn\)",
        reranker: "pooling_type 4; supported are 1, 2, 3",
        damaged: "damaged.gguf: transformers cannot read it",
        tmp_path / "empty.gguf": "empty.gguf: it is empty",
    }.items():
        with pytest.raises(BadInput, match=message) as refused:
            as_folder(file)
        assert "\n" not in str(refused.value)
    made = Path(os.environ["QZHOU_EVAL_CACHE"]).rglob("*.safetensors")
    assert [path for path in made if path.parent.name in ("projection", "reranker", "scaled", "damaged", "empty")] == []
