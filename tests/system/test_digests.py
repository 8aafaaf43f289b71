"""Digests of files are remembered, but never that of a file that has changed since, however it was changed."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from qzhou_eval.system import digests
from qzhou_eval.system.digests import sha256_of_files, sha256_of_json

HOUR = 3600 * 10**9


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """The test's own memory of digests."""
    monkeypatch.setenv("QZHOU_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def clock(monkeypatch):
    """A function that moves the clock a number of nanoseconds ahead of now."""
    real = time.time_ns
    return lambda ahead: monkeypatch.setattr(digests.time, "time_ns", lambda: real() + ahead)


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """The names of the files that were read for hashing, in order."""
    names, real = [], hashlib.file_digest

    def recorded(file, kind):
        names.append(Path(file.name).name)
        return real(file, kind)

    monkeypatch.setattr(digests.hashlib, "file_digest", recorded)
    return names


def written(tmp_path, text: str = "one") -> Path:
    path = tmp_path / "data" / "test.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def digest(path: Path) -> str:
    return sha256_of_files([path], path.parent)


def truth(path: Path) -> str:
    return sha256_of_json({path.name: hashlib.sha256(path.read_bytes()).hexdigest()})


def test_a_file_at_rest_is_hashed_once(tmp_path, clock, hashed):
    path = written(tmp_path)
    clock(HOUR)
    assert digest(path) == digest(path) == truth(path)
    assert hashed == ["test.jsonl"]


def in_place(path: Path) -> None:
    path.write_text("two")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("two")
    other.replace(path)


@pytest.mark.parametrize("edit", [in_place, replaced])
@pytest.mark.parametrize("times", ["new", "restored", "ancient", "future"])
def test_an_edit_of_the_same_size_is_seen_whatever_the_times_say(tmp_path, clock, edit, times):
    path = written(tmp_path)
    clock(HOUR)
    before, stat = digest(path), path.stat()
    edit(path)
    moments = {"restored": stat.st_mtime_ns, "ancient": 0, "future": time.time_ns() + 10 * HOUR}
    if times != "new":
        os.utime(path, ns=(moments[times], moments[times]))
    assert path.stat().st_size == stat.st_size
    assert digest(path) == truth(path) != before


def test_a_swap_of_two_files_is_seen(tmp_path, clock):
    """Same size, same times, both remembered: only the inode and the change time of a rename differ."""
    one, two = written(tmp_path), tmp_path / "data" / "two"
    two.write_text("two")
    moment = one.stat().st_mtime_ns
    os.utime(two, ns=(moment, moment))
    clock(HOUR)
    before = digest(one), digest(two)
    one.rename(tmp_path / "aside")
    two.rename(one)
    assert digest(one) == truth(one) != before[0]


@pytest.mark.parametrize("ahead", [0, 10**9, -HOUR], ids=["just written", "a second ago", "clock set back"])
def test_a_fresh_file_or_one_of_the_future_is_not_remembered(tmp_path, cache, clock, ahead, hashed):
    path = written(tmp_path)
    clock(ahead)
    assert digest(path) == digest(path) == truth(path)
    assert hashed == ["test.jsonl"] * 2
    assert not (cache / "digests.json").exists()


def test_a_time_of_the_future_set_on_an_old_file_is_not_remembered(tmp_path, clock, hashed):
    path = written(tmp_path)
    os.utime(path, ns=(time.time_ns() + 10 * HOUR,) * 2)
    clock(HOUR)
    assert digest(path) == digest(path) == truth(path)
    assert hashed == ["test.jsonl"] * 2


def test_after_a_clock_that_went_backwards_an_edit_that_leaves_every_time_is_seen(tmp_path, clock, monkeypatch):
    """The clock is set back and reaches a remembered moment again: the file looks the same; its digest is forgotten."""
    path = written(tmp_path)
    stat = path.stat()
    clock(HOUR)
    before = digest(path)
    path.write_text("two")
    with monkeypatch.context() as patched:
        patched.setattr(digests.os, "fstat", lambda _: stat)
        clock(0)
        assert digest(path) == truth(path) != before
        clock(HOUR)
        assert digest(path) == truth(path)


@pytest.mark.parametrize("content", ["{", "[]", "3", "null", '{"%s": "%s"}', '{"%s": ["%s"]}'])
def test_a_damaged_or_older_memory_is_no_memory(tmp_path, cache, clock, content):
    path = written(tmp_path)
    clock(HOUR)
    cache.mkdir()
    (cache / "digests.json").write_text(content.replace("%s", str(path)))
    assert digest(path) == truth(path)


def test_the_memory_keeps_one_entry_a_file(tmp_path, cache, clock):
    path = written(tmp_path)
    clock(HOUR)
    digest(path)
    path.write_text("another")
    digest(path)
    (entry,) = json.loads((cache / "digests.json").read_text()).values()
    assert entry["sha256"] == hashlib.sha256(b"another").hexdigest()


def test_names_count_and_a_read_only_memory_costs_nothing_but_time(tmp_path, cache, clock):
    path = written(tmp_path)
    clock(HOUR)
    cache.write_text("a file where the folder should be")
    other = path.with_name("other.jsonl")
    other.write_text("one")
    assert digest(path) != digest(other)
