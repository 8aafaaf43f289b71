"""Where a task's data comes from: the user's own files, a local folder, the hub's cache, or the hub itself."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.benchmark.own_data.places import files_of
from qzhou_eval.benchmark.task import RANKED, OwnFiles, Task
from qzhou_eval.errors import BadInput
from qzhou_eval.fetch.receipt import Fetched, data_files, read_fetched
from qzhou_eval.system.digests import digests_of_files, sha256_of_json
from qzhou_eval.system.mteb_version import generation
from qzhou_eval.system.network import is_offline

JUDGEMENTS = "-qrels"  # what mteb 1.x adds to a data set's path for its judgements


@dataclass(frozen=True)
class DataSource:
    """Where a task's data comes from: a local folder, or the hub at the pinned revision.

    Attributes:
        content: names a folder's files by their digest, whatever its revision is called.
        size: the files' size in bytes or, for data on the hub, that of the official texts.
        older: whether retrieval or reranking data are in the layout of mteb 1.x.
        judgements: the folder of the judgements, where they are apart.
    """

    folder: Path | None
    revision: str
    content: str | None = None
    size: int = 0
    older: bool = False
    judgements: Path | None = None

    @property
    def folders(self) -> list[Path]:
        """Its local folders."""
        return [folder for folder in (self.folder, self.judgements) if folder is not None]


class NoData(BadInput):
    """A task's data is missing."""


@dataclass(frozen=True)
class _Upload:
    """One upload of a task's data set on the hub: paths and commits, of the judgements last if they are apart."""

    paths: tuple[str, ...]
    revisions: tuple[str, ...]
    older: bool


def repositories(task: Task, *, card: bool) -> list[tuple[str, str]]:
    """The data sets, as (path, commit), that the current mteb or the card's reads for a task."""
    upload = _card(task) if card and task.card_path else _current(task)
    return list(zip(upload.paths, upload.revisions, strict=True))


def _current(task: Task) -> _Upload:
    return _Upload((task.path,), (task.revision,), older=False)


def _card(task: Task) -> _Upload:
    """What mteb 1.38.30 reads, of a task whose data set was uploaded again for 2.x."""
    path, revision, older = str(task.card_path), str(task.card_revision), task.type in RANKED
    if task.card_qrels_revision is None:
        return _Upload((path,), (revision,), older)
    return _Upload((path, f"{path}{JUDGEMENTS}"), (revision, task.card_qrels_revision), older)


def _uploads(task: Task) -> list[_Upload]:
    """A task's uploads, first the one that the installed mteb pins."""
    found = [_current(task), *([_card(task)] if task.card_path else [])]
    return found if generation() == "current" else found[::-1]


def locate(task: Task, data_dir: Path | None) -> DataSource:
    """Find a task's data: the user's own files, ``data_dir/<path>``, else the hub at the revision that the installed
    mteb pins; without a network what the hub's cache on this machine holds of it.

    In ``data_dir`` and in the cache either mteb's upload will do, the installed one's first. The revision of local data
    is ``local-<digest of its files>``, unless every file is what ``fetch`` downloaded at an upload's revision: results
    never claim the hub's revision for other data, and edited files are noticed.

    Raises:
        NoData: the folder is missing or empty, or there is none and the network is off; the message has the command
            that fetches the data.
        BadInput: one of the user's own files is missing.
    """
    if task.own is not None:
        return _own(task, task.own)
    if data_dir is not None:
        return _in_folder(task, data_dir)
    if is_offline():
        return _in_cache(task)
    return DataSource(None, _uploads(task)[0].revisions[0], size=3 * task.characters)  # Chinese in UTF-8


def _own(task: Task, own: OwnFiles) -> DataSource:
    """The user's files; how they are read is part of the digest."""
    files = files_of(task)
    names = digests_of_files(list(files.values()), own.path.parent)
    digests = dict(zip(files, names.values(), strict=True))
    content = f"local-{sha256_of_json([task.type, digests, own.columns, own.options])[:16]}"
    return DataSource(own.path, content, content, sum(path.stat().st_size for path in files.values()))


def _in_folder(task: Task, data_dir: Path) -> DataSource:
    for upload in _uploads(task):
        folders = [data_dir / path for path in upload.paths]
        if all(map(data_files, folders)):
            fetched = read_fetched(data_dir)
            entries = [fetched.get(path) for path in upload.paths]
            return _source(upload, folders, [_as_fetched(*of) for of in zip(upload.revisions, entries, strict=True)])
    raise no_data([task], data_dir)


def _as_fetched(revision: str, entry: Fetched | None) -> dict[str, str] | None:
    """The digests that files have if they are what ``fetch`` downloaded at this revision; None if it did not."""
    return entry.digests if entry and (entry.kind, entry.revision) == ("dataset", revision) else None


def _source(upload: _Upload, folders: list[Path], as_fetched: list[dict[str, str] | None] | None = None) -> DataSource:
    """Local folders; ``as_fetched``: what their files must be at the upload's revisions, None if their place says."""
    found = [digests_of_files(data_files(folder), folder) for folder in folders]
    content = f"local-{sha256_of_json(found if len(found) > 1 else found[0])[:16]}"
    size = sum(path.stat().st_size for folder in folders for path in data_files(folder))
    revision = upload.revisions[0] if as_fetched is None or found == as_fetched else content
    return DataSource(folders[0], revision, content, size, upload.older, *folders[1:])


def _in_cache(task: Task) -> DataSource:
    """What the hub's cache holds of an upload, at its commit."""
    for upload in _uploads(task):
        folders = [_snapshot(*of) for of in zip(upload.paths, upload.revisions, strict=True)]
        there = [folder for folder in folders if folder is not None and data_files(folder)]
        if len(there) == len(folders):
            return _source(upload, there)
    raise no_data([task], None)


def _snapshot(path: str, revision: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(path, repo_type="dataset", revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        return None


def fetch_command(tasks: Iterable[Task], root: Path | str) -> str:
    """The command that downloads tasks' data sets, at the pinned revisions, to a data folder."""
    card = " --mteb card" if generation() == "card" else ""
    return f"qzhou-eval fetch --tasks {' '.join(task.name for task in tasks)} --to {shlex.quote(str(root))}{card}"


def no_data(tasks: list[Task], data_dir: Path | None) -> NoData:
    """The error that tasks' data is missing in a folder or, without one, on disk; the message says what to do."""
    names = ", ".join(task.name for task in tasks)
    several = len(tasks) > 1
    if data_dir is None:
        return NoData(f"{names}: --offline needs {'their' if several else 'its'} data on disk; {how_to_fetch(tasks)}")
    command = fetch_command(tasks, data_dir)
    if several:
        return NoData(f"{names}: no data in {data_dir}; fetch them with: {command}")
    return NoData(f"{names}: no data in {' or '.join(_missing(tasks[0], data_dir))}; fetch it with: {command}")


def _missing(task: Task, data_dir: Path) -> Iterator[str]:
    """The first missing folder of each upload, of which the first is always named."""
    for number, upload in enumerate(_uploads(task)):
        folders = [data_dir / path for path in upload.paths]
        lacking = [folder for folder in folders if not data_files(folder)]
        if number == 0 or len(lacking) < len(folders):
            yield str(lacking[0])


def how_to_fetch(tasks: Iterable[Task]) -> str:
    """What to do if the hub cannot be reached."""
    return f"on a machine that can reach the hub, run {fetch_command(tasks, 'ROOT')}, then give --data_dir ROOT"
