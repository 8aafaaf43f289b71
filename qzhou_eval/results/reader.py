"""Reads finished results of an output folder, as recorded in its manifest. Files only; needs neither mteb nor torch."""

import json
import logging
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.results.entries import TaskEntry, VariantEntry
from qzhou_eval.results.manifest import Manifest, check_place
from qzhou_eval.results.part_scores import scores_by_part
from qzhou_eval.results.variant import Record, Variant
from qzhou_eval.statistics.item_scores import Items, read_items
from qzhou_eval.system.paths import items_path

META = "model_meta.json"  # mteb's own file next to results
AGAIN = "repeat the run's command to make it again"
NOT_WHOLE = "it is not a complete result file"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedResults:
    """The results of one variant: one model at one setting and dimension.

    Attributes:
        place: the folder of its result files.
        entry: its manifest entry; for results of plain mteb, which have no manifest, with None for what is unknown.
        scores: main scores, 0 to 1, by task and part; without those that are not a number from -1 to 1.
        benchmarks: what its results are of.
        plain: whether these are results of plain mteb.
        label: the model's label, if one was given.
    """

    place: Path
    entry: VariantEntry
    scores: dict[str, dict[str, float]]
    benchmarks: tuple[Benchmark, ...]
    plain: bool = False
    label: str | None = None

    @property
    def variant(self) -> Variant:
        """Its :class:`~qzhou_eval.results.variant.Variant`."""
        return _variant(self.entry)

    @property
    def tasks(self) -> dict[str, TaskEntry]:
        """By task: its record, its counts and what it was made with."""
        return self.entry["tasks"]

    @property
    def of(self) -> dict[str, Task]:
        """Its tasks, by name, as its benchmarks define them and in their order."""
        found: dict[str, Task] = {}
        for one in self.benchmarks:
            found |= {task.name: task for task in one.tasks if task.name in self.tasks and task.name not in found}
        return found

    def path(self, task: str) -> Path:
        """A task's result file."""
        return self.place / f"{task}.json"

    def items(self, task: str) -> Items | None:
        """The items of a task's score; None if they were not stored, as under mteb 1.38.30.

        Raises:
            BadInput: not a complete items file.
        """
        file = self.items_file(task)
        return None if file is None else read_items(file)

    def items_file(self, task: str) -> Path | None:
        """The file of these items; None if they were not stored."""
        return items_path(self.path(task)) if self.tasks[task].get("items") else None


class Complaints:
    """Collects what is wrong with files: each reason becomes one line, however many files it applies to."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, what: Path | str, why: str) -> None:
        self._found.setdefault(why, []).append(str(what))

    def lines(self) -> list[str]:
        return [
            f"{what[0]}{f' and {len(what) - 1} more' if len(what) > 1 else ''}: {why}"
            for why, what in self._found.items()
        ]

    def say(self) -> None:
        """Log the lines as warnings; ``BadInput`` makes one line of names with line breaks."""
        for line in self.lines():
            log.warning("%s", BadInput(line))


def read_recorded(folder: Path, benchmark: Benchmark | None = None) -> list[RecordedResults]:
    """Read every variant of an output folder. Results that cannot be used are left out with a warning that names them.

    Args:
        benchmark: read only results of its tasks; None for those of all benchmarks that were run.

    Raises:
        BadInput: no results found, none that can be used, or a damaged manifest.
    """
    if not (folder / "manifest.json").is_file():
        raise BadInput(f"{folder}: no results there (no manifest.json)")
    manifest = Manifest(folder)
    variants, complaints = manifest.content["variants"], Complaints()
    if not variants:
        raise BadInput(f"{folder}: no results there")
    read = [_read_variant(manifest, place, benchmark, complaints) for place in variants]
    found = [recorded for recorded in read if recorded.tasks]
    if not found:
        nothing = f"{folder}: no results of {benchmark.title.en}" if benchmark else f"{folder}: no results there"
        raise BadInput("; ".join(complaints.lines()) or nothing)
    complaints.say()
    _warn_of_others(folder, variants)
    return found


def _read_variant(manifest: Manifest, place: str, only: Benchmark | None, complaints: Complaints) -> RecordedResults:
    entry = manifest.content["variants"][place]
    try:
        _check_types(Variant, entry["variant"])
        variant = _variant(entry)
        check_place(variant.folder, entry["tasks"])
        if variant.folder != place:
            raise ValueError(f"{variant.folder} recorded in {place}")
        if not all(made["sha256"] and _record(made) for made in entry["tasks"].values()):
            raise ValueError("a result without its digest")
        _check_form(entry)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{manifest.path}: damaged ({error!r}); remove it to evaluate again") from None
    kept: VariantEntry = {**entry, "tasks": {}}
    benchmarks = tuple(manifest.benchmarks()) if only is None else (only,)
    recorded = RecordedResults(manifest.folder / place, kept, {}, benchmarks, label=manifest.label(variant))
    for task, made in entry["tasks"].items():
        if only is None or task in only.by_name:
            _read_task(manifest, recorded, task, made, complaints)
    return recorded


def _read_task(
    manifest: Manifest, recorded: RecordedResults, task: str, made: TaskEntry, complaints: Complaints
) -> None:
    """Add a task's manifest record and scores, unless they cannot be used."""
    path, place = recorded.path(task), recorded.variant.folder
    of = next((one.by_name[task] for one in recorded.benchmarks if task in one.by_name), None)
    if of is None:
        complaints.add(path, "left out, of no benchmark that was run here")
        return
    if why := _unusable(manifest, place, of, made):
        complaints.add(path, why)
        return
    try:
        scores = _scores(path, of)
    except ValueError as error:
        complaints.add(path, f"left out, {error}; remove it, then {AGAIN}")
        return
    kept = made
    if made.get("items") and not manifest.items_intact(place, task):
        complaints.add(items_path(path), f"missing or changed, so the score has no interval; {AGAIN}")
        kept = {**made, "items": None}
    recorded.tasks[task] = kept
    recorded.scores[task] = numbers(scores, path, complaints)


