"""What users do to files by accident: mutations of bytes, rows, JSON and YAML, each drawn by a hypothesis strategy."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from layouts import read_rows, write_rows
from safetensors.torch import load, save

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
VALUES = ["x", "", None, "no", "1e3", "2026-11-26", "中文" * 3000, -1, 0, 3, 1e300, float("nan"), True]
VALUES += [[], {}, [1], {"a": 1}]
VALUES += ["3", "0.5", float("inf")]
LINES = ["no", "1e3", "2026-11-26", "", "[a", "~", "3", "\t"]
Mutation = Callable[[Path], None]


def _encoded(encoding: str) -> Mutation:
    return lambda path: path.write_bytes(path.read_text("utf-8").encode(encoding, errors="replace"))


def _folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut(share: float) -> Mutation:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def _flipped(share: float, bit: int) -> Mutation:
    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        if content:
            content[min(int(share * len(content)), len(content) - 1)] ^= 1 << bit
        path.write_bytes(bytes(content))

    return flip


def _doubled(name: str) -> Mutation:
    return lambda path: shutil.copy(path, path.with_name(name.format(path.name))) and None


BYTES = {
    "pointer": lambda path: path.write_bytes(POINTER),
    "empty": lambda path: path.write_bytes(b""),
    "absent": lambda path: path.unlink(),
    "a folder": _folder_in_its_place,
    "upper case": lambda path: path.rename(path.with_name(path.name.upper())),
    "a copy beside it": _doubled("copy of {}"),
    "an editor's copy": _doubled("{}.bak"),
    "noise": lambda path: path.write_bytes(b"\x00\xff\xfe" * 40),
    "unreadable as text": lambda path: path.write_bytes(path.read_bytes() + b"\xb2\xe2"),
}
TEXT = {
    "byte order mark": lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
    "CRLF": lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n")),
    "GBK": _encoded("gbk"),
    "UTF-16": _encoded("utf-16"),
    "a line twice": lambda path: path.write_text(path.read_text("utf-8") + path.read_text("utf-8"), "utf-8"),
}


@st.composite
def of_bytes(draw, *, text: bool) -> tuple[str, Mutation]:
    """A file damaged, lost or saved in another format."""
    named = {**BYTES, **(TEXT if text else {})}
    name = draw(st.sampled_from([*named, "cut", "flipped"]))
    if name == "cut":
        share = draw(st.floats(0, 0.999))
        return f"cut at {share:.3f}", cut(share)
    if name == "flipped":
        share, bit = draw(st.floats(0, 1)), draw(st.integers(0, 7))
        return f"bit {bit} at {share:.3f} flipped", _flipped(share, bit)
    return name, named[name]


@st.composite
def of_json(draw) -> tuple[str, Mutation]:
    """One value of a JSON file replaced, or its key lost or misspelt."""
    value, which = draw(st.sampled_from(VALUES)), draw(st.integers(0, 10**6))
    what = draw(st.sampled_from(["value", "lost", "misspelt"]))

    def change(path: Path) -> None:
        content = json.loads(path.read_text("utf-8"))
        places = list(_places(content))
        holder, key = places[which % len(places)]
        old = holder.pop(key)
        if what == "value":
            holder[key] = value
        elif what == "misspelt":
            holder[f"{key}s"] = old
        path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")

    return f"{what} {str(value)[:20]!r} at place {which}", change


def _places(content):
    if isinstance(content, dict):
        for key in list(content):
            yield content, key
            yield from _places(content[key])
    elif isinstance(content, list):
        for inner in content[:20]:
            yield from _places(inner)


ROWS: dict[str, Callable[[list[dict], int, str, object], list[dict]]] = {  # of rows, one's number, a column, a value
    "value": lambda rows, at, name, value: [row | {name: value} if n == at else row for n, row in enumerate(rows)],
    "column of it": lambda rows, at, name, value: [row | {name: value} for row in rows],
    "column as text": lambda rows, at, name, value: [row | {name: str(row[name])} for row in rows],
    "column renamed": lambda rows, at, name, value: [
        {(f"{key}_" if key == name else key): inner for key, inner in row.items()} for row in rows
    ],
    "column lost": lambda rows, at, name, value: [
        {key: inner for key, inner in row.items() if key != name} for row in rows
    ],
    "row lost": lambda rows, at, name, value: rows[:at] + rows[at + 1 :],
    "row twice": lambda rows, at, name, value: [*rows[:at], rows[at], *rows[at:]],
    "every row twice": lambda rows, at, name, value: rows * 2,
    "reversed": lambda rows, at, name, value: rows[::-1],
    "shuffled": lambda rows, at, name, value: random.Random(at).sample(rows, len(rows)),
    "none": lambda rows, at, name, value: [],
}


@st.composite
def of_rows(draw) -> tuple[str, Mutation]:
    """Rows of a JSONL file lost, repeated or reordered; or a value or column changed."""
    value, row, column = draw(st.sampled_from(VALUES)), draw(st.integers(0, 10**6)), draw(st.integers(0, 10))
    what = draw(st.sampled_from(list(ROWS)))

    def change(path: Path) -> None:
        rows = read_rows(path)
        write_rows(path, ROWS[what](rows, row % len(rows), list(rows[0])[column % len(rows[0])], value))

    return f"{what}: {str(value)[:20]!r}, row {row}, column {column}", change


@st.composite
def of_yaml(draw) -> tuple[str, Mutation]:
    """A line of a YAML file with another value, lost, misspelt, indented or repeated."""
    which, value = (
        draw(st.integers(0, 1000)),
        draw(st.sampled_from(LINES)),
    )
    what = draw(st.sampled_from(["value", "lost", "misspelt", "moved in", "twice"]))

    def change(path: Path) -> None:
        lines = path.read_text("utf-8").splitlines()
        at = which % len(lines)
        key, colon, _ = lines[at].partition(":")
        put = {
            "value": [f"{key}{colon} {value}"],
            "lost": [],
            "misspelt": [f"{key}x{lines[at][len(key) :]}"],
            "moved in": [f" {lines[at]}"],
            "twice": [lines[at]] * 2,
        }
        lines[at : at + 1] = put[what]
        path.write_text("\n".join(lines) + "\n", "utf-8")

    return f"{what} {value!r} in line {which}", change


def of_models() -> st.SearchStrategy[tuple[str, Mutation]]:
    """Another model's file instead of one, or beside it, as in folders that were filled twice.

    The other model is in the folder ``other``, next to ``model``.
    """

    def in_its_place(path: Path) -> None:
        found = sorted(_other(path).rglob(path.name), key=lambda one: one.parent.name != path.parent.name)
        shutil.copy(found[0], path)

    def beside(name: str) -> Mutation:
        return lambda path: shutil.copy(_other(path) / "model.safetensors", path.with_name(name)) and None

    def listed(path: Path) -> None:
        """Add a second weight file and an index that names only that file."""
        beside("model-00001-of-00001.safetensors")(path)
        names = load((_other(path) / "model.safetensors").read_bytes())
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}
        path.with_name("model.safetensors.index.json").write_text(json.dumps(index), "utf-8")

    return st.sampled_from(
        [
            ("another model's in its place", in_its_place),
            ("another model's weights beside it", beside("model-00002-of-00002.safetensors")),
            ("another model's weights beside it, older", beside("pytorch_model.bin")),
            ("another model's weights and their index beside it", listed),
        ]
    )


def _other(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.name == "model").with_name("other")


def split_renamed(path: Path) -> None:
    """Rename the file of a split to another split's name."""
    path.rename(path.with_name({"test.jsonl": "train.jsonl", "dev.jsonl": "test.jsonl"}[path.name]))


