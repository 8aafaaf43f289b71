"""Locate a checkpoint (a folder, a snapshot in the hub's cache, or the hub), with its name and, if proven, commit."""

import hashlib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.fetch.receipt import CODE, ON_DEMAND, PICKLES, data_files, hub_model, is_one_of
from qzhou_eval.model.folder.gguf_file import ENDING, as_folder, lone_file
from qzhou_eval.protocol.profile_files import profile_of
from qzhou_eval.system.digests import digests_of_files
from qzhou_eval.system.network import is_offline
from qzhou_eval.system.options import option

log = logging.getLogger(__name__)

# A checkpoint's files: no pickles, and no code unless it is asked for.
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]

FETCH_FLAGS = {CODE: "--code", PICKLES: "--pickle"}  # of fetch, by what they bring

_NAME = "model_name_or_path"
_SNAPSHOT = re.compile(r"models--(?P<organisation>.+?)--(?P<name>.+)/snapshots/(?P<commit>[0-9a-f]{40})$")
_SMALL = 10 * 2**20  # bytes; files up to this size may be checked by git's hash, larger ones only by their SHA-256


@dataclass(frozen=True)
class Location:
    """A folder, the name of the model in it, and the hub's commit if the folder is proven to be that."""

    folder: Path
    name: str
    commit: str | None


def locate(
    model_name_or_path: str, *, revision: str | None, trust_remote_code: bool, allow_pickle: bool = False
) -> Location:
    """Find a folder or a GGUF file, or download a model from the hub (once). What exists here takes precedence.

    Pickles are downloaded if they are allowed and the model has no safetensors.

    Raises:
        BadInput: nothing found, a file of another kind, a revision given for a folder, or a model without open weights.
    """
    asked = model_name_or_path
    if not asked.strip():
        raise BadInput(f"{option(_NAME)}: empty; give a folder or an org/name on the hub")
    try:
        folder = Path(asked).expanduser()
        is_folder, is_file = folder.is_dir(), folder.is_file()
    except (OSError, RuntimeError) as error:  # unknown user, name too long, or no permission
        raise BadInput(f"{option(_NAME, asked)}: {getattr(error, 'strerror', None) or error}") from None
    could_be_hubs = asked.count("/") == 1 and not asked.startswith((".", "/", "~")) and not asked.endswith("/")
    if is_file and folder.suffix != ENDING:
        raise BadInput(f"{option(_NAME, asked)}: a file, and not a GGUF one; give the model's folder, {folder.parent}")
    if is_folder or is_file:
        if revision is not None:
            what = f"{folder} is a {'file' if is_file else 'folder'}; only models on the hub have revisions"
            raise BadInput(f"{option('revision', revision)}: {what}")
        if quantised := folder if is_file else lone_file(folder):
            return _from_gguf(quantised)
        name, commit = hub_model(folder, [*WANTED, *ON_DEMAND]) or _cached(folder) or (_local_name(folder), None)
        if could_be_hubs and name != asked:
            log.warning("%s: using the local folder of that name, not the model on the hub", asked)
        return Location(folder, name, commit)
    if not could_be_hubs:
        raise BadInput(f"{option(_NAME, asked)}: no such folder, and not an org/name on the hub")
    patterns = [*WANTED, CODE] if trust_remote_code else WANTED
    folder = _download(asked, revision, patterns)
    if allow_pickle and not any(folder.rglob("*.safetensors")):
        folder = _download(asked, revision, [*patterns, PICKLES])
    return Location(folder, asked, folder.name)


def _from_gguf(file: Path) -> Location:
    folder = as_folder(file)
    return Location(folder, _local_name(folder), None)


def _local_name(folder: Path) -> str:
    """``local/<folder>`` in letters, digits, spaces, ``.``, ``_`` and ``-``, fit for folder names and tables."""
    name = re.sub(r"[^\w. -]", "_", folder.resolve().name)
    return f"local/{name[:60] or 'model'}"  # at most 240 bytes, so that every file system accepts it


def _cached(folder: Path) -> tuple[str, str] | None:
    """Name and commit of a snapshot in the hub client's cache, if its files are the cache's blobs and are unchanged.

    A blob's name is the hash of its content: SHA-256 for large files, git's hash for small ones.
    """
    folder = Path(os.path.abspath(folder))
    found = _SNAPSHOT.search(folder.as_posix())
    if found is None:
        return None
    blobs = folder.parents[1].resolve() / "blobs"
    files = [path for path in data_files(folder) if is_one_of(path.name, [*WANTED, *ON_DEMAND])]
    if not files or any(path.resolve().parent != blobs for path in files):
        return None
    large = [path for path in files if len(path.resolve().name) == 64]
    digests = digests_of_files(large, folder)
    for path in files:
        blob = path.resolve().name
        if (digests[path.relative_to(folder).as_posix()] if path in large else _git_hash(path)) != blob:
            return None
    return f"{found['organisation']}/{found['name']}", found["commit"]


def _git_hash(path: Path) -> str | None:
    """Git's hash of a small file's content; None for a larger file."""
    size = path.stat().st_size
    return hashlib.sha1(b"blob %d\0" % size + path.read_bytes()).hexdigest() if size <= _SMALL else None


def _download(name: str, revision: str | None, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    own = profile_of(name)
    if own is not None and own.open != "yes":
        raise BadInput(
            f"{option(_NAME, name)}: this model has no open weights; its protocol is {option('profile', own.name)}"
        )
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except HFValidationError:
        raise BadInput(f"{option(_NAME, name)}: no such folder, and not a valid name on the hub") from None
    except RepositoryNotFoundError:
        raise BadInput(f"{option(_NAME, name)}: not a folder, and no such model on the hub") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        if is_offline():
            flags = "".join(f" {flag}" for kind, flag in FETCH_FLAGS.items() if kind in patterns)
            raise BadInput(
                f"{option(_NAME, name)}: --offline needs the model on disk; on a machine that can reach the hub, run "
                f"qzhou-eval fetch --model {name}{flags} --to ROOT, then give ROOT/models/{name}"
            ) from None
        reason = str(error).splitlines()[0]
        raise BadInput(f"{option(_NAME, name)}: not a folder, and the hub cannot be reached ({reason})") from None
