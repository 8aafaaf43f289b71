"""A model folder's files, each missing, damaged or contradicting another: one line names it, no model is loaded.

The tests do what every command does first: find the checkpoint, resolve the settings, open the tokenizer.
"""

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from checkpoints import edit_json
from model_folders import come_in
from safetensors.torch import load_file, save_file

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def test_a_good_folder_comes_in(folder, caplog):
    checkpoint, _ = come_in(folder)
    assert (checkpoint.layers, checkpoint.width, checkpoint.architecture.hidden) == (9, 96, 64)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


FILES = [
    *("config.json", "modules.json", "1_Pooling/config.json", "2_Dense/config.json", "tokenizer_config.json"),
    *("tokenizer.json", "model.safetensors", "2_Dense/model.safetensors", "sentence_bert_config.json"),
]

SPOILT = {
    "a Git LFS pointer": lambda path: path.write_text(POINTER),
    "empty": lambda path: path.write_bytes(b""),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a broken link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "UTF-16": lambda path: path.write_bytes('{"a": 1}'.encode("utf-16")),
    "byte-order mark": lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
}
WORDS = {"a Git LFS pointer": "git lfs pull", "half": "", "a folder": "is a folder, not a file"}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_named(folder, file, how):
    SPOILT[how](folder / file)
    with pytest.raises(BadInput) as error:
        come_in(folder)
    said = str(error.value)
    assert file in said or (file == "tokenizer.json" and f"{folder}: cannot load the tokenizer" in said)
    assert WORDS.get(how, how.split()[-1]) in said
    assert "\n" not in said


JSON_FILES = [file for file in FILES if file.endswith("config.json")]


@pytest.mark.parametrize("file", FILES)
def test_a_file_whose_name_has_another_case_is_never_left_out_in_silence(folder, file):
    path = folder / file
    path.rename(path.with_name(path.name.upper()))
    with pytest.raises(BadInput) as raised:
        come_in(folder)
    assert path.name in str(raised.value) and str(path.parent) in str(raised.value)


def test_modules_without_their_list_are_never_left_out_in_silence(folder):
    (folder / "modules.json").unlink()
    with pytest.raises(
        BadInput, match=f"{folder}: 1_Pooling is a module, but modules.json, which lists them, is missing"
    ):
        come_in(folder)


@pytest.mark.parametrize("file", JSON_FILES)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{'a': 1}", "not JSON"),
        ('{"a": "词'.encode("gbk"), "not UTF-8"),
        (b'{"a": 1, "a": 2}', "'a' occurs twice"),
        (b"[1]", "does not contain a dict"),
        (b"[" * 100_000, "not JSON"),
    ],
    ids=["quotes", "GBK", "twice", "list", "deep"],
)
def test_what_is_no_json_mapping_is_named(folder, file, content, words):
    (folder / file).write_bytes(content)
    with pytest.raises(BadInput, match=words) as error:
        come_in(folder)
    assert file in str(error.value)


