"""Unreadable data files: one line names the file and what is wrong with it."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from data_folders import FILES, copied, plan, refusal
from layouts import read_rows, write_header

from qzhou_eval.errors import BadInput

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"


HEADER = b"---\nconfigs:\n- config_name: corpus\n  data_files: corpus/dev.jsonl\n---\n"


def moved(folder: Path, name: str, new: str) -> None:
    (folder / name).rename(folder / new)


SPOILT = {
    "no README": (
        lambda d: (d / "README.md").unlink(),
        "/README.md is missing: its header says which files are",
    ),
    "another case": (lambda d: moved(d, "README.md", "Readme.md"), "is missing (there is Readme.md, but the name is"),
    "no header": (lambda d: (d / "README.md").write_text("# data"), "its header has no configuration corpus, default"),
    "half a header": (
        lambda d: (d / "README.md").write_bytes(HEADER),
        "no configuration default, queries; it",
    ),
    "not YAML": (
        lambda d: (d / "README.md").write_text("---\nconfigs: [\n---\n"),
        "README.md: its header cannot be",
    ),
    "GBK": (lambda d: (d / "README.md").write_bytes("中文".encode("gbk")), "README.md is not UTF-8"),
    "pointer for README": (lambda d: (d / "README.md").write_bytes(POINTER), "README.md is a Git LFS pointer"),
    "README a folder": (lambda d: [(d / "README.md").unlink(), (d / "README.md").mkdir()], "README.md is a folder"),
    "no corpus": (lambda d: (d / "corpus/dev.jsonl").unlink(), "corpus/dev.jsonl, which README.md names, is missing"),
    "case of a file": (
        lambda d: moved(d, "corpus/dev.jsonl", "corpus/Dev.jsonl"),
        "Dev.jsonl, but names are case",
    ),
    "pointer": (lambda d: (d / "corpus/dev.jsonl").write_bytes(POINTER), "corpus/dev.jsonl is a Git LFS pointer"),
    "empty": (lambda d: (d / "queries/dev.jsonl").write_bytes(b""), "queries/dev.jsonl is empty"),
    "a folder": (lambda d: [moved(d, "data/dev.jsonl", "x"), (d / "data/dev.jsonl").mkdir()], "dev.jsonl is a folder"),
    "cut off": (lambda d: cut(d / "corpus/dev.jsonl"), "corpus/dev.jsonl: row "),
    "GBK rows": (lambda d: recoded(d / "corpus/dev.jsonl"), "/corpus/dev.jsonl, split dev: column text has non-UTF-8"),
    "half a surrogate": (
        lambda d: appended(d / "queries/dev.jsonl", '{"_id": "x", "text": "\\ud83d"}'),
        "half of a ",
    ),
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def recoded(path: Path) -> None:
    path.write_bytes(path.read_text("utf-8").encode("gb18030"))


def appended(path: Path, line: str) -> None:
    path.write_text(path.read_text("utf-8") + line + "\n", "utf-8")


@pytest.mark.parametrize("kind", SPOILT)
def test_a_file_that_cannot_be_read_is_named(official, tmp_path, kind):
    spoil, message = SPOILT[kind]
    spoil(copied(official, tmp_path, "EcomRetrieval"))
    assert message in refusal(tmp_path, "EcomRetrieval")


@pytest.mark.parametrize("ending", ["\r\n", "\ufeff"], ids=["CRLF", "byte order mark"])
def test_a_header_is_read_as_datasets_reads_it(official, tmp_path, ending):
    readme = copied(official, tmp_path, "EcomRetrieval") / "README.md"
    text = readme.read_text("utf-8")
    readme.write_bytes((text.replace("\n", ending) if ending == "\r\n" else ending + text).encode())
    assert plan(tmp_path, "EcomRetrieval").prompts == plan(official, "EcomRetrieval").prompts


def test_a_byte_order_mark_hides_no_file_of_elsewhere(official, tmp_path):
    folder = copied(official, tmp_path, "STSB")
    write_header(folder, {"default": {"test": "../../secret.jsonl"}})
    shutil.copy(folder / FILES["STSB"], tmp_path / "secret.jsonl")
    (folder / "README.md").write_bytes(b"\xef\xbb\xbf" + (folder / "README.md").read_bytes())
    with pytest.raises(BadInput, match="only files in the same folder are read"):
        plan(tmp_path, "STSB")


@pytest.mark.parametrize("kind", ["half", "pointer", "columns"])
def test_parquet_that_cannot_be_read_is_named(official, tmp_path, kind):
    folder = copied(official, tmp_path, "STSB")
    rows = pd.DataFrame(read_rows(folder / FILES["STSB"]))
    (folder / FILES["STSB"]).unlink()
    one, two = (folder / f"data/test-0000{n}-of-00002.parquet" for n in range(2))
    rows.to_parquet(one)
    rows.rename(columns={"score": "label"} if kind == "columns" else {}).to_parquet(two)
    if kind == "half":
        two.write_bytes(two.read_bytes()[:-500])
    elif kind == "pointer":
        two.write_bytes(POINTER)
    said = refusal(tmp_path, "STSB")
    assert said.startswith("/data/test-00001-of-00002.parquet")
    expected = {
        "half": "is cut off",
        "pointer": "Git LFS",
        "columns": "its columns are label, sentence1, sentence2, those",
    }
    assert expected[kind] in said


@pytest.mark.parametrize("lists", [False, True])
def test_bytes_that_are_no_text_are_named(official, tmp_path, lists):
    """As left by damage inside a parquet file: its reader does not check."""
    name, column = ("CLSClusteringS2S", "sentences") if lists else ("STSB", "sentence1")
    folder = copied(official, tmp_path, name)
    (old,) = (folder / "data").glob("test*")
    rows = pd.DataFrame(read_rows(old))
    old.unlink()
    path = folder / "data/test-00000-of-00001.parquet"
    rows.to_parquet(path, compression="none", use_dictionary=False)
    text = (rows[column][0][0] if lists else rows[column][0]).encode()
    whole = path.read_bytes()
    assert text in whole
    path.write_bytes(whole.replace(text, text[:1] + b"\xff" * (len(text) - 1)))
    said = refusal(tmp_path, name)
    assert said.startswith("/data/test-00000-of-00001.parquet, split test: column ") and "non-UTF-8" in said
    assert column in said and "fetch or write it again" in said
