"""What a setting's results were made with, from the manifest: facts, counts by task, and prompts as they were sent."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from qzhou_eval.noted import Noted
from qzhou_eval.report.read import Score, Setting, labels
from qzhou_eval.report.values import Cell, Row, Said, Table

_VALUES = {"truncate": ("whole", "text"), "attention": ("packed", "padded", "one length", "runs", "compiled")}
COUNTS = ("texts", "prompts", "tokens", "cut", "seconds")


@dataclass(frozen=True)
class Run:
    """One setting.

    Attributes:
        facts: words' key below ``run.``, and what stands there.
        prompts: a title and the whole prompt: of each side of one task that tells them apart, and of one that does not.
        tasks: metric, data revision and counts of each task.
    """

    label: str | Said
    facts: tuple[tuple[str, str | Said | tuple], ...]
    prompts: tuple[tuple[Said, str], ...]
    tasks: Table


def runs(scores: list[Score]) -> dict[Setting, Run]:
    """What each setting was made with."""
    found: dict[Setting, list[Score]] = {}
    for score in scores:
        found.setdefault(score.setting, []).append(score)
    names = labels(found)
    return {setting: _run(names[setting], several) for setting, several in found.items()}


def _run(label: str | Said, scores: list[Score]) -> Run:
    widest = max(score.dim for score in scores)
    noted = {score.task: score.noted for score in scores if score.dim == widest}
    made = {task: one.tasks[task] for task, one in noted.items()}
    facts = [(key, value) for key, value in _facts(next(iter(noted.values())), made, scores) if value]
    return Run(label, tuple(facts), tuple(_prompts(made)), _tasks(label, made))


def _facts(noted: Noted, made: dict[str, dict], scores: list[Score]) -> Iterable[tuple[str, str | Said | tuple]]:
    variant, provenance = noted.entry["variant"], noted.entry.get("provenance") or {}
    model = provenance.get("model") or {}
    layers = variant["token_prepending"]
    encoded = [one for task in made.values() for one in task.get("encoded_with", [])]
    scored = [task.get("scored_with") or {} for task in made.values()]
    yield from ((key, variant[key] or "") for key in ("model", "revision"))
    if noted.plain:
        yield "source", Said("value.plain_mteb")
        yield "mteb", _several(task["record"]["mteb"] for task in made.values())
        return
    yield "weights", str(model.get("weights_sha256") or "")
    yield "tokenizer", str(model.get("tokenizer_sha256") or "")
    yield "remote_code", Said("value.yes") if model.get("remote_code") else ""
    yield "profile", f"{variant['profile']} ({str(variant['profile_digest'])[:12]})"
    on = layers and Said("value.layers", {"first": layers[0], "last": layers[1]})
    yield "token_prepending", on or Said("value.off")
    yield "dtype", str(variant["dtype"])
    yield "max_length", Said("value.tokens", {"count": variant["max_length"]})
    yield "truncate", _known("truncate", str(variant["truncate"]))
    for key in ("normalize", "use_instruction"):
        yield key, Said("value.yes" if variant[key] else "value.no")
    yield "dims", tuple(map(str, sorted({score.dim for score in scores})))
    yield "width", str(variant["width"])
    for key in ("mteb", "scikit_learn"):
        yield key, _several(task["record"].get(key) for task in made.values())
    yield "versions", _versions([*(one.get("versions") or {} for one in encoded), *scored])
    hardware = [one.get("hardware") or {} for one in encoded]
    yield "hardware", _several(_machine(one) for one in hardware)
    yield "attention", _several(tuple(_known("attention", part) for part in _parts(one)) for one in encoded)
    yield "code", _several(_code(task.get("code") or {}) for task in made.values())
    yield "tokens", f"{sum(task.get('encoded_tokens') or 0 for task in made.values()):,}"
    yield "seconds", f"{sum(task.get('seconds') or 0 for task in made.values()):,.1f}"


def _several(values: Iterable[object]) -> tuple:
    """What the tasks say, each once."""
    return tuple(dict.fromkeys(value if isinstance(value, (Said, tuple)) else str(value) for value in values if value))


def _parts(encoded: dict) -> list[str]:
    """Of "packed, runs", both."""
    return [part for part in str(encoded.get("attention") or "").split(", ") if part]


def _known(fact: str, value: str) -> str | Said:
    """A value's words, where each language has some; else as it was noted."""
    return Said(f"value.{value}") if value in _VALUES[fact] else value


def _versions(found: list[dict]) -> tuple[str, ...]:
    every = {name: one[name] for one in reversed(found) for name in one if name not in ("mteb", "scikit-learn")}
    return tuple(f"{name} {version}" for name, version in sorted(every.items()))


def _machine(hardware: dict) -> str | Said:
    parts = (hardware.get("gpu"), hardware.get("cpu"), hardware.get("machine"))
    named = " / ".join(str(part) for part in parts if part)
    cores = hardware.get("cores")
    return Said("value.cores", {"machine": named, "count": cores}) if named and cores else named


def _code(code: dict) -> str:
    named = " ".join(str(part) for part in (code.get("version"), str(code.get("commit") or "")[:12]) if part)
    return f"{named} *" if code.get("changed") else named


def _prompts(made: dict[str, dict]) -> Iterable[tuple[Said, str]]:
    """Of the first task with one side, and of the first with two."""
    for of_one in (True, False):
        samples = ((task, one.get("samples") or {}) for task, one in made.items())
        found = next(((task, sides) for task, sides in samples if sides and ("text" in sides) == of_one), None)
        for side, prompt in found[1].items() if found else ():
            known = Said(f"side.{side}") if side in ("query", "document", "text") else side
            yield Said("run.prompt", {"task": found[0], "side": known}), str(prompt)


def _tasks(label: str | Said, made: dict[str, dict]) -> Table:
    rows = []
    for task, one in made.items():
        record = one["record"]
        counts = [Cell(_number(one.get(name))) for name in COUNTS]
        metric, data = (Cell(str(record[name]) if record[name] else None) for name in ("metric", "data"))
        rows.append(Row(task, (metric, *counts, data), str(record["type"])))
    columns = ("metric", *COUNTS, "data")
    known = [at for at in range(len(columns)) if any(row.cells[at].value is not None for row in rows)]
    rows = [replace(row, cells=tuple(row.cells[at] for at in known)) for row in rows]
    return Table("", "run", "task", tuple(columns[at] for at in known), tuple(rows), label, on_screen=False)


def _number(value: object) -> float | int | None:
    return value if isinstance(value, (int, float)) else None
