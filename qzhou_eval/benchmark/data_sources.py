"""Where a task's data comes from: the user's own files, a local folder, or the hub at a pinned revision."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.benchmark.own_data.places import files_of
from qzhou_eval.benchmark.task import OwnFiles, Task
from qzhou_eval.errors import BadInput
from qzhou_eval.fetch.receipt import data_files, read_fetched
from qzhou_eval.system.digests import digests_of_files, sha256_of_json
from qzhou_eval.system.mteb_version import generation
from qzhou_eval.system.network import is_offline


@dataclass(frozen=True)
class DataSource:
    """Where a task's data comes from: a local folder, or the hub at the pinned revision.

    ``content`` names a folder's files by their digest, whatever its revision is called; ``size`` is their size in bytes
    or, for data on the hub, that of the official texts.
    """

    folder: Path | None
    revision: str
    content: str | None = None
    size: int = 0


class NoData(BadInput):
    """A task's data is missing."""


def locate(task: Task, data_dir: Path | None) -> DataSource:
    """Find a task's data: the user's own files, ``data_dir/<path>``, else the hub at the revision that the installed
    mteb pins.

    The revision of local data is ``local-<digest of its files>``, unless every file is what ``fetch`` downloaded at
    the pinned revision: results never claim the hub's revision for other data, and edited files are noticed.

    Raises:
        NoData: the folder is missing or empty, or there is none and the network is off; the message has the command
            that fetches the data.
        BadInput: one of the user's own files is missing.
    """
    if task.own is not None:
        return _own(task, task.own)
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


def _own(task: Task, own: OwnFiles) -> DataSource:
    """The user's files; how they are read is part of the digest."""
    files = files_of(task)
    names = digests_of_files(list(files.values()), own.path.parent)
    digests = dict(zip(files, names.values(), strict=True))
    content = f"local-{sha256_of_json([task.type, digests, own.columns, own.options])[:16]}"
    return DataSource(own.path, content, content, sum(path.stat().st_size for path in files.values()))


def _pinned(task: Task) -> str:
    """The data set's revision that the installed mteb pins."""
    return task.revision if generation() == "current" else task.card_revision or task.revision


def fetch_command(tasks: Iterable[Task], root: Path | str) -> str:
    """The command that downloads tasks' data sets, at the pinned revisions, to a data folder."""
    return f"qzhou-eval fetch --tasks {' '.join(task.name for task in tasks)} --to {shlex.quote(str(root))}"


def no_data(tasks: list[Task], data_dir: Path | None) -> NoData:
    """The error that tasks' data is missing in a folder or, without one, on disk; the message says what to do."""
    names = ", ".join(task.name for task in tasks)
    several = len(tasks) > 1
    if data_dir is None:
        return NoData(f"{names}: --offline needs {'their' if several else 'its'} data on disk; {how_to_fetch(tasks)}")
    where = data_dir if several else data_dir / tasks[0].path
    command = fetch_command(tasks, data_dir)
    return NoData(f"{names}: no data in {where}; fetch {'them' if several else 'it'} with: {command}")


def how_to_fetch(tasks: Iterable[Task]) -> str:
    """What to do if the hub cannot be reached."""
    return f"on a machine that can reach the hub, run {fetch_command(tasks, 'ROOT')}, then give --data_dir ROOT"
