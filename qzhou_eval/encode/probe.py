"""The probe: forty fixed texts, each for one side of one of the profile's tasks. They cover what tends to go wrong."""

from dataclasses import dataclass

from qzhou_eval.benchmark.packaged import cmteb, packaged_tasks
from qzhou_eval.protocol.instructions import ASYMMETRIC
from qzhou_eval.protocol.probe_texts import TEXTS
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.prompts import NamedTask, OtherTask, instruction_for, prompt_parts, sides_of


@dataclass(frozen=True)
class ProbePrompt:
    """One rendered prompt of the probe, in its pieces: beginning, instruction line, text, end."""

    label: str
    pieces: tuple[str, str, str, str]

    @property
    def prompt(self) -> str:
        return "".join(self.pieces)


def probe(profile: Profile, *, longest: int | None = None) -> list[ProbePrompt]:
    """Render the forty texts, cut at ``longest`` characters, cycling over the sides of the profile's tasks."""
    sides = _sides(profile)
    found = []
    for number, text in enumerate(TEXTS):
        task, side = sides[number % len(sides)]
        instruction = instruction_for(profile, task, side) if task else None
        label = ", ".join([f"text {number + 1}", *([task.name] if task else []), *([side] if side else [])])
        found.append(ProbePrompt(label, prompt_parts(profile, text[:longest], instruction, side)))
    return found


def _sides(profile: Profile) -> list[tuple[NamedTask | None, str | None]]:
    """Pairs (task, side): each task's first, then documents that get the instruction, then those that do not.

    The tasks are those that the profile names or, if it tells types or sides apart without naming any, CMTEB's.
    """
    known = packaged_tasks()
    names = list(profile.tasks)
    if not names and (profile.types or len(profile.templates) > 1):
        names = list(cmteb().names)
    tasks: list[NamedTask] = [known.get(name) or OtherTask(name, ASYMMETRIC[0]) for name in names]
    sides: list[tuple[NamedTask | None, str | None]] = [(task, sides_of(task)[0]) for task in tasks]
    documents = [task for task in tasks if len(sides_of(task)) > 1]
    documents.sort(key=lambda task: instruction_for(profile, task, "document") is None)
    sides += [(task, "document") for task in documents]
    return sides or [(None, None)]
