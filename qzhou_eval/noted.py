"""Finished results of an output folder, as its manifest notes them. Files only; no mteb, no torch."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.items import Items, read_items
from qzhou_eval.paths import items_path
from qzhou_eval.results import Manifest, Record, Variant, check_place
from qzhou_eval.tasks import all_tasks

_AGAIN = "give the same command again with all its tasks and dimensions, which scores what differs anew"
META = "model_meta.json"  # mteb's own note beside results

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Noted:
    """One model at one setting and dimension: ``entry`` is what the manifest says of it."""

    place: Path
    entry: dict

    @property
    def variant(self) -> Variant:
        """Its :class:`~qzhou_eval.results.Variant`."""
        fields = self.entry["variant"]
        layers = fields["token_prepending"]
        known = {"experiment": tuple((k, v) for k, v in fields["experiment"])}
        return Variant(**fields | known | {"token_prepending": tuple(layers) if layers else None})

    @property
    def tasks(self) -> dict[str, dict]:
        """By task: its record, counts and what it was made with."""
        return self.entry["tasks"]

    def path(self, task: str) -> Path:
        """A task's result file."""
        return self.place / f"{task}.json"

    def items(self, task: str) -> Items | None:
        """What a task's score is made of; None if that was not kept, as under mteb 1.38.30.

        Raises:
            BadInput: not a whole file of items.
        """
        return read_items(items_path(self.path(task))) if self.tasks[task].get("items") else None

    def main_scores(self, task: str) -> dict[str, float]:
        """A task's main score, 0 to 1, by split, from mteb's TaskResult JSON.

        Raises:
            BadInput: not a whole result file.
        """
        found = self._read(task, lambda c: {split: float(rows[0]["main_score"]) for split, rows in c["scores"].items()})
        for split, score in found.items():
            if not -1 <= score <= 1:
                raise BadInput(f"{self.path(task)}: its score on {split} is {score}; leave this result out of any mean")
        return found

    def check(self, task: str) -> None:
        """Hold what a result file says of itself against what was noted of it.

        Raises:
            BadInput: not a whole result file, or one of another task, mteb, data or splits.
        """
        record = self.tasks[task]["record"]
        noted = {"task": task, "mteb": record["mteb"], "data": record["data"], "splits": sorted(record["splits"])}
        names = {"task": "task_name", "mteb": "mteb_version", "data": "dataset_revision"}
        says = self._read(task, lambda c: {k: c[n] for k, n in names.items()} | {"splits": sorted(c["scores"])})
        for name, value in says.items():
            if value != noted[name]:
                raise BadInput(
                    f"{self.path(task)}: its {name}: {value}, the manifest's: {noted[name]}; remove the file and run "
                    "the evaluation again"
                )

    def _read(self, task: str, of: Callable[[dict], dict]) -> dict:
        """Something of a task's result file."""
        try:
            return of(json.loads(self.path(task).read_text("utf-8")))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise BadInput(f"{self.path(task)}: not a whole result file; run the evaluation again") from None


def read_noted(folder: Path) -> Iterator[Noted]:
    """Every variant of an output folder, its files held against their digests; others are named and left out.

    Raises:
        BadInput: no results there, a damaged manifest, or a result that is missing or was changed.
    """
    if not (folder / "manifest.json").is_file():
        raise BadInput(f"{folder}: no results there (no manifest.json)")
    manifest = Manifest(folder)
    variants = manifest.content["variants"]
    if not variants:
        raise BadInput(f"{folder}: no results there")
    for place in variants:
        yield _read_variant(manifest, place)
    _warn_of_others(folder, variants)  # last: what is refused gets its one line alone


def _read_variant(manifest: Manifest, place: str) -> Noted:
    found = Noted(manifest.folder / place, manifest.content["variants"][place])
    try:
        check_place(found.variant.folder, found.tasks)
        if found.variant.folder != place:
            raise ValueError(f"{found.variant.folder} noted in {place}")
        if not all(made["sha256"] and _record(made) for made in found.tasks.values()):
            raise ValueError("a result without its digest")
        _check_form(found.entry)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{manifest.path}: damaged ({error!r}); remove it to evaluate again") from None
    for task in found.tasks:
        if task not in all_tasks():
            raise BadInput(f"{manifest.path}: {task}: no task of this version; remove it there")
        if not manifest.intact(place, task):
            raise BadInput(f"{found.path(task)}: missing or changed; run the evaluation again")
        if found.tasks[task].get("items") and not manifest.items_intact(place, task):
            raise BadInput(f"{items_path(found.path(task))}: missing or changed; run the evaluation again")
    return found


