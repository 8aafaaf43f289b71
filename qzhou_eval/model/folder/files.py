"""Read the files of a model folder: JSON and numbers in it. Errors are worded alike.

Loads no weights and needs no torch. Every error names the file and says what to do.
"""

import json
from pathlib import Path
from typing import TypeAlias

from qzhou_eval.errors import BadInput

JsonObject: TypeAlias = dict[str, object]  # of a model folder: each value is checked where it is used

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
_READ_IF_THERE = (
    *(
        "modules.json",
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
        "adapter_config.json",
        SINGLE,
        INDEX,
        PICKLE,
        PICKLE_INDEX,
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


def _without_repeats(pairs: list[tuple[str, object]]) -> JsonObject:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return fields
