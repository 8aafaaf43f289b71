"""What a setting's results were made with, from the manifest: facts, counts by task, and prompts as sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from qzhou_eval.report.content.elements import Cell, Table, TableRow, Text
from qzhou_eval.report.content.labels import labels
from qzhou_eval.results.facts import NOTHING, SERVED, run_facts
from qzhou_eval.results.reader import RecordedResults
from qzhou_eval.results.setting import Setting
from qzhou_eval.results.task_scores import TaskScore

_VALUES = {"truncate": ("whole", "text"), "attention": ("packed", "padded", "one length", "runs", "compiled")}
COUNTS = ("texts", "prompts", "tokens", "cut", "seconds")


@dataclass(frozen=True)
class RunDescription:
    """How the results of one setting were made.

    Attributes:
        facts: a text's key below ``run.``, and its value.
        prompts: a title and the whole prompt: for each side of one task that has sides, and for one task without sides.
        tasks: metric, data revision and counts of each task.
    """

    label: str | Text
    facts: tuple[tuple[str, str | Text | tuple], ...]
    prompts: tuple[tuple[Text, str], ...]
    tasks: Table


def runs(scores: list[TaskScore]) -> dict[Setting, RunDescription]:
    """What each setting was made with."""
    found: dict[Setting, list[TaskScore]] = {}
    for score in scores:
        found.setdefault(score.setting, []).append(score)
    names = labels(found)
    return {setting: _run(names[setting], several) for setting, several in found.items()}


def _run(label: str | Text, scores: list[TaskScore]) -> RunDescription:
    widest = max(score.dim for score in scores)
    recorded = {score.task: score.recorded for score in scores if score.dim == widest}
    made = {task: one.tasks[task] for task, one in recorded.items()}
    facts = [(key, value) for key, value in _facts(next(iter(recorded.values())), made, scores) if value]
    return RunDescription(label, tuple(facts), tuple(_prompts(made)), _tasks(label, made))


def _facts(
    recorded: RecordedResults, made: Mapping[str, Mapping[str, Any]], scores: list[TaskScore]
) -> Iterable[tuple[str, str | Text | tuple]]:
    variant = recorded.entry["variant"]
    layers = variant["token_prepending"]
    encoded = [one for task in made.values() for one in task.get("encoded_with", [])]
    scored = [task.get("scored_with") or {} for task in made.values()]
    yield from ((key, variant[key] or "") for key in ("model", "revision"))
    if recorded.plain:
        yield "source", Text("value.plain_mteb")
        yield "mteb", _several(task["record"]["mteb"] for task in made.values())
        return
    facts = {name: "" if value in (None, NOTHING) else value for name, value in run_facts(recorded).items()}
    yield "weights", str(facts["weights"])
    yield "tokenizer", str(facts["tokenizer"])
    yield "remote_code", Text("value.yes") if facts["remote code"] else ""
    served = str(facts[SERVED])
    yield "served_by", served
    yield "profile", f"{variant['profile']} ({str(variant['profile_digest'])[:12]})"
    on = layers and Text("value.layers", {"first": layers[0], "last": layers[1]})
    yield "token_prepending", "" if served else on or Text("value.off")  # what a server does is not known
    yield "dtype", Text("value.as_served") if served else str(variant["dtype"])
    yield "max_length", Text("value.tokens", {"count": variant["max_length"]})
    yield "truncate", "" if served else _known("truncate", str(variant["truncate"]))
    for key in ("normalize", "use_instruction"):
        yield key, Text("value.yes" if variant[key] else "value.no")
    yield "dims", tuple(map(str, sorted({score.dim for score in scores})))
    yield "width", str(variant["width"])
    for key in ("mteb", "scikit_learn"):
        yield key, _several(task["record"].get(key) for task in made.values())
    yield "versions", _versions([*(one.get("versions") or {} for one in encoded), *scored])
    hardware = [one.get("hardware") or {} for one in encoded]
    yield "hardware", _several(_machine(one) for one in hardware)
    yield "attention", _several(tuple(_known("attention", part) for part in _parts(one)) for one in encoded)
    yield "code", _several(_code(task.get("code") or {}) for task in made.values())
    yield "tokens", f"{sum(_number(task.get('encoded_tokens')) or 0 for task in made.values()):,}"
    yield "seconds", f"{sum(_number(task.get('seconds')) or 0 for task in made.values()):,.1f}"


def _several(values: Iterable[object]) -> tuple:
    """The different values of the tasks."""
    return tuple(dict.fromkeys(value if isinstance(value, (Text, tuple)) else str(value) for value in values if value))


def _parts(encoded: dict) -> list[str]:
    """The parts of a value such as "packed, runs"."""
    return [part for part in str(encoded.get("attention") or "").split(", ") if part]


def _known(fact: str, value: str) -> str | Text:
    """A value's text, if the languages have one; otherwise the value as recorded."""
    return Text(f"value.{value}") if value in _VALUES[fact] else value


def _versions(found: list[dict]) -> tuple[str, ...]:
    every = {name: one[name] for one in reversed(found) for name in one if name not in ("mteb", "scikit-learn")}
    return tuple(f"{name} {version}" for name, version in sorted(every.items()))


def _machine(hardware: dict) -> str | Text:
    parts = (hardware.get("gpu"), hardware.get("cpu"), hardware.get("machine"))
    named = " / ".join(str(part) for part in parts if part)
    cores = _number(hardware.get("cores"))
    return Text("value.cores", {"machine": named, "count": cores}) if named and cores else named


def _code(code: dict) -> str:
    named = " ".join(str(part) for part in (code.get("version"), str(code.get("commit") or "")[:12]) if part)
    return f"{named} *" if code.get("changed") else named


def _prompts(made: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[Text, str]]:
    """Prompts of the first task without sides, and of the first with sides."""
    for of_one in (True, False):
        samples = ((task, one.get("samples") or {}) for task, one in made.items())
        found = next(((task, sides) for task, sides in samples if sides and ("text" in sides) == of_one), None)
        if found is None:
            continue
        task, sides = found
        for side, prompt in sides.items():
            known = Text(f"side.{side}") if side in ("query", "document", "text") else side
            yield Text("run.prompt", {"task": task, "side": known}), str(prompt)


def _tasks(label: str | Text, made: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    for task, one in made.items():
        record = one["record"]
        counts = [Cell(_number(one.get(name))) for name in COUNTS]
        metric, data = (Cell(str(record[name]) if record[name] else None) for name in ("metric", "data"))
        rows.append(TableRow(task, (metric, *counts, data), str(record["type"])))
    columns = ("metric", *COUNTS, "data")
    known = [at for at in range(len(columns)) if any(row.cells[at].value is not None for row in rows)]
    rows = [replace(row, cells=tuple(row.cells[at] for at in known)) for row in rows]
    return Table(None, "run", "task", tuple(columns[at] for at in known), tuple(rows), label, on_screen=False)


def _number(value: object) -> float | int | None:
    return value if isinstance(value, (int, float)) else None
