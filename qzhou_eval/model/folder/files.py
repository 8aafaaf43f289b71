"""Read the files of a model folder: JSON, numbers in it, shapes of tensors. Errors are worded alike.

Loads no weights and needs no torch. Every error names the file and says what to do.
"""

import json
from pathlib import Path
from typing import TypeAlias

from qzhou_eval.errors import BadInput
from qzhou_eval.system.paths import stays_inside

JsonObject: TypeAlias = dict[str, object]  # of a model folder: each value is checked where it is used

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_READ_IF_THERE = (
    *(
        "modules.json",
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
        "adapter_config.json",
        SINGLE,
        INDEX,
    ),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
_BEGINNINGS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself; get it with: git lfs pull",
    b"\xef\xbb\xbf": "begins with a byte-order mark; save it as UTF-8 without one",
    b"\xff\xfe": "is UTF-16; save it as UTF-8",
    b"\xfe\xff": "is UTF-16; save it as UTF-8",
}


def read_json(path: Path, *, what: str = "broken checkpoint") -> JsonObject:
    """Read a JSON file that contains an object.

    Raises:
        BadInput: missing, not a file, not the file itself, not UTF-8, not JSON, a repeated name, or no object.
    """
    content = _content(path, what)
    if not isinstance(content, dict):
        raise BadInput(f"{what}: {path} does not contain a dict")
    return content


def read_json_list(path: Path, *, what: str = "broken checkpoint") -> list[object]:
    """Read a JSON file that contains a list.

    Raises:
        BadInput: as :func:`read_json`, or no list.
    """
    content = _content(path, what)
    if not isinstance(content, list):
        raise BadInput(f"{what}: {path} does not contain a list")
    return content


def _content(path: Path, what: str) -> object:
    if not present(path):
        raise BadInput(f"{what}: {path.name} is missing in {path.parent}")
    if (reason := obstacle(path)) is not None:
        raise BadInput(f"{what}: cannot read {path}: it {reason}")
    try:
        return json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=_without_repeats)
    except UnicodeDecodeError as error:
        raise BadInput(f"{what}: cannot read {path}: it is not UTF-8 ({error.reason} at {error.start})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{what}: cannot read {path}: it is not JSON ({error})") from None


def read_if_there(path: Path) -> JsonObject:
    """Read a JSON file that may be missing, in which case the result is empty."""
    return read_json(path) if present(path) else {}


def check_case(folder: Path) -> None:
    """Refuse a file that would be silently ignored because its name is in the wrong case.

    Raises:
        BadInput: there is such a file; the message names it.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = path.name.lower()
        if name in _READ_IF_THERE and name != path.name and not present(folder / name):
            raise BadInput(f"{path}: names are case-sensitive; rename it to {name}, or remove it")


def present(path: Path) -> bool:
    """Whether anything has that name, even a broken link."""
    return path.exists() or path.is_symlink()


def obstacle(path: Path) -> str | None:
    """Return why a path is not the file that its name promises, judging by its kind and first bytes, or None."""
    if not path.exists():
        return "is missing" if not path.is_symlink() else "is a broken link; download it again"
    if not path.is_file():
        return "is a folder, not a file"
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if not start:
        return "is empty; download it again"
    return next((words for bytes_, words in _BEGINNINGS.items() if start.startswith(bytes_)), None)


def whole_number(path: Path, fields: JsonObject, *names: str) -> int:
    """Return the value of the first of ``names`` found, a whole number of at least 1.

    Raises:
        BadInput: all are missing, or the value is something else.
    """
    value = whole_number_if_there(path, fields, *names)
    if value is None:
        raise BadInput(f"{path}: no {' or '.join(names)}; is this a decoder?")
    return value


def whole_number_if_there(path: Path, fields: JsonObject, *names: str) -> int | None:
    """Like :func:`whole_number`, but None if all are missing.

    Raises:
        BadInput: the value is something else.
    """
    name = next((name for name in names if fields.get(name) is not None), None)
    if name is None:
        return None
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(f"{path}: {name} is {value!r}; expected a whole number of at least 1")
    return value


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Read the shapes of a folder's tensors, by name, from the headers of the files that are loaded.

    Raises:
        BadInput: no safetensors file to load, one that is damaged or missing, or an index that contradicts them.
    """
    check_case(folder)
    if present(folder / INDEX):
        return _indexed(folder, read_json(folder / INDEX).get("weight_map"))
    if present(folder / SINGLE):
        return _shapes(folder / SINGLE)
    if others := sorted(path.name for path in folder.glob("*.safetensors")):
        raise BadInput(f"{folder}: has {others[0]}, but neither {SINGLE} nor {INDEX}, which say what to load")
    begun = sorted(path.name for path in folder.rglob("*.incomplete"))
    hint = f"; the download of {begun[0]} did not finish" if begun else ""
    raise BadInput(f"{folder}: no *.safetensors file; other weight formats are not loaded{hint}")


def _indexed(folder: Path, weight_map: object) -> dict[str, tuple[int, ...]]:
    """Return the shapes in all shards, after checking them against the index."""
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadInput(f"{folder / INDEX}: weight_map names no tensor; download it again")
    for name in weight_map.values():
        if not stays_inside(name) or "/" in name:
            raise BadInput(f"{folder / INDEX}: weight_map: {name} is not a file of the same folder")
    shards = sorted(set(weight_map.values()))
    if (folder / SINGLE).exists() and SINGLE not in shards:
        raise BadInput(f"{folder}: has both {SINGLE} and {INDEX}, two sets of weights; remove the wrong one")
    found: dict[str, tuple[int, ...]] = {}
    for shard in shards:
        if not (folder / shard).exists():
            raise BadInput(f"{folder / shard}: missing, but {INDEX} names it; download it again")
        shapes = _shapes(folder / shard)
        lost = [name for name, file in weight_map.items() if file == shard and name not in shapes]
        if lost:
            raise BadInput(f"{folder / INDEX}: {lost[0]} is not in {shard}; download both again")
        found |= shapes
    return found


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import SafetensorError, safe_open

    if (reason := obstacle(path)) is not None:
        raise BadInput(f"{path}: damaged or incomplete: it {reason}")
    try:
        with safe_open(path, framework="np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path}: damaged or incomplete ({error})") from None


def _without_repeats(pairs: list[tuple[str, object]]) -> JsonObject:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return fields
