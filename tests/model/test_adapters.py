"""LoRA adapters: merged at load into the base model that they name, every tensor of them applied, and recorded."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run_command
from safetensors.torch import load_file, save_file

from qzhou_eval import Embedder, cli
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint

TEXTS = ["今天天气很好", "一列火车", ""]
RANK, ALPHA = 4, 6
TARGETS = ("q_proj", "v_proj", "down_proj")


def make_adapter(base: Path, folder: Path, **config) -> Path:
    """An adapter with random weights, written without peft: its names and its config file as the hub has them."""
    torch.manual_seed(1)
    tensors = {}
    for name, weight in load_file(base / "model.safetensors").items():
        if name.split(".")[-2] in TARGETS:
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{stem}.lora_A.weight"] = torch.randn(RANK, weight.shape[1]) * 0.1
            tensors[f"{stem}.lora_B.weight"] = torch.randn(weight.shape[0], RANK) * 0.1
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    fields = {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "base_model_name_or_path": str(base),
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": list(TARGETS),
    }
    (folder / "adapter_config.json").write_text(json.dumps(fields | config))
    return folder


@pytest.fixture
def adapter(tiny, tmp_path) -> Path:
    return make_adapter(tiny, tmp_path / "adapter")


def vectors(folder: Path, **options) -> np.ndarray:
    return Embedder.from_pretrained(str(folder), profile="qzhou-zh", device="cpu", **options).encode(TEXTS)


def merged_by_hand(base: Path, adapter: Path, folder: Path) -> Path:
    """The base model's folder with W + alpha / r * B A in the place of each W that the adapter has."""
    shutil.copytree(base, folder)
    weights = load_file(folder / "model.safetensors")
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name in tensors:
        if ".lora_A." in name:
            weight = name.removeprefix("base_model.model.").replace(".lora_A.", ".")
            weights[weight] += ALPHA / RANK * tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_vectors_are_those_of_the_weights_merged_by_hand(tiny, adapter, tmp_path):
    expected = vectors(merged_by_hand(tiny, adapter, tmp_path / "merged"))
    assert np.abs(vectors(adapter) - expected).max() < 1e-5
    assert np.abs(vectors(tiny) - expected).max() > 1e-2


def test_an_adapter_trained_on_the_whole_language_model(tiny, adapter):
    expected = vectors(adapter)
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({name.replace("base_model.model.", "base_model.model.model."): t for name, t in tensors.items()}, path)
    assert np.array_equal(vectors(adapter), expected)


def test_the_base_models_head_and_pooling_are_used_if_the_adapter_has_none(tiny, adapter):
    base, found = find_checkpoint(str(tiny)), find_checkpoint(str(adapter))
    assert (found.head, found.pooling, found.width) == (base.head, base.pooling, base.width)
    assert (found.name, found.tokenizer) == ("local/adapter", base.tokenizer)
    assert found.weights_bytes == base.weights_bytes + (adapter / "adapter_model.safetensors").stat().st_size


def test_a_folder_of_sentence_transformers_own_with_its_modules_and_tokenizer(tiny, adapter):
    for name in ("1_Pooling", "2_Dense"):
        shutil.copytree(tiny / name, adapter / name)
    for name in ("modules.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny / name, adapter / name)
    from sentence_transformers import SentenceTransformer

    other = SentenceTransformer(str(adapter), device="cpu")
    found = find_checkpoint(str(adapter))
    assert (found.tokenizer, found.head[0].folder) == (adapter, adapter / "2_Dense")
    ours = Embedder.from_pretrained(str(adapter), profile="plain", device="cpu").encode(TEXTS[:2])
    theirs = other.encode(TEXTS[:2], normalize_embeddings=True)
    assert np.abs(ours - theirs).max() < 1e-5


def test_adapter_and_base_both_decide_the_digest(tiny, adapter, tmp_path):
    before = find_checkpoint(str(adapter))
    assert before.digest != find_checkpoint(str(tiny)).digest
    other_base = shutil.copytree(tiny, tmp_path / "other base")
    weights = load_file(other_base / "model.safetensors")
    weights["norm.weight"] += 1
    save_file(weights, other_base / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(other_base)}))
    on_other_base = find_checkpoint(str(adapter))
    assert on_other_base.weights_digest != before.weights_digest
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, adapter / "adapter_model.safetensors")
    assert find_checkpoint(str(adapter)).weights_digest != on_other_base.weights_digest


def _edit_tensors(edit):
    def apply(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        save_file(edit(load_file(path)), path)

    return apply


def _edit_config(**fields):
    def apply(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return apply


FAULTS = {
    "a layer that the model lacks": (
        _edit_tensors(lambda t: {name.replace("layers.2.", "layers.77."): value for name, value in t.items()}),
        r"adapter_model.safetensors: \d+ tensors not of this model \(base_model.model.layers.77",
    ),
    "a tensor is missing": (
        _edit_tensors(lambda t: dict(sorted(t.items())[1:])),
        "adapter_model.safetensors: 1 tensors missing",
    ),
    "another rank": (_edit_config(r=RANK + 1), "peft cannot load the adapter"),
    "a target that the model lacks": (_edit_config(target_modules=["query"]), "peft cannot load the adapter"),
    "no LoRA": (_edit_config(peft_type="PREFIX_TUNING"), "peft_type is 'PREFIX_TUNING'; only LORA"),
    "no base": (_edit_config(base_model_name_or_path=None), "no base_model_name_or_path, which says what"),
    "a base that is not there": (
        _edit_config(base_model_name_or_path="/nowhere/model"),
        "adapter_config.json: its base model, /nowhere/model: .*no such folder",
    ),
    "no weights": (lambda d: (d / "adapter_model.safetensors").unlink(), "no adapter_model.safetensors; an adapter in"),
    "truncated weights": (
        lambda d: os.truncate(d / "adapter_model.safetensors", 300),
        "adapter: peft cannot load the adapter",
    ),
    "a whole model beside it": (
        lambda d: (d / "config.json").write_text("{}"),
        "adapter_config.json: an adapter beside a whole model",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused_in_one_line(adapter, fault):
    breaks, message = FAULTS[fault]
    breaks(adapter)
    with pytest.raises(BadInput, match=message) as refused:
        vectors(adapter)
    assert "\n" not in str(refused.value)


def test_an_adapter_of_an_adapter(adapter, tmp_path):
    second = shutil.copytree(adapter, tmp_path / "second")
    _edit_config(base_model_name_or_path=str(adapter))(second)
    with pytest.raises(BadInput, match="is an adapter too; merge that one first"):
        find_checkpoint(str(second))


@pytest.mark.slow
def test_a_run_records_its_base(adapter, tiny, official, tmp_path, caplog):
    assert cli.main(run_command(adapter, official, tmp_path / "out", "--tasks", "STSB", "--dim", "96")) == 0
    assert "54 tensors merged into the base model" in caplog.text
    (entry,) = json.loads((tmp_path / "out/manifest.json").read_text())["variants"].values()
    base = find_checkpoint(str(tiny))
    assert entry["provenance"]["model"]["adapter_of"] == {"name": base.name, "revision": base.revision}
