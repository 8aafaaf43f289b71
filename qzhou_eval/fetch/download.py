"""Downloads repositories, each completely from the first endpoint that has it, and records them in ``fetched.json``."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from qzhou_eval.errors import BadInput
from qzhou_eval.fetch.endpoint import Failed, Hub, Listed, NotThere, Repository, Unreachable
from qzhou_eval.fetch.modelscope import ModelScope, is_installed
from qzhou_eval.fetch.receipt import ON_DEMAND, Fetched, data_files, is_one_of, note_fetched, read_fetched
from qzhou_eval.system.digests import digests_of_files
from qzhou_eval.system.files import lock, publish
from qzhou_eval.system.mteb_version import how_to_install

log = logging.getLogger(__name__)


def fetch(repositories: list[Repository], root: Path, endpoints: list[str]) -> dict[str, str]:
    """Download every repository that is available; return what failed, by name, with the reasons in one line.

    After the endpoints, ModelScope is asked if its client is installed. The user's token goes only to the first
    endpoint, as it does without this project.

    Raises:
        BadInput: no such model, or no endpoint can be reached.
    """
    hubs: list[Hub | ModelScope] = [Hub(endpoint, token=number == 0) for number, endpoint in enumerate(endpoints)]
    silent: dict[str, Failed] = {}
    failed = {}
    with _alone_in(root):
        if is_installed():
            hubs.append(ModelScope(_staging(root) / ".modelscope"))
        for repository in repositories:
            try:
                _from_first_that_has_it(repository, root, hubs, silent)
            except Failed as error:
                failed[repository.name] = str(error)
    if len(failed) < len(repositories):
        return failed
    if len(silent) == len(hubs):
        reasons = "; ".join([*(f"{endpoint}: {error}" for endpoint, error in silent.items()), *_other_way()])
        raise BadInput(f"nothing was fetched: {reasons}")
    for way in _other_way():
        log.warning("nothing was fetched; %s", way)
    return failed


def _other_way() -> list[str]:
    """A hint at what else could be tried: nothing if ModelScope was asked."""
    return [] if is_installed() else [f"ModelScope is asked too if it is installed: {how_to_install('modelscope')}"]


def _from_first_that_has_it(
    repository: Repository, root: Path, hubs: list[Hub | ModelScope], silent: dict[str, Failed]
) -> None:
    """Try the endpoints in order; one that did not answer once is not asked again.

    Raises:
        BadInput: a model that no endpoint has.
        Failed: every endpoint's reason.
    """
    if entry := _whole(root, repository, repository.revision):
        _say_what_is_there(repository, root, entry)
        return
    reasons = {hub.endpoint: silent[hub.endpoint] for hub in hubs if hub.endpoint in silent}
    asked = [hub for hub in hubs if hub.endpoint not in silent]
    for number, hub in enumerate(asked, 1):
        try:
            _bring(repository, root, hub)
            return
        except Failed as error:
            reasons[hub.endpoint] = error
            if isinstance(error, Unreachable):
                silent[hub.endpoint] = error
            if number < len(asked):
                log.warning("%s: %s: %s; trying %s", repository.name, hub.endpoint, error, asked[number].endpoint)
    said = "; ".join(f"{endpoint}: {error}" for endpoint, error in reasons.items())
    answers = {type(error) for error in reasons.values()} - {Unreachable}
    if repository.kind == "model" and answers == {NotThere}:
        raise BadInput(f"--model {repository.name}: {said}")
    raise Failed(said)


def _bring(repository: Repository, root: Path, hub: Hub | ModelScope) -> None:
    """Download what is missing, publish each file once it is verified, and record the repository once all are.

    Raises:
        Failed: this endpoint cannot provide it; files downloaded so far are kept.
    """
    commit = hub.commit(repository)
    before = read_fetched(root).get(repository.place)
    if hub.origin and before and before.kind == repository.kind:
        raise Failed("not asked, so that the existing files from the hub stay unchanged")
    if entry := _whole(root, repository, commit):
        _say_what_is_there(repository, root, entry)
        return
    files, left_out = hub.files(repository, commit)
    folder = root / repository.place
    missing = [file for file in files if not file.is_in(_inside(folder, file))]
    staging = _staging(root) / repository.place
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    size = sum(file.size for file in missing)
    with tqdm(total=size, desc=repository.name, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        for file in missing:
            staged = hub.download(repository, commit, file, staging, bar)
            target = _inside(folder, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            publish(staged, target)
    names = [file.name for file in files]
    source = {"kind": hub.origin + repository.kind, "revision": commit, "endpoint": hub.endpoint}
    entry = note_fetched(root, repository.place, names, **source)
    came = f"{len(missing)} of them ({size / 1e6:.1f} MB) from {hub.endpoint}" if missing else "already there"
    log.info("%s at %s: %s, %s", repository.name, entry.revision[:12], entry.size, came)
    if hub.origin:
        what = (repository.name, hub.endpoint, commit, repository.revision)
        log.warning("%s: %s's %s may not be the hub's %s; results call it local", *what)
    if left_out and repository.kind == "dataset":
        log.warning("%s: skipped, not a data format: %s", repository.name, ", ".join(left_out))
    _say_what_else_is_there(repository, root, entry)


def _say_what_is_there(repository: Repository, root: Path, entry: Fetched) -> None:
    """Log that nothing had to be downloaded, and warn of extra files."""
    log.info("%s at %s: %s, already there", repository.name, entry.revision[:12], entry.size)
    _say_what_else_is_there(repository, root, entry)


def _say_what_else_is_there(repository: Repository, root: Path, entry: Fetched) -> None:
    """Warn of extra files, because of which the folder no longer counts as the hub's."""
    folder = root / repository.place
    counts = ("*",) if repository.kind == "dataset" else (*repository.wanted, *ON_DEMAND)
    there = {path.relative_to(folder).as_posix() for path in data_files(folder)}
    if extra := sorted(name for name in there - {*entry.files} if is_one_of(name, counts)):
        log.warning("%s: extra files in %s, so not the hub's version: %s", repository.name, folder, ", ".join(extra))


