"""Renders prompts from texts, by profile, task, task type and side. Pure functions; user text is never parsed.

For ``side`` see :mod:`qzhou_eval.protocol.instructions`.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.instructions import ASYMMETRIC, OTHERWISE, TaskPrompt
from qzhou_eval.protocol.profile import TEXT, TITLE, Profile
from qzhou_eval.protocol.task_versions import first_version
from qzhou_eval.protocol.texts import AnyText, TitledText, joined
from qzhou_eval.system.options import option

SIDES = ("query", "document")
_MARKS = {side: f"[{side}] " for side in SIDES}  # before a prompt whose side is sent apart from it
ANY = TitledText("", "", "")  # whether a document has a title, only the data say


class NamedTask(Protocol):
    """What prompts depend on of a task: its name and its type, as mteb calls it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...


@dataclass(frozen=True)
class OtherTask:
    """A task that is in no table here."""

    name: str
    type: str


def sides_of(task: NamedTask) -> tuple[str | None, ...]:
    """The sides that a task's texts are on."""
    return SIDES if task.type in ASYMMETRIC else (None,)


def instruction_for(profile: Profile, task: NamedTask, side: str | None) -> str | None:
    """The instruction that ``task`` gives to ``side``, or None; what the profile says of a task overrides its type's.

    Raises:
        BadInput: the profile has instructions, but none for this task or type.
    """
    if profile.instruction is None:
        return None
    prompt = task_prompt(profile, task)
    if prompt is None:
        close = difflib.get_close_matches(task.name, profile.tasks, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise BadInput(f"{profile.called} has no instruction for task {task.name}{hint}; add one to its tasks or types")
    return prompt.of(side)


def retrieval_instruction(profile: Profile, side: str) -> str | None:
    """The instruction that the profile has for ``"query"`` or ``"document"`` in any retrieval task, or None.

    Raises:
        BadInput: another side.
    """
    if side not in SIDES:
        raise BadInput(f"{option('side', side)}: choose {' or '.join(SIDES)}")
    prompt = profile.types.get(ASYMMETRIC[0]) or profile.types.get(OTHERWISE)
    return None if prompt is None else prompt.of(side)


def task_prompt(profile: Profile, task: NamedTask) -> TaskPrompt | None:
    """What the profile says of a task or of its first version; if it names neither, of its type; else of all others."""
    named = profile.tasks.get(task.name) or profile.tasks.get(first_version(task.name))
    return named or profile.types.get(task.type) or profile.types.get(OTHERWISE)


def prompts_of(
    profile: Profile, task: NamedTask, side: str | None, texts: Iterable[AnyText], *, use_instruction: bool
) -> list[str]:
    """Render one side of a task's texts.

    Raises:
        BadInput: the profile has no instruction or no template for them.
    """
    instruction = instruction_for(profile, task, side) if use_instruction else None
    return [render(profile, text, instruction, side) for text in texts]


def render(profile: Profile, text: AnyText, instruction: str | None = None, side: str | None = None) -> str:
    """Put ``text``, after its instruction line, into the profile's template for its side.

    Only an exactly empty text is replaced by ``empty_text``. Braces and special tokens in
    ``text`` or ``instruction`` are plain input.
    """
    return "".join(prompt_parts(profile, text, instruction, side))


def prompt_parts(
    profile: Profile, text: AnyText, instruction: str | None = None, side: str | None = None
) -> tuple[str, str, str, str]:
    """The parts that :func:`render` joins: template beginning, instruction line, text, template end.

    Raises:
        BadInput: no template for this side, no line for the instruction, or no word for a title that is not there.
    """
    line = ""
    if instruction is not None:
        if profile.instruction is None:
            raise BadInput(f"{profile.called} has no instruction line; drop the instruction")
        before, after = profile.instruction.split("{instruction}")
        line = before + instruction + after
    before, _, after = profile.template_of(side).partition(TEXT)
    if profile.request is not None:
        before = _MARKS[side or "query"] + before
    if TITLE not in before:
        return before, line, joined(text) or profile.empty_text, after
    title, body = (profile.no_title, text) if isinstance(text, str) else (text.title, text.body)
    if title is None:
        raise BadInput(f"{profile.called}: its template has {{title}}, but a document has none; give no_title")
    return before.replace(TITLE, title), line, body or profile.empty_text, after


def side_and_prompt(profile: Profile, rendered: str) -> tuple[str, str]:
    """The side of a rendered prompt whose profile has fields by side, and the prompt to send; else queries'."""
    if profile.request is None:
        return SIDES[0], rendered
    side = next(side for side in SIDES if rendered.startswith(_MARKS[side]))
    return side, rendered.removeprefix(_MARKS[side])


def beginnings(profile: Profile) -> list[str]:
    """All that :func:`render` puts before a text, with the instruction of any task or none; the longest first."""
    prompts = (*profile.tasks.values(), *profile.types.values())
    instructions = {None, *(text for prompt in prompts for text in prompt.texts)}
    sides = (None,) if isinstance(profile.template, str) else SIDES
    given = [side for side in sides if side is None or getattr(profile.template, side) is not None]
    found = {"".join(prompt_parts(profile, "", text, side)[:2]) for side in given for text in instructions}
    return sorted(found, key=len, reverse=True)


def check_prompts(profile: Profile, tasks: Iterable[NamedTask], *, use_instruction: bool) -> None:
    """Refuse tasks whose prompts the profile cannot render.

    Raises:
        BadInput: names all tasks without an instruction, or the first one without a template.
    """
    tasks = list(tasks)
    missing = [task.name for task in tasks if profile.instruction and task_prompt(profile, task) is None]
    if use_instruction and missing:
        raise BadInput(
            f"{profile.called} has no instruction for {', '.join(missing)}; "
            "add one to its tasks, or give --use_instruction false"
        )
    for task in tasks:
        for side in sides_of(task):
            try:
                render(profile, ANY, None, side)
            except BadInput as error:
                raise BadInput(f"{task.name}: {error}") from None
