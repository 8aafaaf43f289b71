"""The tasks by name: type, data set, splits, metric. A table, read without mteb; a test holds it against mteb's."""

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qzhou_eval.digests import digests_of_files, sha256_of_json
from qzhou_eval.errors import BadInput, did_you_mean
from qzhou_eval.fetched import data_files, read_fetched
from qzhou_eval.generation import generation
from qzhou_eval.network import is_offline

TYPES = ("Classification", "Clustering", "PairClassification", "Reranking", "Retrieval", "STS")
MINIATURE_DATA = Path(__file__).parent / "smoke" / "data"


@dataclass(frozen=True)
class Task:
    """One task of a benchmark; ``path`` and ``revision`` are its data set's on the hub.

    ``card_revision`` and ``card_metric`` are those of mteb 1.38.30, where they differ. ``texts`` and ``characters`` say
    how large the official data are: distinct texts and all their characters, of each split and side, and of the
    training split where models are fitted.
    """

    name: str
    benchmark: str
    type: str
    path: str
    revision: str
    splits: tuple[str, ...]
    metric: str
    card_revision: str | None = None
    card_metric: str | None = None
    texts: int = 0
    characters: int = 0


@cache
def all_tasks() -> dict[str, Task]:
    """Every known task by name: the 31 of ``MTEB(cmn, v1)``, then the packaged miniature's six."""
    table = json.loads((Path(__file__).parent / "benchmarks.json").read_text("utf-8"))
    return {
        name: Task(name, benchmark, **fields | {"splits": tuple(fields["splits"])})
        for benchmark, content in table.items()
        for name, fields in content["tasks"].items()
    }


def task_named(name: str) -> Task:
    """The task that the argument TASK names.

    Raises:
        BadInput: there is none.
    """
    _check_known("TASK", [name], list(all_tasks()))
    return all_tasks()[name]


def select(names: list[str] | None, types: list[str] | None) -> list[Task]:
    """The tasks to run, in the table's order; without names, the 31 of CMTEB.

    Raises:
        BadInput: an unknown name or type, or nothing left.
    """
    known = all_tasks()
    _check_known("--tasks", names, list(known))
    _check_known("--task_types", types, list(TYPES))
    chosen = [t for t in known.values() if (t.name in names if names is not None else t.benchmark == "cmteb")]
    chosen = [t for t in chosen if types is None or t.type in types]
    if not chosen:
        raise BadInput("no task to run: --tasks and --task_types leave none")
    return chosen


def _check_known(flag: str, given: list[str] | None, known: list[str]) -> None:
    for name in given or []:
        if name not in known:
            hint = "separate names by spaces; " if "," in name else did_you_mean(name, known, cutoff=0.5)
            raise BadInput(f"{flag} {name}: unknown; {hint}valid are {', '.join(known)}")


@dataclass(frozen=True)
class DataSource:
    """Where a task's data comes from: a local folder, or the hub at the pinned revision.

    ``content`` names a folder's files by their digest, whatever its revision is called; ``size`` is their bytes, and
    for data on the hub what the official texts take.
    """

    folder: Path | None
    revision: str
    content: str | None = None
    size: int = 0


class NoData(BadInput):
    """A task's data is not where it is looked for."""


def locate(task: Task, data_dir: Path | None) -> DataSource:
    """Find a task's data: ``data_dir/<path>``, the package for the miniature, else the hub at the revision that
    the installed mteb pins.

    A local folder's revision is ``local-<digest of its files>``, unless every file is what ``fetch`` brought at the
    pinned revision: results never claim the hub's revision for other data, and edited files are seen.

    Raises:
        NoData: the folder is missing or empty, or there is none and the network is off, with the command that
            would fetch it.
    """
    if task.benchmark == "mini":
        data_dir = MINIATURE_DATA
    if data_dir is None:
        if is_offline():
            raise no_data([task], None)
        return DataSource(None, _pinned(task), size=3 * task.characters)  # Chinese in UTF-8
    folder = data_dir / task.path
    files = data_files(folder)
    if not files:
        raise no_data([task], data_dir)
    digests = digests_of_files(files, folder)
    content = f"local-{sha256_of_json(digests)[:16]}"
    entry = read_fetched(data_dir).get(task.path)
    as_pinned = entry and (entry.kind, entry.revision, entry.digests) == ("dataset", _pinned(task), digests)
    size = sum(path.stat().st_size for path in files)
    return DataSource(folder, _pinned(task) if as_pinned else content, content, size)


def _pinned(task: Task) -> str:
    """The data set's revision that the installed mteb pins."""
    return task.revision if generation() == "current" else task.card_revision or task.revision


def fetch_command(tasks: Iterable[Task], root: Path | str) -> str:
    """The command that brings tasks' data sets, at the pinned revisions, into a data folder."""
    return f"qzhou-eval fetch --tasks {' '.join(task.name for task in tasks)} --to {shlex.quote(str(root))}"


def no_data(tasks: list[Task], data_dir: Path | None) -> NoData:
    """That one task's data, or several tasks', is not in a folder or, without one, not on disk; with what to do."""
    names = ", ".join(task.name for task in tasks)
    several = len(tasks) > 1
    if data_dir is None:
        return NoData(f"{names}: --offline needs {'their' if several else 'its'} data on disk; {how_to_fetch(tasks)}")
    where = data_dir if several else data_dir / tasks[0].path
    command = fetch_command(tasks, data_dir)
    return NoData(f"{names}: no data in {where}; fetch {'them' if several else 'it'} with: {command}")


def how_to_fetch(tasks: Iterable[Task]) -> str:
    """What to do where the hub cannot be asked."""
    return f"where the hub can be reached, {fetch_command(tasks, 'ROOT')}, then give --data_dir ROOT"
