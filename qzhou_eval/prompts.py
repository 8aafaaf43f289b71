"""Text + profile + task + side -> the rendered prompt. Pure; user text is never parsed.

``side`` is what mteb calls the prompt type: ``"query"``, ``"document"``, or None for the symmetric
tasks (STS, pair classification, classification, clustering).
"""

import difflib

from qzhou_eval.errors import BadInput
from qzhou_eval.profile import Profile


def instruction_for(profile: Profile, task: str, side: str | None) -> str | None:
    """The instruction that ``task`` gives to ``side``, or None.

    Raises:
        BadInput: the profile has instructions, but none for this task.
    """
    if profile.instruction is None:
        return None
    if task not in profile.tasks:
        close = difflib.get_close_matches(task, profile.tasks, n=1)
        hint = f" (close: {close[0]})" if close else ""
        raise BadInput(f"profile {profile.name} has no instruction for task {task}{hint}; add one to its tasks")
    prompt = profile.tasks[task]
    if prompt.instruct == "queries" and side == "document":
        return None
    return prompt.instruction


def render(profile: Profile, text: str, instruction: str | None = None) -> str:
    """Put ``text``, behind its instruction line, into the profile's template.

    Only the exactly empty text is replaced by ``empty_text``. Braces and special tokens in
    ``text`` or ``instruction`` are plain input.
    """
    return "".join(pieces(profile, text, instruction))


def pieces(profile: Profile, text: str, instruction: str | None = None) -> tuple[str, str, str, str]:
    """What :func:`render` joins: the template's beginning, the instruction line, the text, the template's end."""
    line = ""
    if instruction is not None:
        before, after = profile.instruction.split("{instruction}")
        line = before + instruction + after
    return profile.prefix, line, text or profile.empty_text, profile.suffix