def _tensors(path: Path, change) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def _shards(folder: Path, **weight_map) -> None:
    """Split the weights into two files with an index, in which ``weight_map`` changes names."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file, {"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = {name: file for file, part in parts.items() for name in part} | weight_map
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def _config(**fields):
    return lambda d: edit_json(d / "config.json", **fields)


def _without(file: str, *fields: str):
    def spoil(folder: Path) -> None:
        content = json.loads((folder / file).read_text("utf-8"))
        (folder / file).write_text(json.dumps({k: v for k, v in content.items() if k not in fields}), "utf-8")

    return spoil


def _tokenizer(**fields):
    return lambda d: edit_json(d / "tokenizer_config.json", **fields)


CONTRADICTIONS = {
    "layers as text": (_config(num_hidden_layers="28"), "config.json: num_hidden_layers is '28'"),
    "layers null": (_config(num_hidden_layers=None), "config.json: no num_hidden_layers or n_layer"),
    "layers negative": (_config(num_hidden_layers=-1), "num_hidden_layers is -1"),
    "layers zero": (_config(num_hidden_layers=0), "num_hidden_layers is 0"),
    "layers true": (_config(num_hidden_layers=True), "num_hidden_layers is True"),
    "hidden as float": (_config(hidden_size=64.0), "hidden_size is 64.0"),
    "no vocabulary": (_without("config.json", "vocab_size"), "no vocab_size"),
    "vocabulary of another size": (_config(vocab_size=9), "vocab_size is 9, but the embedding matrix has"),
    "positions as text": (_config(max_position_embeddings="512"), "max_position_embeddings is '512'"),
    "no model type": (_without("config.json", "model_type"), "model_type is None"),
    "model type a list": (_config(model_type=["qwen3"]), "model_type is ['qwen3']"),
    "auto_map a list": (_config(auto_map=["a.B"]), "auto_map is not a mapping"),
    "no out_features": (_without("2_Dense/config.json", "out_features"), "2_Dense/config.json: no out_features"),
    "out_features as text": (
        lambda d: edit_json(d / "2_Dense/config.json", out_features="96"),
        "2_Dense/config.json: out_features is '96'",
    ),
    "in_features of another size": (
        lambda d: edit_json(d / "2_Dense/config.json", in_features=65),
        "in_features is 65, but the vectors before it have 64 components",
    ),
    "projection of another shape": (
        lambda d: _tensors(d / "2_Dense/model.safetensors", lambda t: t.update({"linear.weight": torch.zeros(96, 65)})),
        "2_Dense: the stored linear.weight has shape (96, 65), not (96, 64) (config.json)",
    ),
    "pooling of another size": (
        lambda d: edit_json(d / "1_Pooling/config.json", word_embedding_dimension=65),
        "1_Pooling/config.json: pools vectors of 65 components",
    ),
    "no pooling folder": (lambda d: shutil.rmtree(d / "1_Pooling"), "config.json is missing in"),
    "no projection weights": (lambda d: (d / "2_Dense/model.safetensors").unlink(), "2_Dense: no *.safetensors file"),
    "a shard missing": (
        lambda d: (_shards(d), (d / "b.safetensors").unlink()),
        "b.safetensors: missing, but model.safetensors.index.json names it",
    ),
    "a shard cut": (
        lambda d: (_shards(d), (d / "b.safetensors").write_bytes((d / "b.safetensors").read_bytes()[:-9])),
        "b.safetensors: damaged or incomplete",
    ),
    "a tensor elsewhere": (
        lambda d: _shards(d, **{"norm.weight": "a.safetensors"}),
        "model.safetensors.index.json: norm.weight is not in a.safetensors",
    ),
    "an index of nothing": (
        lambda d: (d / "model.safetensors.index.json").write_text('{"weight_map": {}}'),
        "weight_map names no tensor",
    ),
    "an index of numbers": (
        lambda d: (d / "model.safetensors.index.json").write_text('{"weight_map": {"a": 3}}'),
        "weight_map: 3 is not a file",
    ),
    "two sets of weights": (
        lambda d: (
            shutil.copy(d / "model.safetensors", d / "kept"),
            _shards(d),
            (d / "kept").rename(d / "model.safetensors"),
        ),
        "two sets of weights",
    ),
    "weights of another name": (
        lambda d: (d / "model.safetensors").rename(d / "weights.safetensors"),
        "weights.safetensors, but neither model.safetensors nor",
    ),
    "half a download": (
        lambda d: ((d / "model.safetensors").rename(d / "x"), (d / "0a1b.incomplete").touch()),
        "the download of 0a1b.incomplete did not finish",
    ),
    "an end token that is none": (_tokenizer(add_eos_token=True, eos_token="</x>"), "is not a token of the tokenizer"),
    "an end token as number": (_tokenizer(add_eos_token=1.5), "add_eos_token is 1.5; expected true or false"),
    "a space in front": (
        _tokenizer(add_prefix_space=True),
        "says add_prefix_space: true, but tokenizer.json does the oppo",
    ),
    "an added token of another id": (
        _tokenizer(added_tokens_decoder={"7": {"content": "<|im_start|>"}}),
        "gives the token '<|im_start|>' the id 7, but tokenizer.json gives it",
    ),
    "an added token of one file": (
        lambda d: (d / "added_tokens.json").write_text('{"<x>": 2430}'),
        "added_tokens.json gives the token '<x>' the id 2430, but tokenizer.json has no such token",
    ),
    "added tokens as a list": (
        _tokenizer(added_tokens_decoder=["a"]),
        "added_tokens_decoder is not a mapping from ids to tokens",
    ),
    "a limit as text": (_tokenizer(model_max_length="1024"), "model_max_length is '1024'"),
    "an adapter": (
        lambda d: (d / "adapter_config.json").write_text('{"base_model_name_or_path": "Qwen/Qwen3-8B"}'),
        "adapter_config.json: an adapter beside a whole model, config.json; keep one of the two",
    ),
    "an adapter alone": (
        lambda d: (
            (d / "adapter_config.json").write_text("{}"),
            (d / "config.json").unlink(),
        ),
        "adapter_config.json: peft_type is None; only LORA adapters can be merged",
    ),
}


@pytest.mark.parametrize("row", CONTRADICTIONS)
def test_a_wrong_value_or_a_contradiction_is_named(folder, row):
    spoil, words = CONTRADICTIONS[row]
    spoil(folder)
    with pytest.raises(BadInput) as error:
        come_in(folder)
    assert words in str(error.value)


def test_shards_that_are_whole_come_in(folder):
    _shards(folder)
    assert come_in(folder)[0].layers == 9


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("gpt2", {"num_hidden_layers": "n_layer", "hidden_size": "n_embd", "max_position_embeddings": "n_positions"}),
        ("bloom", {"num_hidden_layers": "n_layer", "max_position_embeddings": "n_ctx"}),
        ("xglm", {"num_hidden_layers": "num_layers", "hidden_size": "d_model"}),
    ],
)
@pytest.mark.parametrize("nested", [None, "text_config", "llm_config"])
def test_sizes_are_read_however_they_are_spelled(folder, kind, names, nested):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config = {names.get(name, name): value for name, value in config.items()} | {"model_type": kind}
    (folder / "config.json").write_text(json.dumps({"model_type": kind, nested: config} if nested else config))
    read = find_checkpoint(str(folder)).architecture
    assert (read.layers, read.hidden, read.positions) == (9, 64, 2048)


def test_finding_a_checkpoint_imports_neither_torch_nor_transformers(tiny):
    code = (
        f"from qzhou_eval.model.folder.checkpoint import find_checkpoint\nfind_checkpoint({str(tiny)!r})\n"
        "import sys\nprint([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
