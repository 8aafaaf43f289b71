"""Choose a model's profile: the one asked for, or the default; and check that the model is the profile's."""

import logging

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.sent_lines import own_prompts
from qzhou_eval.protocol.profile import Profile, load_profile
from qzhou_eval.system.options import DEFAULT_PROFILE, option

log = logging.getLogger(__name__)


def profile_for(name: str | None, checkpoint: Checkpoint) -> Profile:
    """Return the profile asked for, or the default.

    The default is the protocol of one particular model: any model not proven to be that one gets it with a warning.

    Raises:
        BadInput: no such profile.
    """
    profile = load_profile(name or DEFAULT_PROFILE)
    if name is None and profile.model is not None and not profile.is_of(checkpoint.name):
        other = "not proven to be" if checkpoint.is_local else "not"
        own = own_prompts(checkpoint)
        log.warning(
            "%s is %s %s, but gets that model's prompt by default; %s keeps it, %s sends the text alone, %s your own%s",
            *(checkpoint.name, other, profile.model.name),
            *(option("profile", name) for name in (DEFAULT_PROFILE, "plain", "FILE.yaml")),
            f"; the checkpoint's own prompts ({', '.join(own)}) are not used" if own else "",
        )
    return profile


def check_parameters(profile: Profile, checkpoint: Checkpoint, parameters: int) -> None:
    """Compare a loaded model's number of parameters with the profile's, if this is the profile's model.

    Raises:
        BadInput: they differ.
    """
    own, published = profile.model, profile.published_parameters(checkpoint.name)
    if own is None or published is None:
        log.info("%s: %s parameters", checkpoint.name, f"{parameters:,}")
    elif parameters != published:
        raise BadInput(f"{checkpoint.folder}: {parameters:,} parameters, but {own.name} has {published:,}")
