"""Which profile a model gets: the one that was asked for, else the default one."""

import logging

from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.sent_lines import own_prompts
from qzhou_eval.protocol.profile import Profile, load_profile
from qzhou_eval.system.options import DEFAULT_PROFILE, option

log = logging.getLogger(__name__)


def profile_for(name: str | None, checkpoint: Checkpoint) -> Profile:
    """The profile that was asked for, else the default one.

    The default one is another model's protocol: a model that is not proven to be that gets it with a warning.

    Raises:
        BadInput: no such profile.
    """
    profile = load_profile(name or DEFAULT_PROFILE)
    if name is None and not profile.is_of(checkpoint.name):
        other = "not proven to be" if checkpoint.is_local else "not"
        own = own_prompts(checkpoint)
        log.warning(
            "%s is %s %s, whose prompt it gets by default: %s keeps that, %s sends the text alone, %s yours%s",
            *(checkpoint.name, other, profile.model.name),
            *(option("profile", name) for name in (DEFAULT_PROFILE, "plain", "FILE.yaml")),
            f"; the prompts that it brings ({', '.join(own)}) are not used" if own else "",
        )
    return profile
