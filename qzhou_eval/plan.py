"""Plan: the distinct prompts of a task, found as mteb will ask for them. Runs in a worker process."""

from concurrent.futures import Future
from dataclasses import dataclass

from qzhou_eval.memory import planning
from qzhou_eval.profile import Profile
from qzhou_eval.prompts import instruction_for, render
from qzhou_eval.tasks import DataSource, Task


@dataclass(frozen=True)
class TaskPlan:
    """What one task sends to the model.

    Attributes:
        texts: how many texts mteb asks for, repetitions counted.
        prompts: the distinct rendered prompts, in mteb's order.
        samples: the first rendered prompt of each side ("query", "document", or "text").
    """

    task: Task
    texts: int
    prompts: list[str]
    samples: dict[str, str]


def submit_plan(pool, task: Task, source: DataSource, profile: Profile, *, use_instruction: bool) -> Future:
    """:func:`plan_task` in a process of a :class:`~qzhou_eval.workers.WorkerPool`."""
    memory = planning(source.size)
    return pool.submit(plan_task, task, source, profile, use_instruction=use_instruction, memory=memory)


def plan_task(task: Task, source: DataSource, profile: Profile, *, use_instruction: bool) -> TaskPlan:
    """Record ``task`` and render its texts.

    Raises:
        BadInput: the data cannot be read, or a text is not a string.
    """
    from qzhou_eval.adapter import face

    mteb = face()
    calls = mteb.calls(mteb.load(task, source), task, source)
    prompts: dict[str, None] = {}
    samples: dict[str, str] = {}
    for call in calls:
        instruction = instruction_for(profile, task.name, call.side) if use_instruction else None
        rendered = [render(profile, text, instruction) for text in call.texts]
        if rendered:
            samples.setdefault(call.side or "text", rendered[0])
        prompts |= dict.fromkeys(rendered)
    return TaskPlan(task, sum(len(call.texts) for call in calls), list(prompts), samples)