def of_old_manifests() -> st.SearchStrategy[tuple[str, Mutation]]:
    """A manifest without a field that earlier versions did not write, in all its entries or in one."""

    def without(*keys: str, everywhere: bool = True) -> Mutation:
        def change(path: Path) -> None:
            content = json.loads(path.read_text("utf-8"))
            for entry in list(content["variants"].values())[: None if everywhere else 1]:
                holders = [entry]
                for key in keys[:-1]:
                    holders = [
                        inner for one in holders for inner in (one[key].values() if key == "tasks" else [one[key]])
                    ]
                for holder in holders:
                    holder.pop(keys[-1], None)
            path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")

        return change

    fields = [
        *(("tasks", name) for name in ("encoded_with", "items", "data_files", "evaluators", "code", "seed", "sha256")),
        *(("tasks", "record", name) for name in ("scoring_version", "data")),
        *(("variant", name) for name in ("experiment", "profile_digest", "width")),
        ("tasks",),
    ]
    return st.builds(
        lambda keys, everywhere: (f"older: without {'.'.join(keys)}", without(*keys, everywhere=everywhere)),
        st.sampled_from(fields),
        st.booleans(),
    )


def of_shards() -> st.SearchStrategy[tuple[str, Mutation]]:
    """A shard whose checksum fits, with another width, precision or shape, or with other keys."""

    def rewritten(act: Callable[[dict], dict], *, beside: bool) -> Mutation:
        def change(path: Path) -> None:
            content = save(act(load(path.read_bytes())))
            path.with_name(f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors").write_bytes(content)
            if not beside:
                path.unlink()

        return change

    acts: dict[str, Callable[[dict], dict]] = {
        "another width": lambda was: was | {"vectors": was["vectors"][:, :-1].contiguous()},
        "fewer keys": lambda was: was | {"keys": was["keys"][:-1].contiguous()},
        "shorter keys": lambda was: was | {"keys": was["keys"][:, :8].contiguous()},
        "no keys": lambda was: {"vectors": was["vectors"]},
        "whole numbers": lambda was: was | {"vectors": was["vectors"].int()},
        "one dimension": lambda was: was | {"vectors": was["vectors"].flatten()},
        "no rows": lambda was: {name: tensor[:0].contiguous() for name, tensor in was.items()},
    }
    return st.builds(
        lambda name, beside: (
            f"shard of {name}{', beside it' if beside else ''}",
            rewritten(acts[name], beside=beside),
        ),
        st.sampled_from(list(acts)),
        st.booleans(),
    )
