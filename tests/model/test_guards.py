"""Loaders that change what is sent: each guard is shown by breaking what it guards."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from model_folders import warnings_of
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, normalizers

from qzhou_eval import Embedder, cli
from qzhou_eval.errors import BadInput

TEXTS = ["今天天气很好", "The Quick Brown Fox"]


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    return shutil.copytree(tiny, tmp_path / "model")


def edit(path: Path, **fields) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields), "utf-8")


def load(folder: Path, profile: str = "plain") -> Embedder:
    return Embedder.from_pretrained(str(folder), profile=profile, device="cpu")


def test_nothing_is_wrong_with_a_sound_folder(folder, caplog):
    assert load(folder).guards == {
        "token ids": "as AutoTokenizer's on 40 texts",
        "each text ends with": "no special token",
        "attention": "causal, by a forward pass",
        "modules run": "Transformer, pooling last token, Dense",
    }
    assert warnings_of(caplog) == []


def test_a_class_that_rebuilds_the_tokenizer_from_parts_of_its_file(folder, caplog):
    """transformers' Qwen2Tokenizer replaces the file's normalizer by its own: sentence-transformers sends other ids."""
    path = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(path))
    edit(folder / "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer")
    found = load(folder)
    peer = SentenceTransformer(str(folder), device="cpu")
    differ = [number for number, text in enumerate(TEXTS) if peer.tokenizer(text)["input_ids"] != ids(found, text)]
    assert differ == [1]
    (line,) = warnings_of(caplog)
    assert "local/model: token ids other than AutoTokenizer's on " in line
    assert line.endswith("those of tokenizer.json are sent, sentence-transformers would send the others")
    assert found.made_with["guards"]["token ids"] in line


def ids(model: Embedder, text: str) -> list[int]:
    return list(model.tokenize([text])[0].ids)


def test_an_end_token_that_transformers_leaves_out(folder, caplog):
    edit(folder / "tokenizer_config.json", add_eos_token=True)
    found = load(folder)
    peer = SentenceTransformer(str(folder), device="cpu")
    end = found.tokenize.tokenizer.token_to_id("<|im_end|>")
    assert ids(found, TEXTS[0]) == [*peer.tokenizer(TEXTS[0])["input_ids"], end]
    assert found.guards["each text ends with"] == "<|im_end|>"
    assert any("on 40 of 40 texts, which leaves out <|im_end|> at the end" in line for line in warnings_of(caplog))


def test_the_end_token_of_a_profile_may_be_the_tokenizers_own(folder, tmp_path, caplog):
    profile = tmp_path / "mine.yaml"
    profile.write_text("name: mine\nextends: plain\nsource: this test\nend_token: eos_token\n")
    found = load(folder, str(profile))
    assert found.guards["each text ends with"] == "<|im_end|>"
    assert ids(found, TEXTS[0])[-1] == found.tokenize.tokenizer.token_to_id("<|im_end|>")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({name: v for name, v in json.loads(path.read_text()).items() if name != "eos_token"}))
    with pytest.raises(BadInput, match=r"asks for the tokenizer's eos_token, but tokenizer_config\.json names none"):
        load(folder, str(profile))


def test_another_attention_than_the_configurations_is_said_and_seen(folder, tmp_path):
    profile = tmp_path / "mine.yaml"
    profile.write_text("name: mine\nextends: plain\nsource: this test\nattention: bidirectional\n")
    both_ways, causal = load(folder, str(profile)), load(folder)
    assert both_ways.guards["attention"] == "bidirectional, by a forward pass"
    assert np.abs(both_ways.encode(TEXTS) - causal.encode(TEXTS)).max() > 1e-3


def test_a_module_is_run_or_refused(folder):
    with_dense = load(folder).encode(TEXTS)
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    path.write_text(json.dumps([module for module in modules if "Dense" not in module["type"]]))
    bare = load(folder)
    assert bare.guards["modules run"] == "Transformer, pooling last token"
    assert bare.encode(TEXTS).shape != with_dense.shape
    path.write_text(json.dumps([*modules, {"idx": 3, "name": "3", "path": "", "type": "mine.Whitening"}]))
    with pytest.raises(BadInput, match="cannot run modules Transformer, Pooling, Dense, Whitening"):
        load(folder)


def test_lower_case_that_is_not_applied_is_said(folder, caplog):
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 1024, "do_lower_case": true}')
    assert load(folder).guards["do_lower_case"] == "not used"
    assert "local/model: do_lower_case in sentence_bert_config.json is not used; texts keep their case" in caplog.text


@pytest.mark.slow
def test_a_run_records_them(folder, official, tmp_path):
    from commands import run_command

    assert cli.main(run_command(folder, official, tmp_path / "out", "--tasks", "STSB", "--dim", "96")) == 0
    (entry,) = json.loads((tmp_path / "out/manifest.json").read_text())["variants"].values()
    (made,) = entry["tasks"]["STSB"]["encoded_with"]
    assert made["guards"]["token ids"] == "as AutoTokenizer's on 40 texts"
