"""Plans a task: finds its distinct prompts by recording what mteb asks for. Runs in a worker process.

Prompts that wait to be encoded are kept in a file, since those of a benchmark would fill gigabytes of memory.
"""

import json
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.profile import TITLE, Profile
from qzhou_eval.protocol.prompts import prompts_of
from qzhou_eval.run.memory_estimate import planning
from qzhou_eval.run.processes import ProcessPool
from qzhou_eval.system.digests import cache_home
from qzhou_eval.system.files import temporary_in


@dataclass(frozen=True)
class TaskPlan:
    """What one task sends to the model.

    Attributes:
        texts: how many texts mteb asks for, counting repetitions.
        prompts: the distinct rendered prompts, in mteb's order.
    """

    task: Task
    texts: int
    prompts: list[str]


@dataclass(frozen=True)
class WaitingPlan:
    """A :class:`TaskPlan` whose prompts are in a file, one JSON string per line.

    Attributes:
        distinct: how many prompts there are.
        characters: how many characters they have in all.
    """

    task: Task
    texts: int
    distinct: int
    characters: int
    path: Path

    def read(self) -> list[str]:
        """Read the prompts from the file."""
        with self.path.open(encoding="utf-8", newline="\n") as lines:
            return [json.loads(line) for line in lines]


class Planner:
    """Plans tasks in the processes of a pool; keeps their files in the cache folder until it is closed."""

    def __init__(self, pool: ProcessPool, profile: Profile, *, use_instruction: bool) -> None:
        self._pool, self._profile, self._use_instruction = pool, profile, use_instruction
        self._folder = cache_home() / "plans"
        self._files = ExitStack()

    def submit(self, task: Task, source: DataSource) -> Future[WaitingPlan]:
        """A future of the task's plan; its exception is what :func:`plan_task` raised."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._files.enter_context(temporary_in(self._folder))
        return self._pool.submit(
            _write_plan,
            path,
            task,
            source,
            self._profile,
            use_instruction=self._use_instruction,
            memory=planning(source.size),
        )

    def close(self) -> None:
        """Remove the files."""
        self._files.close()


def _write_plan(path: Path, task: Task, source: DataSource, profile: Profile, *, use_instruction: bool) -> WaitingPlan:
    plan = plan_task(task, source, profile, use_instruction=use_instruction)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{json.dumps(prompt, ensure_ascii=False)}\n" for prompt in plan.prompts)
    return WaitingPlan(task, plan.texts, len(plan.prompts), sum(map(len, plan.prompts)), path)


def plan_task(task: Task, source: DataSource, profile: Profile, *, use_instruction: bool) -> TaskPlan:
    """Record the texts that ``task`` asks for and render them.

    Raises:
        BadInput: the data cannot be used.
    """
    from qzhou_eval.evaluate.mteb_adapter.installed import installed_adapter

    mteb = installed_adapter()
    loaded = mteb.load(task, source, say=True)
    if any(TITLE in template for template in profile.templates) and mteb.joins_titles(loaded):
        raise BadInput(
            f"{task.name}: {profile.called}: this mteb joins titles and texts, so {{title}} cannot be filled; "
            "give --mteb current, or a profile without {title}"
        )
    calls = mteb.calls(loaded, task, source)
    prompts: dict[str, None] = {}
    for call in calls:
        try:
            rendered = prompts_of(profile, task, call.side, call.texts, use_instruction=use_instruction)
        except BadInput as error:
            raise BadInput(f"{task.name}: {error}") from None
        prompts |= dict.fromkeys(rendered)
    return TaskPlan(task, sum(len(call.texts) for call in calls), list(prompts))