def _unusable(manifest: Manifest, place: str, task: Task, made: TaskEntry) -> str | None:
    """Why a recorded result is left out without reading it; None if it can be read."""
    if tuple(made["record"].get("subsets", ())) != task.subsets:
        return "left out, of other subsets than the benchmark's"
    if manifest.intact(place, task.name):
        return None
    if not (manifest.folder / place / f"{task.name}.json").exists():
        return f"left out, it is missing; {AGAIN}"
    return f"left out, it was changed after it was written; {AGAIN}"


def _scores(path: Path, task: Task) -> dict[str, float]:
    """Main scores by part, from mteb's TaskResult JSON.

    Raises:
        ValueError: not a complete result file.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        return scores_by_part(task, content["scores"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise ValueError(NOT_WHOLE) from None


def contradiction(recorded: RecordedResults, task: str) -> str | None:
    """How a result file contradicts its record: in its task, mteb, data or splits; None if it does not."""
    record = recorded.tasks[task]["record"]
    names = {"task": "task_name", "mteb": "mteb_version", "data": "dataset_revision"}
    try:
        content = json.loads(recorded.path(task).read_text("utf-8"))
        says = {name: content[key] for name, key in names.items()} | {"splits": sorted(content["scores"])}
    except (ValueError, KeyError, TypeError, AttributeError):
        return NOT_WHOLE
    known = {"task": task, "mteb": record["mteb"], "data": record["data"], "splits": sorted(record["splits"])}
    unlike = (name for name, value in says.items() if value != known[name])
    return next((f"its {name}: {says[name]}, the manifest's: {known[name]}" for name in unlike), None)


def numbers(scores: dict[str, float], path: Path, complaints: Complaints) -> dict[str, float]:
    """The scores that are valid: a NaN, which equal vectors for all texts cause, counts as missing."""
    for part, score in scores.items():
        if not -1 <= score <= 1:
            complaints.add(path, f"left out, its score on {part} is {score}")
    return {part: score for part, score in scores.items() if -1 <= score <= 1}


def _variant(entry: VariantEntry) -> Variant:
    fields = entry["variant"]
    layers = fields["token_prepending"]
    known = {"experiment": tuple((k, v) for k, v in fields["experiment"])}
    return Variant(**fields | known | {"token_prepending": tuple(layers) if layers else None})


def _check_types(kind: type, values: Mapping[str, object]) -> None:
    """Refuse values whose types do not match a dataclass's annotations; lists are accepted for tuples."""
    for name, hint in get_type_hints(kind).items():
        if name in values and not _fits(values[name], hint):
            raise TypeError(f"{name} is {values[name]!r}")


def _fits(value: object, hint: object) -> bool:
    parts = get_args(hint)
    if get_origin(hint) is UnionType:
        return any(_fits(value, part) for part in parts)
    if get_origin(hint) is not tuple:
        return type(value) is hint  # not isinstance: True is not a number
    if not isinstance(value, (list, tuple)):
        return False
    parts = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
    return len(value) == len(parts) and all(map(_fits, value, parts))


def _check_form(entry: VariantEntry) -> None:
    """Check the form of the other recorded fields, which are only displayed, so that their readers do not fail."""
    for made in entry["tasks"].values():
        if (given := made.get("instruction")) is not None:
            "".join((given["instruct"], given["instruction"]))
    parts: list[Mapping[str, object]] = [entry.get("provenance", {}), *entry["tasks"].values()]
    for part in parts:
        for name in ("model", "profile", "instruction", "samples", "code", "scored_with"):
            _check_mapping(part.get(name))
    for machine in (one for made in entry["tasks"].values() for one in made.get("encoded_with", [])):
        for name in ("hardware", "versions"):
            _check_mapping(machine.get(name))


def _check_mapping(value: object) -> None:
    if value and not isinstance(value, Mapping):
        raise TypeError(f"{value!r} in place of several fields")


def _record(made: TaskEntry) -> Record:
    given: Mapping[str, Any] = made["record"]
    _check_types(Record, given)
    return Record(**{f.name: given[f.name] for f in fields(Record) if f.default is MISSING or f.name in given})


def _warn_of_others(folder: Path, variants: Mapping[str, VariantEntry]) -> None:
    """Warn of results that are not in the manifest: copied in, or written by a run that was killed before recording."""
    recorded = {folder / place / f"{task}.json" for place, entry in variants.items() for task in entry["tasks"]}
    others = sorted(p for p in (folder / "results").rglob("*.json") if p not in recorded and p.name != META)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        about = "not in the manifest, left out; if a stopped run left it there, repeat its command to make it again"
        log.warning("%s%s: %s", others[0], more, about)
