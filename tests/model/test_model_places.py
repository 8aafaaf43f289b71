"""Where a model is: a folder however it is spelled, a snapshot in the hub's cache, a place without a model."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from model_folders import come_in, warnings_of

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint


@pytest.mark.parametrize("spelled", ["model", "./model", "model/", "{}", "{}/", "~/model", "../{0.parent.name}/model"])
def test_a_folder_is_found_however_it_is_spelled(folder, monkeypatch, spelled):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert come_in(spelled.format(folder))[0].name == "local/model"


def test_a_path_with_spaces_and_letters_of_all_kinds(folder):
    place = folder.rename(folder.parent / "模型 v1 (final)")
    assert come_in(place)[0].name == "local/模型 v1 _final_"


@pytest.mark.parametrize(
    ("spelled", "words"),
    [
        ("", "empty; give a folder"),
        (" ", "empty; give a folder"),
        ("model/config.json", "a file, and not a GGUF one; give the model's folder, model"),
        ("~nobody-of-that-name/model", "model_name_or_path='~nobody-of-that-name/model': "),
        ("x" * 300, "name too long"),
        ("org/name/more", "no such folder, and not an org/name"),
        ("name", "no such folder, and not an org/name"),
        ("nowhere/", "no such folder, and not an org/name"),
        ("mod\0el", "no such folder"),
    ],
)
def test_a_place_that_is_none_is_named(folder, monkeypatch, spelled, words):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(BadInput) as error:
        find_checkpoint(spelled)
    assert words in str(error.value)


def test_a_folder_that_could_be_a_name_on_the_hub_is_said(folder, monkeypatch, caplog):
    (folder.parent / "org").mkdir()
    folder.rename(folder.parent / "org/name")
    monkeypatch.chdir(folder.parent)
    assert find_checkpoint("org/name").name == "local/name"
    assert warnings_of(caplog) == ["org/name: using the local folder of that name, not the model on the hub"]
    with pytest.raises(BadInput, match="revision='main': org/name is a folder"):
        find_checkpoint("org/name", revision="main")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def snapshot(tiny, tmp_path) -> Path:
    """The good folder as the hub's client stores it: links to blobs that are named by their hash."""
    root = tmp_path / "models--Some-Org--a.model"
    found = root / "snapshots" / COMMIT
    (root / "blobs").mkdir(parents=True)
    for path in (p for p in tiny.rglob("*") if p.is_file()):
        content = path.read_bytes()
        large = path.suffix == ".safetensors"
        name = hashlib.sha256(content) if large else hashlib.sha1(b"blob %d\0" % len(content) + content)
        (root / "blobs" / name.hexdigest()).write_bytes(content)
        link = found / path.relative_to(tiny)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(root / "blobs" / name.hexdigest(), link.parent))
    return found


def test_a_snapshot_of_the_hubs_cache_has_the_repositorys_name_and_commit(snapshot):
    found, _ = come_in(snapshot)
    assert (found.name, found.revision) == ("Some-Org/a.model", COMMIT)


@pytest.mark.parametrize("how", ["weights changed", "text changed", "a file added", "a copy", "another folder"])
def test_what_is_not_the_caches_own_is_local(snapshot, how):
    if how.endswith("changed"):
        link = snapshot / ("model.safetensors" if how.startswith("weights") else "tokenizer_config.json")
        blob = link.resolve()
        content = bytearray(blob.read_bytes())
        content[-2:] = content[-2:][::-1] if how.startswith("weights") else b" }"
        blob.write_bytes(content)
    elif how == "a file added":
        (snapshot / "generation_config.json").write_text("{}")
    elif how == "a copy":
        copy = shutil.copytree(snapshot, snapshot.parents[3] / "models--a--b" / "snapshots" / COMMIT)
        snapshot = copy
    else:
        snapshot = snapshot.rename(snapshot.parent / "main")
    found = find_checkpoint(str(snapshot))
    assert found.name == f"local/{snapshot.name}"
    assert found.revision == f"local-{found.digest[:12]}"