def _check_form(entry: dict) -> None:
    """What is noted beside variants and records is shown, not needed; but it has the form that its readers expect."""
    for part in (entry.get("provenance", {}), *entry["tasks"].values()):
        for name in ("model", "profile", "instruction", "samples", "code", "scored_with"):
            dict(part.get(name) or {})
        for machine in part.get("encoded_with", []):
            for name in ("hardware", "versions"):
                dict(machine.get(name) or {})


def _record(made: dict) -> Record:
    given = made["record"]
    return Record(**{f.name: given[f.name] for f in fields(Record) if f.default is MISSING or f.name in given})


def _warn_of_others(folder: Path, variants: dict[str, dict]) -> None:
    """Say which results no manifest vouches for: copied in, or written when a kill came before the note."""
    noted = {folder / place / f"{task}.json" for place, entry in variants.items() for task in entry["tasks"]}
    others = sorted(p for p in (folder / "results").rglob("*.json") if p not in noted and p.name != META)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        log.warning("%s%s: not in the manifest, left out; the same command evaluates again", others[0], more)


def read_together(folders: Iterable[Path]) -> list[Noted]:
    """The variants of several output folders, fit to be averaged and shown side by side.

    Raises:
        BadInput: as :func:`read_noted`; a result file that is not of what was noted; a result that is in two folders;
            dimensions and tasks of one setting that come from unlike weights or were scored by unlike libraries.
    """
    found = [noted for folder in folders for noted in read_noted(folder)]
    places: dict[str, Noted] = {}
    settings: dict[tuple, list[Noted]] = {}
    for noted in found:
        for task in noted.tasks:
            noted.check(task)
        variant = noted.variant
        _check_together(places.setdefault(variant.folder, noted), noted)
        experiment = tuple(pair for pair in variant.experiment if pair[0] != "dim")
        settings.setdefault((variant.model, variant.revision, experiment), []).append(noted)
    for several in settings.values():
        _check_dimensions(several)
        _check_libraries(several)
    return found


def _check_together(first: Noted, other: Noted) -> None:
    """Whether two folders' results of one name and dimension complete each other."""
    if first is other:
        return
    ours, theirs = (asdict(noted.variant) for noted in (first, other))
    unlike = [name for name in ours if ours[name] != theirs[name]]
    if unlike:
        raise BadInput(f"{other.place}: made with another {', '.join(unlike)} than {first.place}; report them apart")
    twice = [task for task in other.tasks if task in first.tasks]
    if twice:
        raise BadInput(f"{other.path(twice[0])}: was already read from another folder, {first.place}; give one of them")


def _check_dimensions(several: list[Noted]) -> None:
    """Whether dimensions of one setting were cut from the same vectors and scored on the same data."""
    first, data = several[0], {}
    for noted in several:
        ours, theirs = (asdict(one.variant) for one in (noted, first))
        unlike = [name for name in ours if ours[name] != theirs[name] and name not in ("dim", "experiment")]
        if unlike:
            raise BadInput(f"{noted.place}: made with another {', '.join(unlike)} than {first.place}; {_AGAIN}")
        for task, made in noted.tasks.items():
            facts = {name: made["record"][name] for name in ("data", "metric", "splits")}
            of, other = data.setdefault(task, (noted, facts))
            unlike = [name for name in facts if facts[name] != other[name]]
            if unlike:
                raise BadInput(f"{noted.path(task)}: another {', '.join(unlike)} than {of.path(task)}; {_AGAIN}")


def _check_libraries(several: list[Noted]) -> None:
    """Name a result that was scored by another version than most of those beside it."""
    records = {noted.path(task): made["record"] for noted in several for task, made in noted.tasks.items()}
    for name in ("mteb", "scikit_learn", "scoring_version"):
        versions = Counter(record.get(name, 0) for record in records.values())
        usual = max(versions, key=versions.get, default=None)
        for path, record in records.items():
            if (found := record.get(name, 0)) != usual:
                raise BadInput(f"{path}: scored by {name} {found}, most results beside it by {usual}; {_AGAIN}")
