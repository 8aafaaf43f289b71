"""Checks that the files of a local data folder exist and are complete and readable; data_rows.py checks the rows."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import yaml
from huggingface_hub import DatasetCard

from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.fetch.receipt import data_files
from qzhou_eval.system.paths import stays_inside

KINDS = (".parquet", ".jsonl", ".json", ".csv", ".tsv", ".arrow")
_POINTER = b"version https://git-lfs.github.com/spec/"
_CONFIGS = {"Retrieval": ("corpus", "queries"), "Reranking": ("corpus", "queries", "top_ranked")}


def check_files(task: Task, folder: Path, *, configured: bool) -> None:
    """Refuse files that cannot be read as data, and a README.md header that does not fit them.

    A header may not name files outside the folder: they would be read, but are not in the data's digest.

    Args:
        configured: whether the task reads several configurations, which only a header tells apart.

    Raises:
        BadInput: a file is empty, cut off, a Git LFS pointer or a folder; the header is missing but the task needs
            one, is not UTF-8, or names files that are missing, hidden or outside the folder.
    """
    for path in (folder / "README.md", *(p for p in folder.rglob("*") if p.suffix in KINDS)):
        if path.is_dir():
            raise BadInput(f"{task.name}: {path} is a folder, not a file")
    for path in data_files(folder):
        _check_whole(task, path)
    if (hidden := folder / ".huggingface.yaml").exists():
        raise BadInput(f"{hidden}: a hidden header is not part of the data's digest; move it into README.md")
    configs = _configs(task, folder, configured=configured)
    for config in configs.values():
        for name in _names([config.get("data_files"), config.get("data_dir")]):
            if not stays_inside(name) or ":" in name or any(part.startswith(".") for part in name.split("/")):
                raise BadInput(f"{folder / 'README.md'}: configs names {name}; only files in the same folder are read")
    for name in _needed(task, folder, configs, configured=configured):
        _check_there(task, folder, configs[name])


def fault_of(folder: Path) -> str | None:
    """Why a folder's files could not be read, with the file's name and row; None if no cause is found."""
    columns: dict[Path, tuple[Path, set]] = {}
    for path in data_files(folder):
        try:
            found = _columns(path)
        except (ValueError, OSError) as error:
            return f"{path}: {error}"
        first, known = columns.setdefault(path.parent, (path, found)) if found else (path, found)
        if found != known:
            return f"{path}: its columns are {_listed(found)}, those of {first.name} are {_listed(known)}"
    return None


def _check_whole(task: Task, path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(len(_POINTER))
        file.seek(max(0, path.stat().st_size - 4))
        tail = file.read()
    if head == _POINTER:
        raise BadInput(f"{task.name}: {path} is a Git LFS pointer, not the file; run git lfs pull, or fetch it again")
    if path.suffix in KINDS and not head:
        raise BadInput(f"{task.name}: {path} is empty; fetch or write it again")
    if path.suffix == ".parquet" and not (head[:4] == tail == b"PAR1"):
        raise BadInput(f"{task.name}: {path} is cut off or not a parquet file; fetch or write it again")


def _configs(task: Task, folder: Path, *, configured: bool) -> dict[str, dict]:
    """The header's configurations by name; none without a README.md."""
    readme = folder / "README.md"
    if not readme.exists():
        if configured:
            other = next((p.name for p in folder.iterdir() if p.name.lower() == "readme.md"), None)
            there = f" (there is {other}, but the name is case-sensitive)" if other else ""
            raise BadInput(
                f"{task.name}: {readme} is missing{there}: its header says which files are corpus, queries and "
                "judgements; fetch the data set with its README.md, or write one (configs: in the hub's format)"
            )
        return {}
    try:
        text = readme.read_text("utf-8-sig")  # the encoding that datasets reads it in
    except UnicodeDecodeError:
        raise BadInput(f"{task.name}: {readme} is not UTF-8; save it as UTF-8") from None
    try:
        configs = DatasetCard(text, ignore_metadata_errors=True).data.to_dict().get("configs") or []
        return {config.get("config_name", "default"): config for config in configs}
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{task.name}: {readme}: its header cannot be read: {reason}") from None


def _needed(task: Task, folder: Path, configs: dict[str, dict], *, configured: bool) -> list[str]:
    """The names of the header's configurations that the task reads."""
    if not configured or task.type not in _CONFIGS or task.subsets:
        return ["default"] if "default" in configs else []
    judgements = "qrels" if "qrels" in configs and "default" not in configs else "default"
    needed = [*_CONFIGS[task.type], judgements]
    if missing := [name for name in needed if name not in configs]:
        raise BadInput(
            f"{task.name}: {folder / 'README.md'}: its header has no configuration {_listed(missing)}; "
            f"it has {_listed(configs) or 'none'}"
        )
    return needed


def _check_there(task: Task, folder: Path, config: dict) -> None:
    root = folder / (config.get("data_dir") or "")
    for name in _names(config.get("data_files")):
        if next(root.glob(name), None) is None:
            alike = [p for p in data_files(folder) if p.relative_to(root).as_posix().lower() == name.lower()]
            there = f"; there is {alike[0]}, but names are case-sensitive" if alike else ""
            raise BadInput(f"{task.name}: {root / name}, which README.md names, is missing{there}")


def _names(value: object) -> Iterator[str]:
    """Every file or pattern in a header's ``data_files``: a name, a list, or entries of split and path."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _names(one)
    elif isinstance(value, dict):
        yield from _names([one for key, one in value.items() if key != "split"])


def _columns(path: Path) -> set[str]:
    """A file's columns; empty for kinds other than parquet and jsonl.

    Raises:
        ValueError, OSError: the file cannot be read.
    """
    if path.suffix == ".parquet":
        return set(pq.read_schema(path).names)
    if path.suffix != ".jsonl":
        return set()
    columns: set[str] = set()
    with path.open("rb") as lines:
        for row, line in enumerate(lines):
            try:
                content = json.loads(line.decode("utf-8-sig"))
                json.dumps(content, ensure_ascii=False).encode()
                columns |= content.keys()
            except UnicodeEncodeError:
                raise ValueError(f"row {row} (from 0) holds half of a surrogate pair, which is not text") from None
            except (ValueError, AttributeError) as error:
                raise ValueError(f"row {row} (from 0) is not a JSON object: {error}") from None
    return columns


def _listed(names) -> str:
    return ", ".join(sorted(names))
