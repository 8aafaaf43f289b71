"""What was asked for against what there is, before anything is computed or written: tasks, dimensions, folders."""

import logging
import tempfile
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.profile import Profile
from qzhou_eval.tasks import Task
from qzhou_eval.units import whole_number
from qzhou_eval.vectors import check_dim

log = logging.getLogger(__name__)


def named_tasks(flag: str, names: list[str] | None, tasks: list[Task]) -> frozenset[str]:
    """The tasks that a flag names: all of the run's if it is given without a name, none if it is not given.

    Raises:
        BadInput: one of them is no task of this run.
    """
    known = [task.name for task in tasks]
    for name in names or []:
        if name not in known:
            raise BadInput(f"{flag} {name}: not a task of this run, which has {', '.join(known)}")
    return frozenset(known if names == [] else names or [])


def check_instructions(profile: Profile, tasks: list[Task]) -> None:
    """Refuse tasks to which a profile with instructions gives none."""
    missing = [task.name for task in tasks if profile.instruction and task.name not in profile.tasks]
    if missing:
        raise BadInput(
            f"profile {profile.name} has no instruction for {', '.join(missing)}; "
            "add one to its tasks, or give --use_instruction false"
        )


def check_writable(flag: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written, without making it."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise BadInput(f"{flag} {folder}: {existing} is a file, not a folder")
    try:
        tempfile.TemporaryFile(dir=existing).close()  # has no name where the system can: a kill leaves nothing
    except OSError as error:
        raise BadInput(f"{flag} {folder}: cannot write there ({error.strerror})") from None


def dimensions(asked: list[str], profile: Profile, width: int) -> list[int]:
    """``--dim``: numbers, ``all`` (the profile's dimensions that the model has, and its full width), or nothing.

    Raises:
        BadInput: not a number, or wider than the model.
    """
    dims = set()
    for value in asked or [str(width)]:
        if value == "all":
            dims |= {d for d in profile.matryoshka_dims if d <= width} | {width}
        elif (number := whole_number(value)) is not None:
            dims.add(check_dim(number, width))
        else:
            raise BadInput(f"--dim {value}: give numbers from 1 to {width}, or all")
    _state_untrained(sorted(dims), profile, width)
    return sorted(dims)


def _state_untrained(dims: list[int], profile: Profile, width: int) -> None:
    """Say which dimensions a model was not trained to be cut to, where the profile lists those that it was."""
    trained = profile.matryoshka_dims
    untrained = [str(dim) for dim in dims if trained and dim not in (*trained, width)]
    if untrained:
        known = ", ".join(map(str, trained))
        log.warning(
            "--dim %s: the model was not trained for it; profile %s lists %s", " ".join(untrained), profile.name, known
        )
