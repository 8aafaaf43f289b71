"""Where the files of a user's own task are. Opens none of them."""

from pathlib import Path

from qzhou_eval.benchmark.own_data.files import KINDS, one_of
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput

_IN_FOLDER = {  # the files of a task that is a folder; a Reranking task may also be one file
    "Classification": ("train", "test"),
    "Retrieval": ("corpus", "queries", "qrels"),
    "Reranking": ("corpus", "queries", "qrels", "candidates"),
}
JUDGED = "qrels/test"  # BEIR's place of the judgements


def files_of(task: Task) -> dict[str, Path]:
    """The files that a task reads, by what they hold; a task of one file has ``test``.

    Raises:
        BadInput: a file is missing; the message says which task's, and what belongs there.
    """
    assert task.own is not None
    try:
        return _files(task, task.own.path)
    except BadInput as error:
        raise BadInput(f"{task.name}: {error}") from None


def _files(task: Task, path: Path) -> dict[str, Path]:
    needed = _IN_FOLDER.get(task.type)
    if path.is_dir() and needed is not None:
        return {name: _inside(task, path, name) for name in needed}
    if path.is_dir():
        raise BadInput(f"{path}: is a folder; a {task.type} task is one file ({', '.join(KINDS)})")
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    if needed is not None and task.type != "Reranking":
        raise BadInput(f"{path}: is a file; a {task.type} task is a folder of {_listed(needed)}")
    return {"test": path}


def _inside(task: Task, folder: Path, name: str) -> Path:
    found = one_of(folder, name)
    if found is None and name == "qrels":
        found = one_of(folder, JUDGED)
    if found is None:
        kinds = ", ".join(KINDS)
        needed = _listed(_IN_FOLDER[task.type])
        raise BadInput(f"{folder}: has no {name} file ({kinds}); a {task.type} task has {needed}")
    return found


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
