"""A benchmark, as a value: its tasks, how it is called, and what is said of its scores."""

import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput, did_you_mean

log = logging.getLogger(__name__)


class Said(NamedTuple):
    """A text in the languages of a report; without a Chinese one, the English one is shown."""

    en: str
    zh: str = ""

    def in_language(self, lang: str) -> str:
        return (lang == "zh" and self.zh) or self.en


@dataclass(frozen=True)
class Benchmark:
    """Tasks whose means are shown together.

    Attributes:
        name: what commands, manifests and files call it, such as ``cmteb``.
        title: what reports call it.
        tasks: type by type.
        note: what is said below its tables, if anything.
        comparable: whether its scores can be compared with those of others; if not, ``note`` says why.
        packaged: whether it comes with this package, so that results need not record it.
        aliases: its other names, as mteb has them.
        of_card: whether the card's mteb scores it too.
    """

    name: str
    title: Said
    tasks: tuple[Task, ...]
    note: Said | None = None
    comparable: bool = True
    packaged: bool = False
    aliases: tuple[str, ...] = ()
    of_card: bool = False

    @cached_property
    def by_name(self) -> dict[str, Task]:
        return {task.name: task for task in self.tasks}

    @property
    def names(self) -> tuple[str, ...]:
        """Its tasks' names, type by type."""
        return tuple(self.by_name)

    @property
    def file_name(self) -> str:
        """Its name as part of a file's name."""
        return re.sub(r"[^\w.-]+", "_", self.name).strip("_")

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types of its tasks."""
        return tuple(dict.fromkeys(task.type for task in self.tasks))

    @cached_property
    def of_type(self) -> Counter[str]:
        """How many tasks of each type it has."""
        return Counter(task.type for task in self.tasks)

    def select(self, names: list[str] | None, types: list[str] | None) -> list[Task]:
        """The tasks to run, in the benchmark's order; without names all that can be run, with a warning of the others.

        Raises:
            BadInput: an unknown name or type, one that cannot be run, or nothing left.
        """
        check_known("--tasks", names, self.names, f"not in {self.name}")
        check_known("--task_types", types, self.types, f"not in {self.name}")
        chosen = [task for task in self.tasks if names is None or task.name in names]
        chosen = [task for task in chosen if types is None or task.type in types]
        cannot = [f"{task.name} ({task.cannot})" for task in chosen if task.cannot]
        if cannot and names is not None:
            raise BadInput(f"--tasks: cannot be run here: {', '.join(cannot)}")
        if cannot:
            log.warning("left out of %s, since they cannot be run here: %s", self.name, ", ".join(cannot))
        chosen = [task for task in chosen if not task.cannot]
        if not chosen:
            raise BadInput("no task to run: --tasks and --task_types leave none")
        return chosen


def type_by_type(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Tasks grouped by type, in the order of a table's columns; within a type in the order given."""
    return tuple(sorted(tasks, key=lambda task: task.type))


def check_known(flag: str, given: list[str] | None, known: Iterable[str], why: str = "unknown") -> None:
    """Refuse names that are not among the known ones; ``why`` says so.

    Raises:
        BadInput: an unknown name; the message has the known ones.
    """
    known = list(known)
    for name in given or []:
        if name not in known:
            hint = "separate names by spaces; " if "," in name else did_you_mean(name, known, cutoff=0.6)
            raise BadInput(f"{flag} {name}: {why}; {hint}known: {', '.join(known)}")


def named_tasks(flag: str, names: list[str] | None, tasks: list[Task]) -> frozenset[str]:
    """The tasks that a flag names: all of the run's if it is given without names, none if it is not given.

    Raises:
        BadInput: one of them is not a task of this run.
    """
    known = [task.name for task in tasks]
    for name in names or []:
        if name not in known:
            raise BadInput(f"{flag} {name}: not a task of this run, which has {', '.join(known)}")
    return frozenset(known if names == [] else names or [])


def recorded(benchmark: Benchmark) -> dict[str, Any]:
    """A benchmark in the form in which a manifest records it: enough to report results without mteb or its files."""
    tasks = {
        task.name: {"type": task.type, "metric": task.metric, "splits": task.splits, "subsets": task.subsets}
        | {"path": task.path, "revision": task.revision}
        for task in benchmark.tasks
    }
    note = benchmark.note and list(benchmark.note)
    return {"title": list(benchmark.title), "note": note, "comparable": benchmark.comparable, "tasks": tasks}


def from_record(name: str, content: dict[str, Any]) -> Benchmark:
    """The benchmark that :func:`recorded` made this content from; without a user's files, so it cannot be run.

    Raises:
        KeyError, TypeError, ValueError: content of another form.
    """
    tasks = []
    for task, fields in content["tasks"].items():
        kind, metric, path, revision = (str(fields[key]) for key in ("type", "metric", "path", "revision"))
        splits, subsets = (tuple(map(str, fields[key])) for key in ("splits", "subsets"))
        tasks.append(Task(str(task), kind, path, revision, splits, metric, subsets))
    note = content["note"] and Said(*map(str, content["note"]))
    title = Said(*map(str, content["title"]))
    return Benchmark(name, title, tuple(tasks), note, bool(content["comparable"]))
