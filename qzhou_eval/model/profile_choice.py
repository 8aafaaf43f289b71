"""Choose a model's profile: the one asked for, the shipped one of this model, or what the checkpoint itself says."""

import logging
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.files import read_if_there
from qzhou_eval.model.own_profile import checkpoint_profile
from qzhou_eval.protocol.profile import Profile, ProfileModel
from qzhou_eval.protocol.profile_files import CHECKPOINT, load_profile, profile_of, profiles_with
from qzhou_eval.system.options import option

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """A profile, and why it is this one."""

    profile: Profile
    why: str

    def __str__(self) -> str:
        return f"profile {self.profile.name} ({self.why})"


def choose_profile(name: str | None, checkpoint: Checkpoint, *, default: str | None = None) -> Choice:
    """Return the profile asked for, or the one of this model, or what the checkpoint's own files say.

    A model's name on the hub says which model it is. A folder is a model that a shipped profile names if it is called
    so (its own name, or ``_name_or_path`` in config.json) and the sizes agree.

    Args:
        default: the profile without one asked for, whatever the model is, with a warning if it is another one's.

    Raises:
        BadInput: no such profile, or two profiles name the model.
    """
    choice = _choice(name, checkpoint, default)
    _check_revision(choice.profile, checkpoint)
    return choice


def _choice(name: str | None, checkpoint: Checkpoint, default: str | None) -> Choice:
    if name is not None:
        profile = checkpoint_profile(checkpoint) if name == CHECKPOINT else load_profile(name)
        return Choice(profile, option("profile"))
    if default is not None:
        profile = load_profile(default)
        if not profile.is_of(checkpoint.name):
            _warn_of_default(profile, checkpoint)
        return Choice(profile, "default")
    own = profile_of(checkpoint.name)
    if own is not None:
        return Choice(own, f"the one of {checkpoint.name}")
    names = _names(checkpoint)
    for profile in profiles_with(names):
        for model in profile.models:
            if Path(model.name).name.lower() in names and _agrees(checkpoint, model):
                return Choice(profile, f"by name and sizes it is {model.name}; another: {option('profile', 'NAME')}")
    return Choice(checkpoint_profile(checkpoint), "no shipped profile names this model")


def named_choice(name: str | None, model: str, *, otherwise: str) -> Choice:
    """Return the profile asked for, or the shipped one of the model that a server calls ``model``, else ``otherwise``.

    Servers may leave out the organisation, or call a model by its folder.

    Raises:
        BadInput: no such profile, or two name the model.
    """
    if name == CHECKPOINT:
        raise BadInput(f"{option('profile', name)}: {model} has no files here that say what is sent; name a profile")
    if name is not None:
        return Choice(load_profile(name), option("profile"))
    own = profile_of(model)
    if own is not None:
        return Choice(own, f"the one of {model}")
    last = Path(model).name.lower()
    known = {one.name: profile for profile in profiles_with([last]) for one in profile.models}
    alike = [name for name in known if Path(name).name.lower() == last]
    if len(alike) == 1:
        return Choice(known[alike[0]], f"by its name it is {alike[0]}; another: {option('profile', 'NAME')}")
    return Choice(load_profile(otherwise), f"no shipped profile names {model}")


def profile_for(name: str | None, checkpoint: Checkpoint) -> Profile:
    """The profile of :func:`choose_profile`; its reason is logged."""
    choice = choose_profile(name, checkpoint)
    log.info("%s: %s", checkpoint.name, choice)
    return choice.profile


def check_parameters(profile: Profile, checkpoint: Checkpoint, parameters: int) -> None:
    """Compare a loaded model's number of parameters with the profile's, if this is one of the profile's models.

    Raises:
        BadInput: they differ.
    """
    published = profile.published_parameters(checkpoint.name)
    if published is None:
        log.info("%s: %s parameters", checkpoint.name, f"{parameters:,}")
    elif parameters != published:
        raise BadInput(
            f"{checkpoint.folder}: {parameters:,} parameters, but {profile.called} is of a model with {published:,}"
        )


def _warn_of_default(profile: Profile, checkpoint: Checkpoint) -> None:
    other = "not proven to be" if checkpoint.is_local else "not"
    better = _choice(None, checkpoint, None).profile.name
    what = "what its own files say" if better == CHECKPOINT else "what its published run did"
    log.warning(
        "%s is %s %s, but gets that model's prompt by default; %s keeps it, %s sends %s, %s the text alone",
        *(checkpoint.name, other, profile.models[0].name),
        *(option("profile", profile.name), option("profile", better), what, option("profile", "plain")),
    )


def _check_revision(profile: Profile, checkpoint: Checkpoint) -> None:
    """Warn in one line if the published scores are of another revision."""
    model = profile.model_named(checkpoint.name)
    published = model and model.revision
    if published and checkpoint.commit and not checkpoint.commit.startswith(published):
        log.warning(
            "%s is at revision %s, but its published scores are of %s: %s pins that one",
            *(checkpoint.name, checkpoint.commit[:8], published[:8], option("revision", published)),
        )


def _names(checkpoint: Checkpoint) -> set[str]:
    """What a local folder's model may be called: the folder's name, and the one that its config.json keeps."""
    if not checkpoint.is_local:
        return set()
    saved_as = read_if_there(checkpoint.body / "config.json").get("_name_or_path")
    paths = [checkpoint.folder.resolve(), Path(str(saved_as or "").rstrip("/"))]
    return {path.name.lower() for path in paths if path.name}


def _agrees(checkpoint: Checkpoint, model: ProfileModel) -> bool:
    """Whether no size that the profile states is another one."""
    architecture = checkpoint.architecture
    found = (architecture.kind, architecture.layers, architecture.hidden, checkpoint.width)
    stated = (model.model_type, model.layers, model.hidden, model.width)
    return all(size in (None, own) for size, own in zip(stated, found, strict=True))
