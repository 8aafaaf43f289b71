"""``fetched.json`` of a data folder: what was fetched into it, at which revision, with every file's size and SHA-256.

Also checks whether a folder is still as downloaded. Uses files and digests, not the network.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.system.digests import digests_of_files
from qzhou_eval.system.files import write_text

MANIFEST = "fetched.json"
CODE, PICKLES = "*.py", "pytorch_model*.bin"  # each downloaded with a model only if asked for
ON_DEMAND = (CODE, PICKLES)


@dataclass(frozen=True)
class Fetched:
    """One repository as an endpoint listed it; ``files`` gives size and SHA-256 by name.

    ``kind`` is ``dataset`` or ``model`` for a commit of the hub; for another origin, its name comes first.
    """

    kind: str
    revision: str
    endpoint: str
    files: dict[str, dict]

    @property
    def digests(self) -> dict[str, str]:
        return {name: file["sha256"] for name, file in self.files.items()}

    def has(self, kind: str) -> bool:
        """Whether files of one kind, such as :data:`CODE`, were downloaded with it."""
        return any(is_one_of(name, [kind]) for name in self.files)

    @property
    def size(self) -> str:
        """Its number of files and its size, as text."""
        return f"{len(self.files)} files, {sum(file['size'] for file in self.files.values()) / 1e6:.1f} MB"


def read_fetched(root: Path) -> dict[str, Fetched]:
    """What was fetched into ``root``, by folder below it; empty if nothing was.

    Raises:
        BadInput: a damaged manifest.
    """
    path = root / MANIFEST
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))["repositories"]
        found = {place: Fetched(**entry) for place, entry in content.items()}
        for entry in found.values():
            _ = entry.digests, entry.size
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(f"{path}: damaged; delete it and fetch again, which keeps intact files") from None
    return found


def note_fetched(root: Path, place: str, names: list[str], *, kind: str, revision: str, endpoint: str) -> Fetched:
    """Record a repository whose files are all in ``root / place``."""
    folder = root / place
    digests = digests_of_files([folder / name for name in names], folder)
    files = {name: {"size": (folder / name).stat().st_size, "sha256": digests[name]} for name in sorted(names)}
    entry = Fetched(kind, revision, endpoint, files)
    everything = {where: asdict(one) for where, one in (read_fetched(root) | {place: entry}).items()}
    write_text(root / MANIFEST, json.dumps({"repositories": everything}, indent=1, sort_keys=True) + "\n")
    return entry


def data_files(folder: Path) -> list[Path]:
    """The files of a data set's folder, without hidden ones such as the hub client's .cache."""
    found = (p for p in folder.rglob("*") if p.is_file())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def hub_model(folder: Path, loadable: Iterable[str]) -> tuple[str, str] | None:
    """A model's name and commit on the hub, if its folder is where ``fetch`` put it and still as downloaded.

    ``loadable`` are patterns; no file that matches one may be there unless it was downloaded.

    Raises:
        BadInput: a damaged manifest.
    """
    folder = folder.resolve()
    place = "/".join(folder.parts[-3:])  # models/ORG/NAME
    entry = read_fetched(folder.parents[2]).get(place) if place.startswith("models/") else None
    if entry is None or entry.kind != "model":
        return None
    there = {path.relative_to(folder).as_posix() for path in data_files(folder)}
    extra = {name for name in there - {*entry.files} if is_one_of(name, loadable)}
    if extra or not there.issuperset(entry.files):
        return None
    if digests_of_files([folder / name for name in entry.files], folder) != entry.digests:
        return None
    return place.removeprefix("models/"), entry.revision


def is_one_of(name: str, kinds: Iterable[str]) -> bool:
    """Whether a file's name matches one of the patterns."""
    return any(fnmatchcase(name, kind) for kind in kinds)


def changed_files(root: Path, place: str, entry: Fetched) -> list[str]:
    """One line for each file of ``root / place`` that is missing, changed or extra; every byte is read."""
    folder = root / place
    there = {path.relative_to(folder).as_posix(): path for path in data_files(folder)}
    lines = [f"{place}/{name}: missing" for name in entry.files if name not in there]
    for name, path in there.items():
        if name not in entry.files:
            lines.append(f"{place}/{name}: extra")
        elif path.stat().st_size != entry.files[name]["size"] or _sha256(path) != entry.files[name]["sha256"]:
            lines.append(f"{place}/{name}: changed")
    return sorted(lines)


def _sha256(path: Path) -> str:
    """SHA-256 (hex) from disk, not from the cache: an explicit check reads every byte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
