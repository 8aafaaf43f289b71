"""ModelScope, the last endpoint that ``fetch`` asks if its client is installed: the same ORG/NAME, at ``master``.

It does not know the hub's commits, so nothing downloaded from it counts as the hub's. It is accessed through its own
client, which was tested with a server of the tests, not with the service itself.
"""

import logging
import os
import string
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from qzhou_eval.fetch.endpoint import Failed, Listed, NotThere, Repository, Unreachable, choose

T = TypeVar("T")

REVISION = "master"
# Read by the client when it is imported. By default it gives a file one hour, too little for a model's weights, and
# asks an address that the server names for the cloud region.
_SETTINGS = {"MODELSCOPE_DOWNLOAD_TOTAL_TIMEOUT": "86400", "MODELSCOPE_DOWNLOAD_INTRA_CLOUD": "false"}


def is_installed() -> bool:
    """Whether ModelScope's client is installed: the extra ``modelscope``."""
    return find_spec("modelscope_hub") is not None


class ModelScope:
    """ModelScope as an endpoint, like :class:`qzhou_eval.fetch.endpoint.Hub`; MODELSCOPE_ENDPOINT names another host.

    The token is MODELSCOPE_API_TOKEN; the login that the client stores is a pickle and is not read. ``own`` is a folder
    for the client's lock files.
    """

    origin = "modelscope "

    def __init__(self, own: Path) -> None:
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        from modelscope_hub import HubApi, HubConfig

        logging.getLogger("modelscope_hub").setLevel(logging.CRITICAL)
        token = os.environ.get("MODELSCOPE_API_TOKEN", "")
        config = HubConfig(cache_dir=own, config_dir=own, token=token)
        self.endpoint = f"ModelScope at {config.endpoint}"
        self._api = HubApi(config)

    def commit(self, repository: Repository) -> str:
        """ModelScope's revision, whichever commit of the hub was asked for.

        Raises:
            NotThere: a revision of a model other than ``main`` was asked for.
        """
        if repository.kind == "model" and repository.revision != "main":
            raise NotThere(f"has no revision {repository.revision}, which is the hub's")
        return REVISION

    def files(self, repository: Repository, commit: str) -> tuple[list[Listed], list[str]]:
        """The wanted files, and the names of those left out; hidden files are neither.

        Raises:
            Failed: no answer, one that cannot be used, or a name that would lead out of the folder.
        """
        entries = _asked(lambda: self._api.list_repo_files(repository.name, repository.kind, revision=commit))
        return choose(repository, commit, [_listed(entry) for entry in entries if not entry.is_dir])

    def download(self, repository: Repository, commit: str, file: Listed, into: Path, bar: tqdm) -> Path:
        """Download one file below the folder ``into``; the client retries a file whose hash is wrong.

        Raises:
            Failed: it is not available, or it does not match the listing.
        """
        import modelscope_hub._download

        modelscope_hub._download.tqdm = lambda *_, **__: nullcontext(bar)  # the only way to turn its bars off
        try:
            path = _asked(
                lambda: self._api.download_file(
                    repository.name,
                    repository.kind,
                    file.name,
                    revision=commit,
                    local_dir=into,
                    force=True,
                    expected_sha256=file.sha256,
                )
            )
        except NotThere as error:
            raise Failed(f"lists a file that it does not have ({file.name})") from error
        if not file.is_in(path):
            path.unlink()
            raise Failed(f"{file.name}: the downloaded file does not match the listing")
        return path


def _listed(entry) -> Listed:
    """A file of a listing.

    Raises:
        Failed: the entry does not follow ModelScope's protocol.
    """
    if not isinstance(entry.path, str) or not entry.path or type(entry.size) is not int:
        raise Failed("lists a file without a name or a size")
    if not isinstance(entry.sha256, str) or len(entry.sha256) != 64 or set(entry.sha256) - set(string.hexdigits):
        raise Failed(f"lists {entry.path!r} without a SHA-256; nothing was downloaded")
    return Listed(entry.path, entry.size, entry.sha256.lower(), "")


def _asked(call: Callable[[], T]) -> T:
    """Call ModelScope and return its answer; its client retries by itself.

    Raises:
        Failed: there is no answer that can be used; says why in one line.
    """
    from modelscope_hub.errors import FileIntegrityError, HubError, NetworkError, NotExistError

    try:
        return call()
    except NotExistError as error:
        raise NotThere("no such repository") from error
    except FileIntegrityError as error:
        raise Failed(f"the downloaded file does not match the listing ({_first_line(error)})") from error
    except NetworkError as error:
        raise Unreachable(f"cannot be reached ({_first_line(_innermost(error))})") from error
    except (HubError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # this machine's disk
        status = getattr(error, "status_code", None)
        raise Failed(f"HTTP {status}" if status else f"an answer that cannot be used ({_first_line(error)})") from error


def _innermost(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
