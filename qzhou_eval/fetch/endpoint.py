"""One endpoint that speaks the hub's protocol: gives a repository's commit, its list of files, and single files.

File names that would lead out of the folder are refused.
"""

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar, cast

import httpx2
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder
from tqdm import tqdm

from qzhou_eval.fetch.http_client import Unavailable, patiently
from qzhou_eval.fetch.receipt import is_one_of

T = TypeVar("T")


@dataclass(frozen=True)
class Repository:
    """What to fetch: ``revision`` of ``name`` into the folder ``place`` below the root, files that match ``wanted``."""

    kind: str
    name: str
    revision: str
    place: str
    wanted: tuple[str, ...]


class Failed(Exception):
    """An endpoint cannot provide this repository."""


class NotThere(Failed):
    """The endpoint answers that it has no such repository or revision."""


class Unreachable(Failed):
    """The endpoint does not answer at all."""


@dataclass(frozen=True)
class Listed:
    """A file as the endpoint lists it, with its SHA-256 if it is large, else the SHA-1 of its git blob."""

    name: str
    size: int
    sha256: str | None
    blob: str

    def is_in(self, path: Path) -> bool:
        """Whether ``path`` is this file, byte for byte."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as file:
            if self.sha256:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
            blob = hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
            while part := file.read(1 << 20):
                blob.update(part)
            return blob.hexdigest() == self.blob


class Hub:
    """An endpoint; ``token`` says whether the user's own token is sent to it."""

    origin = ""  # prefix of the kind in the manifest, if a revision is not the hub's

    def __init__(self, endpoint: str, *, token: bool) -> None:
        self.endpoint = endpoint
        self._token = None if token else False
        self._api = HfApi(endpoint=endpoint, token=self._token)

    def commit(self, repository: Repository) -> str:
        """The commit that a repository's revision stands for at this endpoint.

        Raises:
            Failed: no answer, or one that cannot be used.
        """
        name, revision, kind = repository.name, repository.revision, repository.kind
        found = str(_asked(lambda: self._api.repo_info(name, revision=revision, repo_type=kind).sha))
        if not _is_commit(found) or (_is_commit(repository.revision) and found != repository.revision):
            raise Failed(f"answers with commit {found} for {repository.revision}")
        return found

    def files(self, repository: Repository, commit: str) -> tuple[list[Listed], list[str]]:
        """The wanted files at a commit, and the names of those left out; hidden files are neither.

        Raises:
            Failed: no answer, one that cannot be used, or a name that would lead out of the folder.
        """

        def listing() -> list[Listed | None]:
            name, kind = repository.name, repository.kind
            tree = self._api.list_repo_tree(name, revision=commit, repo_type=kind, recursive=True)
            return [_listed(one) for one in tree]

        entries = _asked(listing)
        return choose(repository, commit, [entry for entry in entries if entry is not None])

    def download(self, repository: Repository, commit: str, file: Listed, into: Path, bar: tqdm) -> Path:
        """Download one file below the folder ``into`` and check its hash; if it is wrong, download it once more.

        Raises:
            Failed: it is not available, or it does not match the listing.
        """
        # The client declares a class, but only calls it and enters what it returns.
        shared = cast("type[tqdm]", lambda **_: nullcontext(bar))
        for again in (False, True):
            path = _asked(
                lambda: hf_hub_download(
                    repository.name,
                    file.name,
                    local_dir=into,
                    force_download=again,  # noqa: B023 (called at once)
                    repo_type=repository.kind,
                    revision=commit,
                    endpoint=self.endpoint,
                    token=self._token,
                    tqdm_class=shared,
                )
            )
            if file.is_in(Path(path)):
                return Path(path)
            Path(path).unlink()
        raise Failed(f"{file.name}: the downloaded file does not match the listing (twice)")


def choose(repository: Repository, commit: str, listed: list[Listed]) -> tuple[list[Listed], list[str]]:
    """The wanted files of a listing, and the names of those left out; hidden files are neither.

    Raises:
        Failed: none is wanted, or a name would lead out of the folder.
    """
    _check_names([file.name for file in listed])
    shown = [file for file in listed if not any(part.startswith(".") for part in file.name.split("/"))]
    wanted = [file for file in shown if is_one_of(file.name, repository.wanted)]
    if not wanted:
        raise Failed(f"lists no file to fetch at {commit}")
    return wanted, [file.name for file in shown if file not in wanted]


def _listed(entry: RepoFile | RepoFolder) -> Listed | None:
    """A file of a listing; None for a folder.

    Raises:
        ValueError: the entry does not follow the hub's protocol.
    """
    if isinstance(entry, RepoFolder):
        return None
    if not isinstance(entry.path, str) or type(entry.size) is not int:
        raise ValueError("a file without a name or a size")
    return Listed(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and not set(revision) - set("0123456789abcdef")


def _check_names(names: list[str]) -> None:
    """Refuse a listing with a name that is not a plain path inside its folder.

    Raises:
        Failed: ``..``, an absolute path, a drive, a backslash, control characters, or a file that is a folder too.
    """
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    for name in names:
        plain = all(part not in ("", ".", "..") for part in name.split("/")) and name not in folders
        if not plain or not name.isprintable() or set(name) & {"\\", ":"}:
            raise Failed(f"lists a file named {name!r}, which is not a path inside a folder; nothing was downloaded")


def _asked(call: Callable[[], T]) -> T:
    """Call an endpoint, with retries, and return its answer.

    Raises:
        Failed: there is no answer that can be used; says why in one line.
    """
    try:
        return patiently(call)
    except Unavailable as error:
        raise (Failed if error.reached else Unreachable)(str(error)) from error
    except GatedRepoError as error:
        raise Failed("needs an account with access; set HF_TOKEN") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise NotThere("no such repository or revision") from error
    except (HfHubHTTPError, OSError, ValueError, KeyError, TypeError, AttributeError, httpx2.HTTPError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # this machine's disk
        raise Failed(_reason(error)) from error


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, HfHubHTTPError | OSError) else error
    if isinstance(cause, RemoteEntryNotFoundError):
        return f"lists a file that it does not have ({cause.response.url.path})"
    if isinstance(cause, HfHubHTTPError):
        return f"HTTP {cause.response.status_code}"
    return f"an answer that cannot be used ({type(cause).__name__}: {next(iter(str(cause).splitlines()), '')})"
