"""Writes a user's own files and definitions, and reads what is made of them."""

import json
from pathlib import Path

from qzhou_eval.benchmark.find import find_benchmark
from qzhou_eval.benchmark.own_data.rows import read_rows


def written(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def jsonl(*rows: dict) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def task(folder: Path, definition: str):
    """The only task of a benchmark with this definition."""
    written(folder, {"b.yaml": f"name: mine\ntasks:\n  one: {definition}\n"})
    (found,) = find_benchmark(str(folder / "b.yaml")).tasks
    return found


def rows(folder: Path, definition: str):
    return read_rows(task(folder, definition))
