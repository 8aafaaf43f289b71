"""The store returns what was put in, reads complete shards only, and never takes damage for good data."""

import hashlib
import logging

import pytest
import torch
from safetensors.torch import save

from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.errors import BadInput

FINGERPRINT = "0f" * 32


def keys(*names: str) -> list[bytes]:
    return [prompt_key(name) for name in names]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path, FINGERPRINT)
    store.create({"why": "test"})
    return store


def reopened(tmp_path) -> Store:
    store = Store(tmp_path, FINGERPRINT)
    store.refresh()
    return store


def test_a_shard_whose_vectors_are_not_its_keys_is_set_aside(tmp_path, store, caplog):
    """The checksum fits, so the file was written wrong."""
    content = save({"keys": torch.zeros(2, 16, dtype=torch.uint8), "vectors": torch.zeros(1, 4)})
    shard = store.folder / f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
    shard.write_bytes(content)
    assert reopened(tmp_path).keys() == []
    assert "it has 1 vectors for 2 keys" in caplog.text and shard.with_suffix(".damaged").exists()


def test_shards_of_two_widths_are_never_read_together(tmp_path, store):
    store.add(keys("a"), torch.randn(1, 4))
    store.add(keys("b"), torch.randn(1, 3))
    with pytest.raises(BadInput, match=r"safetensors: its vectors have \d components, those of another shard"):
        reopened(tmp_path).get(keys("a", "b"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_vectors_come_back_exactly_in_the_order_asked(tmp_path, store, dtype):
    vectors = torch.randn(5, 7).to(dtype)
    store.add(keys("a", "b", "c"), vectors[:3])
    store.add(keys("d", "e"), vectors[3:])
    for opened in (store, reopened(tmp_path)):
        found = opened.get(keys("e", "a", "c", "a"))
        assert found.dtype == torch.float32
        assert torch.equal(found, vectors[[4, 0, 2, 0]].float())


def test_every_vector_says_what_it_was_made_with_and_no_writer_loses_anothers(tmp_path, store):
    for text, machine in (("a", "one"), ("b", "two"), ("c", "one"), ("d", None)):
        Store(tmp_path, FINGERPRINT).add(keys(text), torch.ones(1, 2), machine and {"machine": machine})
    for opened in (reopened(tmp_path), store):
        opened.refresh()
        assert opened.made_with(keys("a", "c")) == [{"machine": "one"}]
        assert sorted(one["machine"] for one in opened.made_with(keys("a", "b", "c", "d"))) == ["one", "two"]
        assert opened.made_with(keys("d", "not there")) == []
    for path in store.folder.glob("made-with-*.json"):
        path.write_text("{")
    assert reopened(tmp_path).made_with(keys("a")) == [{}]


def test_vectors_made_again_stand_beside_the_earlier_ones_and_are_read_in_their_place(tmp_path, store):
    first, second, third = (torch.full((1, 2), float(value)) for value in (1, 2, 3))
    store.add(keys("a"), first)
    store.add(keys("b"), first)
    again = store.again()
    assert store.missing(keys("a", "b", "c")) == [2] and again.missing(keys("a", "b")) == [0, 1]
    again.add(keys("a"), second)
    assert again.missing(keys("a", "b")) == [1]
    for opened in (store, again, reopened(tmp_path)):
        assert torch.equal(opened.get(keys("a", "b")), torch.cat([second, first]))
        made, before = opened.earlier(keys("a", "b"))
        assert made == keys("a") and torch.equal(before, first)
    assert reopened(tmp_path).again().round == 1  # it was not ended, so the same round goes on
    again.end_round()
    third_round = reopened(tmp_path).again()
    assert third_round.round == 2
    third_round.add(keys("a"), third)
    store.add(keys("a"), torch.zeros(1, 2))  # another process, which knows nothing of the new round
    for opened in (third_round, reopened(tmp_path)):
        opened.refresh()
        assert torch.equal(opened.get(keys("a")), third)
        assert torch.equal(opened.earlier(keys("a"))[1], second)


def test_a_missing_key_is_an_error(store):
    store.add(keys("a"), torch.ones(1, 2))
    assert store.missing(keys("a", "b", "a", "c")) == [1, 3]
    with pytest.raises(KeyError, match="1"):
        store.get(keys("a", "b"))


def test_two_writers_see_each_other_after_a_refresh(tmp_path, store):
    other = reopened(tmp_path)
    store.add(keys("a"), torch.ones(1, 2))
    other.add(keys("b"), torch.zeros(1, 2))
    store.refresh()
    assert torch.equal(store.get(keys("a", "b")), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))


def test_fingerprints_do_not_mix(tmp_path, store):
    store.add(keys("a"), torch.ones(1, 2))
    other = Store(tmp_path, "ee" * 32)
    other.refresh()
    assert other.keys() == [] and other.missing(keys("a")) == [0]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_shard_is_set_aside_and_its_keys_are_missing(tmp_path, store, damage, caplog):
    store.add(keys("a", "b"), torch.randn(2, 50))
    store.add(keys("c"), torch.randn(1, 50))
    shard = reopened(tmp_path)._shards[0].path
    content = bytearray(shard.read_bytes())
    content[-9] ^= 4
    shard.write_bytes({"flip": content, "cut": content[:-20], "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        opened = reopened(tmp_path)
    assert opened.missing(keys("a", "b", "c")) in ([0, 1], [2])
    assert "set aside" in caplog.text
    assert shard.with_suffix(".damaged").exists()


def test_an_unfinished_file_is_never_read(tmp_path, store, monkeypatch):
    def die(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("qzhou_eval.system.files.os.fsync", die)
    with pytest.raises(BadInput, match=r"cannot write there \(No space left on device\); what is done is kept"):
        store.add(keys("a"), torch.ones(1, 2))
    assert [p.name for p in store.folder.iterdir()] == ["settings.json"]
    (store.folder / ".tmp-killed").write_bytes(b"half")
    assert reopened(tmp_path).keys() == []
