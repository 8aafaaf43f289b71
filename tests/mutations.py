"""What users do to files by accident: mutations of bytes, rows, JSON and YAML, each drawn by a hypothesis strategy."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from layouts import read_rows, write_rows

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
VALUES = ["x", "", None, "no", "1e3", "2026-11-26", "中文" * 3000, -1, 0, 3, 1e300, float("nan"), True]
VALUES += [[], {}, [1], {"a": 1}]
LINES = ["no", "1e3", "2026-11-26", "", "[a", "~", "3", "\t"]
ROWS = ["value", "column of it", "column renamed", "row lost", "row twice", "reversed", "none"]
Mutation = Callable[[Path], None]


def _encoded(encoding: str) -> Mutation:
    return lambda path: path.write_bytes(path.read_text("utf-8").encode(encoding, errors="replace"))


def _folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _cut(share: float) -> Mutation:
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
    """A file damaged, lost or saved in another way."""
    named = {**BYTES, **(TEXT if text else {})}
    name = draw(st.sampled_from([*named, "cut", "flipped"]))
    if name == "cut":
        share = draw(st.floats(0, 0.999))
        return f"cut at {share:.3f}", _cut(share)
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


@st.composite
def of_rows(draw) -> tuple[str, Mutation]:
    """Rows of a JSONL file lost, repeated or in another order; a value or a column that is another."""
    value, row, column = draw(st.sampled_from(VALUES)), draw(st.integers(0, 10**6)), draw(st.integers(0, 10))
    what = draw(st.sampled_from(ROWS))

    def change(path: Path) -> None:
        rows = read_rows(path)
        name = list(rows[0])[column % len(rows[0])]
        at = row % len(rows)
        if what == "value":
            rows[at][name] = value
        elif what == "column of it":
            rows = [one | {name: value} for one in rows]
        elif what == "column renamed":
            rows = [{(f"{key}_" if key == name else key): inner for key, inner in one.items()} for one in rows]
        elif what == "row lost":
            del rows[at]
        elif what == "row twice":
            rows.insert(at, rows[at])
        elif what == "reversed":
            rows.reverse()
        else:
            rows = []
        write_rows(path, rows)

    return f"{what}: {str(value)[:20]!r}, row {row}, column {column}", change


@st.composite
def of_yaml(draw) -> tuple[str, Mutation]:
    """A line of a YAML file with another value, lost, misspelt or moved in."""
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
