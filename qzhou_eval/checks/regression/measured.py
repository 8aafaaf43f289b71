"""Reads from a results folder what ``check`` judges, grouped by model and setting. Judges nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from qzhou_eval.benchmark.task import Task, parts
from qzhou_eval.errors import BadInput
from qzhou_eval.results.entries import TaskEntry
from qzhou_eval.results.facts import NOTHING, joined, machines, run_facts, task_facts
from qzhou_eval.results.reader import RecordedResults, read_recorded
from qzhou_eval.results.setting import Fact, label, without_dimension
from qzhou_eval.statistics.item_scores import Items
from qzhou_eval.system.formatting import layers_text

_OF_RUN = {  # its name in a baseline -> the fact's name
    "max_length": "limit",
    "truncate": "truncation",
    "dtype": "precision",
    "normalize": "normalisation",
    "use_instruction": "instruction used",
}
_OF_PROFILE = {
    "template": "template",
    "placeholder": "placeholder",
    "instruction_line": "instruction line",
    "empty_text": "text for the empty one",
    "end_token": "end token",
}
_OF_RECORD = ("metric", "splits", "data", "mteb", "scikit_learn")
_SHORT = 12  # hex digits of a digest, enough to tell two apart


@dataclass(frozen=True)
class MeasuredTask:
    """One task under one setting: by dimension its score (0 to 100, six decimals, or NaN), and its items, None if
    they were not kept. ``of`` is what was scored.
    """

    of: Task
    settings: dict[str, JsonValue]
    scores: dict[int, float]
    items: dict[int, Items | None]

    def probe(self, dim: int) -> dict[str, np.ndarray]:
        """The vectors among a dimension's items, by side; none without items."""
        items = self.items[dim]
        return items.probe if items else {}


@dataclass(frozen=True)
class MeasuredRun:
    """One model at one setting, as a :class:`~qzhou_eval.checks.regression.baseline.Result` with its items.

    ``model`` is its label, if it has one.
    """

    source: Path
    model: str
    experiment: dict[str, JsonValue]
    settings: dict[str, JsonValue]
    made_from: dict[str, str | None]
    tasks: dict[str, MeasuredTask]

    @property
    def label(self) -> str:
        return label(self.model, self.experiment.items())


def measure(folder: Path, score_profile: str) -> list[MeasuredRun]:
    """Every model and setting of an output folder, its tasks in the benchmark's order.

    Raises:
        BadInput: no results, an unfinished one, or results that do not belong together.
    """
    groups: dict[tuple[str, tuple[Fact, ...]], list[RecordedResults]] = {}
    revisions: dict[str, str] = {}
    for recorded in read_recorded(folder):
        variant, name = recorded.variant, recorded.label or recorded.variant.model
        if (known := revisions.setdefault(name, variant.revision)) != variant.revision:
            several = " and ".join(sorted([known, variant.revision]))
            raise BadInput(f"{folder}: mixed: {name} at revisions {several}; give a folder with one revision")
        groups.setdefault((name, without_dimension(variant.experiment)), []).append(recorded)
    found = [_measured(folder, *key, group, score_profile) for key, group in groups.items()]
    return sorted(found, key=lambda one: one.label)


def _measured(
    folder: Path, model: str, experiment: tuple[Fact, ...], group: list[RecordedResults], score_profile: str
) -> MeasuredRun:
    group = sorted(group, key=lambda recorded: recorded.variant.dim)
    tasks = {}
    for name, task in {name: task for recorded in group for name, task in recorded.of.items()}.items():
        tasks[name] = _task(folder, task, [recorded for recorded in group if name in recorded.tasks], score_profile)
    called = label(model, experiment)
    settings = _the_same(folder, called, [_settings(one) | {"score_profile": score_profile} for one in group])
    return MeasuredRun(folder, model, dict(experiment), settings, _made_from(group), tasks)


def _task(folder: Path, of: Task, holders: list[RecordedResults], score_profile: str) -> MeasuredTask:
    scores, task, counted = {}, of.name, of.counted(score_profile)
    for recorded in holders:
        missing = set(counted) - set(recorded.scores[task])
        if not missing <= set(parts(recorded.tasks[task]["record"]["splits"], of.subsets)):
            raise BadInput(f"{recorded.path(task)}: not all of its splits ({', '.join(counted)}) were scored")
        score = of.score(recorded.scores[task], score_profile)
        scores[recorded.variant.dim] = math.nan if score is None else round(100 * score, 6)
    settings = _the_same(folder, task, [_task_settings(recorded.tasks[task]) for recorded in holders])
    return MeasuredTask(of, settings, scores, {recorded.variant.dim: recorded.items(task) for recorded in holders})


def _the_same(folder: Path, what: str, several: list[dict]) -> dict:
    """Return what all dimensions must share; refuse it if they differ."""
    for other in several[1:]:
        for field, value in several[0].items():
            if other[field] != value:
                raise BadInput(f"{folder}: mixed: {what} has {field} {value} and {other[field]} at other dimensions")
    return several[0]


def _settings(recorded: RecordedResults) -> dict[str, object]:
    facts = run_facts(recorded)
    protocol = {name: _value(facts[fact]) for name, fact in _OF_PROFILE.items()}
    return {
        "token_prepending": layers_text(recorded.variant.token_prepending),
        "remote_code": bool(_value(facts["remote code"])),
        **{name: facts[fact] for name, fact in _OF_RUN.items()},
        "width": recorded.variant.width,
        **({"profile": facts["profile"]} if "profile" in facts else protocol),
    }


def _task_settings(made: TaskEntry) -> dict[str, object]:
    instruction = _value(task_facts(made)["instruction"])
    record: Mapping[str, object] = made["record"]
    return {field: record[field] for field in _OF_RECORD} | {"instruction": instruction}


def _value(fact: object) -> object:
    """A fact as a baseline stores it: None also for :data:`NOTHING`."""
    return None if fact == NOTHING else fact


def _made_from(group: list[RecordedResults]) -> dict[str, str | None]:
    """What is under test, and where it was computed: reported where it differs, never a reason to refuse."""
    facts, tasks = run_facts(group[0]), [made for recorded in group for made in recorded.tasks.values()]
    return {
        "model": group[0].variant.model,
        "revision": group[0].variant.revision,
        "weights": _short(facts["weights"]),
        "tokenizer": _short(facts["tokenizer"]),
        "code": joined(_short(task_facts(made)["code"]) for made in tasks),
        "machine": machines(tasks),
    }


def _short(digest: object) -> str | None:
    return digest[:_SHORT] if isinstance(digest, str) and digest != NOTHING else None
