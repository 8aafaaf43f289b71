"""Weights as a pickle: loaded only if that is allowed, with the same vectors, recorded; nothing in it ever runs."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run_command
from safetensors.torch import load_file

from qzhou_eval import Embedder, cli
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint

TEXTS = ["今天天气很好", "一列火车", ""]


def as_pickle(folder: Path) -> None:
    """Save a folder's weights as older versions of transformers and sentence-transformers did."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.fixture
def pickled(tiny, tmp_path) -> Path:
    folder = shutil.copytree(tiny, tmp_path / "model")
    as_pickle(folder)
    as_pickle(folder / "2_Dense")
    return folder


def vectors(folder: Path, **options) -> np.ndarray:
    return Embedder.from_pretrained(str(folder), profile="qzhou-zh", device="cpu", **options).encode(TEXTS)


def test_the_vectors_are_those_of_safetensors(tiny, pickled):
    assert np.array_equal(vectors(pickled, allow_pickle=True), vectors(tiny))


def test_several_files_with_an_index(tiny, pickled):
    weights = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    names, weight_map = list(weights), {}
    for number, some in enumerate((names[::2], names[1::2]), start=1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: weights[name] for name in some}, pickled / file)
        weight_map |= dict.fromkeys(some, file)
    (pickled / "pytorch_model.bin").unlink()
    (pickled / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert np.array_equal(vectors(pickled, allow_pickle=True), vectors(tiny))


@pytest.mark.parametrize("where", ["", "2_Dense"])
def test_without_the_flag_each_is_refused_by_name(tiny, tmp_path, where):
    folder = shutil.copytree(tiny, tmp_path / "model")
    as_pickle(folder / where)
    with pytest.raises(BadInput, match="its weights are a pickle, which can hold code; allow_pickle=True reads it"):
        vectors(folder)


def test_a_pickle_beside_safetensors_is_never_read(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(b"anything")
    assert np.array_equal(vectors(folder, allow_pickle=True), vectors(tiny))
    assert not find_checkpoint(str(folder), allow_pickle=True).pickled


class Runs:
    """An object whose pickle, when it is read in the ordinary way, makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("where", ["", "2_Dense"])
def test_code_in_a_pickle_never_runs_and_is_one_line(pickled, monkeypatch, tmp_path, where):
    monkeypatch.chdir(tmp_path)
    (pickled / where / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Runs()}))
    with pytest.raises(BadInput, match=r"pytorch_model\.bin: torch's weights-only loader cannot read it"):
        vectors(pickled, allow_pickle=True)
    assert not Path("ran").exists()


@pytest.mark.parametrize("content", [[1, 2], {"weight": "text"}])
def test_what_holds_no_tensors_by_name_is_one_line(pickled, content):
    torch.save(content, pickled / "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"pytorch_model\.bin: it does not hold tensors by name"):
        vectors(pickled, allow_pickle=True)


@pytest.mark.slow
def test_a_run_records_it_and_another_pickle_is_another_revision(pickled, official, tmp_path):
    command = run_command(pickled, official, tmp_path / "out", "--tasks", "STSB", "--dim", "96", "--allow_pickle")
    assert cli.main(command) == 0
    (entry,) = json.loads((tmp_path / "out/manifest.json").read_text())["variants"].values()
    assert entry["provenance"]["model"]["pickle"] is True
    before = find_checkpoint(str(pickled), allow_pickle=True).revision
    weights = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    weights["norm.weight"] *= 1.01
    torch.save(weights, pickled / "pytorch_model.bin")
    assert find_checkpoint(str(pickled), allow_pickle=True).revision != before
