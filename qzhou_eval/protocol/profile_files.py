"""Reads profiles from YAML: those shipped in task_instructions/, one file each, and a user's own."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from qzhou_eval.errors import BadInput, did_you_mean
from qzhou_eval.protocol.profile import PUBLISHED_FACTS, Profile
from qzhou_eval.system.options import option
from qzhou_eval.system.paths import data_folder
from qzhou_eval.system.yaml_files import line_of, read_mapping

CHECKPOINT = "checkpoint"  # the profile that is made from a checkpoint's own files, not read from one here

_OF_ONE_PROFILE = PUBLISHED_FACTS | {"name", "source"}  # not inherited by extends
_FORMS = ("str", "SideTemplates", "int", "tuple[str, ...]")  # pydantic's names for the forms that a value may have


def profile_names() -> list[str]:
    """Names of the profiles that are shipped with the project."""
    return sorted(p.stem for p in data_folder("task_instructions").glob("*.yaml"))


def load_profile(name_or_path: str) -> Profile:
    """Load a profile by name (``task_instructions/NAME.yaml``) or from a YAML file.

    Raises:
        BadInput: no such profile, not YAML, or a field is missing, unknown or wrong.
    """
    path = given = Path(name_or_path).expanduser()
    if path.suffix not in {".yaml", ".yml"}:
        if "/" in name_or_path and path.exists():
            raise BadInput(f"{option('profile', name_or_path)}: not a .yaml file")
        path = _shipped(name_or_path)
    fields = _read(path)
    try:
        profile = Profile.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        loc = [part for part in first["loc"] if part not in _FORMS]
        where = ".".join(map(str, loc)) or "profile"
        what = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(str(loc[-1]), list(Profile.model_fields))
            what = f"unknown field; {hint}the fields are in README.md, Profiles"
        raise BadInput(f"{path}{line_of(path, loc)}: {where}: {what}") from None
    if profile.name == CHECKPOINT:
        raise BadInput(f"{path}: name: {CHECKPOINT} is the profile that is made from a model's files; choose another")
    profile._file = path if path is given else None
    return profile


def shipped_profiles() -> list[Profile]:
    """All profiles that are shipped with the project."""
    return [_load_shipped(name) for name in profile_names()]


def profiles_with(words: Iterable[str]) -> list[Profile]:
    """The shipped profiles whose file contains one of these words, in any case; the others are not parsed."""
    wanted = [word.lower() for word in words]
    texts = _texts(data_folder("task_instructions"))
    return [_load_shipped(name) for name, text in texts.items() if any(word in text for word in wanted)]


def profile_of(model: str) -> Profile | None:
    """The shipped profile that names a model (``org/name``) as its own, or None.

    Raises:
        BadInput: two profiles do.
    """
    found = [profile for profile in profiles_with([model]) if profile.is_of(model)]
    if len(found) > 1:
        raise BadInput(f"{' and '.join(one.name for one in found)} in task_instructions/ both name {model} in models")
    return found[0] if found else None


def filed_as(profile: Profile) -> str:
    """The name that results are filed under; it includes the digest if the profile is not as shipped."""
    shipped = profile.name in profile_names() and _load_shipped(profile.name).digest == profile.digest
    return profile.name if shipped or profile.name == CHECKPOINT else f"{profile.name}-{profile.digest[:8]}"


@cache
def _texts(folder: Path) -> dict[str, str]:
    """By name, the lower-case text of each profile in a folder."""
    return {path.stem: path.read_text("utf-8").lower() for path in sorted(folder.glob("*.yaml"))}


@cache
def _load_shipped(name: str) -> Profile:
    return load_profile(name)


def _shipped(name: str) -> Path:
    if name == CHECKPOINT:
        raise BadInput(f"{option('profile', name)}: made from a model's files; give {option('model_name_or_path')} too")
    known = profile_names()
    if name not in known:
        hint = did_you_mean(name, known)
        raise BadInput(f"{option('profile', name)}: no such profile; {hint}known: {', '.join(known)}, or a .yaml file")
    return data_folder("task_instructions") / f"{name}.yaml"


def _read(path: Path) -> dict:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise BadInput(f"{option('profile', str(path))}: {what}; known profiles: {', '.join(profile_names())}")
    fields = read_mapping(path, "profile")
    if base := fields.pop("extends", None):
        parent = _read(_shipped(str(base)))
        own = fields.get("tasks") or {}
        if not isinstance(own, dict):
            raise BadInput(f"{path}: tasks: expected a mapping of task names")
        inherited = {k: v for k, v in parent.items() if k not in _OF_ONE_PROFILE}
        fields = inherited | fields | {"tasks": parent.get("tasks", {}) | own}
    return fields
