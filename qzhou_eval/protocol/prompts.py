"""Renders prompts from texts, by profile, task and side. Pure functions; user text is never parsed.

``side`` is what mteb calls the prompt type: ``"query"``, ``"document"``, or None for the symmetric
tasks (STS, pair classification, classification, clustering).
"""

import difflib
from collections.abc import Iterable, Mapping, Set

from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.profile import Profile


def instruction_for(profile: Profile, task: str, side: str | None) -> str | None:
    """The instruction that ``task`` gives to ``side``, or None.

    Raises:
        BadInput: the profile has instructions, but none for this task.
    """
    if profile.instruction is None:
        return None
    if task not in profile.tasks:
        close = difflib.get_close_matches(task, profile.tasks, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise BadInput(f"{profile.called} has no instruction for task {task}{hint}; add one to its tasks")
    prompt = profile.tasks[task]
    if prompt.instruct == "queries" and side == "document":
        return None
    return prompt.instruction


def render(profile: Profile, text: str, instruction: str | None = None) -> str:
    """Put ``text``, after its instruction line, into the profile's template.

    Only an exactly empty text is replaced by ``empty_text``. Braces and special tokens in
    ``text`` or ``instruction`` are plain input.
    """
    return "".join(prompt_parts(profile, text, instruction))


def prompt_parts(profile: Profile, text: str, instruction: str | None = None) -> tuple[str, str, str, str]:
    """The parts that :func:`render` joins: template beginning, instruction line, text, template end."""
    line = ""
    if instruction is not None:
        if profile.instruction is None:
            raise BadInput(f"{profile.called} has no instruction line; drop the instruction")
        before, after = profile.instruction.split("{instruction}")
        line = before + instruction + after
    return profile.prefix, line, text or profile.empty_text, profile.suffix


def beginnings(profile: Profile) -> list[str]:
    """All that :func:`render` puts before a text, with the instruction of any task or none; the longest first."""
    lines = {prompt_parts(profile, "", task.instruction)[1] for task in profile.tasks.values()}
    return sorted((profile.prefix + line for line in {"", *lines}), key=len, reverse=True)


def as_texts(values: Iterable[str], what: str = "text") -> list[str]:
    """Texts from a list, tuple, generator or array of strings.

    Raises:
        BadInput: not a sequence of strings (a single string is not one), or one is not Unicode; names its position.
    """
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise BadInput(f"{what}s: expected a list of strings, not {type(values).__name__}")
    try:
        texts = list(values)
    except TypeError:  # a zero-dimensional array
        raise BadInput(f"{what}s: expected a list of strings, not {type(values).__name__}") from None
    for position, text in enumerate(texts):
        check_text(text, f"{what} {position}")
    return texts


def check_text(text: object, where: str) -> None:
    """Refuse what no tokenizer accepts: another type, or half of a surrogate pair.

    Raises:
        BadInput: the message says ``where`` it is.
    """
    if not isinstance(text, str):
        raise BadInput(f"{where}: {text!r:.60} is {type(text).__name__}, not a string")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        lost = ascii(text[error.start])
        raise BadInput(f"{where}: {lost} at character {error.start} is half of a surrogate pair") from None


def check_instructions(profile: Profile, tasks: Iterable[str]) -> None:
    """Refuse tasks for which a profile with instructions has none.

    Raises:
        BadInput: names these tasks.
    """
    missing = [task for task in tasks if profile.instruction and task not in profile.tasks]
    if missing:
        raise BadInput(
            f"{profile.called} has no instruction for {', '.join(missing)}; "
            "add one to its tasks, or give --use_instruction false"
        )