def _whole(root: Path, repository: Repository, commit: str) -> Fetched | None:
    """The record of a repository, if it is at this commit of the hub and every file is still as recorded.

    If code or pickles are wanted, they must be recorded too; otherwise the endpoint must say whether there are any.
    """
    entry = read_fetched(root).get(repository.place)
    folder = root / repository.place
    if entry is None or (entry.kind, entry.revision) != (repository.kind, commit):
        return None
    if any(kind in repository.wanted and not entry.has(kind) for kind in ON_DEMAND):
        return None
    if not all((folder / name).is_file() for name in entry.files):
        return None
    return entry if digests_of_files([folder / name for name in entry.files], folder) == entry.digests else None


def _inside(folder: Path, file: Listed) -> Path:
    """The path that a file is written to.

    Raises:
        Failed: a link on this disk leads out of the folder.
    """
    target = folder / file.name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise Failed(f"{target} is a link out of the folder; nothing is written there")
    return target


def _staging(root: Path) -> Path:
    """The folder of files that are not verified yet; on the same disk, so that they can be renamed."""
    return root / ".fetching"


@contextmanager
def _alone_in(root: Path) -> Iterator[None]:
    """Keep a second fetch out of the same folder; the lock ends with the process, even if it is killed.

    Raises:
        BadInput: another fetch is running there.
    """
    staging = _staging(root)
    staging.mkdir(parents=True, exist_ok=True)
    with (staging / "lock").open("w") as file:
        try:
            lock(file, wait=False)
        except BlockingIOError:
            raise BadInput(f"--to {root}: another fetch into it is running; wait for it to end") from None
        except OSError:
            log.warning("%s: no locks on this file system; make sure that no other fetch is running", root)
        try:
            yield
        finally:
            shutil.rmtree(staging, ignore_errors=True)
