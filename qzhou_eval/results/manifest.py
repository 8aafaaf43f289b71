"""The manifest of an output folder, and where results are stored. Files and names only; needs neither mteb nor torch.

    D/results/<org__model>/<revision>/<Task>.json                     the profile's own protocol
    D/results/<org__model>/<revision>/experiments/<name>/<Task>.json  anything that changes a score
    D/results/.../<Task>.items.safetensors                            the items of each score, for intervals
    D/manifest.json                                                   what each result was made from
    D/superseded/results/.../<Task>.json, <Task>.2.json               results that were replaced

The task files are mteb's TaskResult JSON, and D is a cache root that mteb itself can open.
"""

import hashlib
import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from qzhou_eval.benchmark.benchmark import Benchmark, from_record, recorded
from qzhou_eval.benchmark.packaged import covering, packaged
from qzhou_eval.errors import BadInput
from qzhou_eval.results.entries import Made, ManifestContent, Provenance, TaskEntry, VariantEntry
from qzhou_eval.results.variant import Record, Variant, is_label
from qzhou_eval.system.files import file_lock, write_text
from qzhou_eval.system.paths import items_path, stays_inside


class Manifest:
    """``manifest.json``: variants by folder with their provenance, and per task its :class:`Record` and counts.

    Its ``labels`` are what reports call models, by the folder of all results of a model at a revision; a label changes
    neither a path nor a score. Its ``benchmarks`` are what reports need of those that were run.
    """

    def __init__(self, output_dir: Path) -> None:
        self.folder = output_dir
        self.path = output_dir / "manifest.json"
        self.content = self._read()

    def intact(self, place: str, task: str) -> bool:
        """Whether a result file is the one that was recorded."""
        return self.content["variants"][place]["tasks"][task]["sha256"] == _sha256(self._path(place, task))

    def items_intact(self, place: str, task: str) -> bool:
        """Whether a result's items are as recorded, which also holds for items not stored under mteb 1.38.30."""
        recorded = self.content["variants"][place]["tasks"][task]
        return "items" in recorded and recorded["items"] == _sha256(items_path(self._path(place, task)))

    def _path(self, place: str, task: str) -> Path:
        return self.folder / place / f"{task}.json"

    def _read(self) -> ManifestContent:
        try:
            content: ManifestContent = json.loads(self.path.read_text("utf-8"))
            for place, entry in content["variants"].items():
                check_place(place, entry["tasks"])
                for fields in (entry["variant"], *(task["record"] for task in entry["tasks"].values())):
                    dict(fields)
            if not all(is_label(label) for label in content.get("labels", {}).values()):
                raise ValueError("an invalid label")
            for name, recorded in content.get("benchmarks", {}).items():
                if recorded is not None:
                    from_record(name, recorded)
        except FileNotFoundError:
            return {"format": 1, "variants": {}}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{self.path}: damaged ({error!r}); remove it to evaluate again") from None
        return content

    def keeps(self, variant: Variant, task: str, record: Record) -> bool:
        """Whether the result on disk can be reused: it is as recorded, and was made from exactly this."""
        entry = self.content["variants"].get(variant.folder)
        if entry is None or task not in entry["tasks"]:
            return False
        same = entry["variant"] == _plain(variant) and entry["tasks"][task]["record"] == _plain(record)
        return same and self.intact(variant.folder, task) and self.items_intact(variant.folder, task)

    def made(self, variant: Variant, task: str) -> TaskEntry:
        """What is recorded about an existing result: counts, and what it was made with."""
        return self.content["variants"][variant.folder]["tasks"][task]

    def has(self, variant: Variant, task: str) -> bool:
        """Whether a result of this name is recorded, whatever it was made from."""
        entry = self.content["variants"].get(variant.folder)
        return entry is not None and task in entry["tasks"]

    def label(self, variant: Variant) -> str | None:
        """The label of a variant's model in reports, if one was given."""
        return self.content.get("labels", {}).get(variant.base)

    def benchmarks(self) -> list[Benchmark]:
        """The benchmarks that its results are of: those that were run, then packaged ones of tasks that these lack."""
        recorded = self.content.get("benchmarks", {})
        known = packaged()
        found = [
            known[name] if of is None else from_record(name, of) for name, of in recorded.items() if of or name in known
        ]
        covered = {name for one in found for name in one.names}
        others = {task for entry in self.content["variants"].values() for task in entry["tasks"]} - covered
        return [*found, *covering(others)]

    def renew(
        self, variant: Variant, benchmark: Benchmark, *, label: str | None = None, no_samples: bool = False
    ) -> None:
        """Bring what is recorded beside results up to date, if the folder has any: a run may reuse them all.

        Args:
            benchmark: as it is defined now.
            label: the model's label in reports; None leaves it unchanged.
            no_samples: remove every prompt that is recorded.
        """
        if not self.path.exists():
            return
        with file_lock(self.folder / ".manifest.lock"):
            self.content = self._read()
            before = deepcopy(self.content)
            self._name(variant, benchmark, label)
            for entry in self.content["variants"].values() if no_samples else ():
                for made in entry["tasks"].values():
                    made["samples"] = {}
            if self.content != before:
                self._save()

    def _name(self, variant: Variant, benchmark: Benchmark | None, label: str | None) -> None:
        if label is not None:
            self.content.setdefault("labels", {})[variant.base] = label
        if benchmark is not None:
            of = None if benchmark.packaged else json.loads(json.dumps(recorded(benchmark)))
            self.content.setdefault("benchmarks", {})[benchmark.name] = of

    def _save(self) -> None:
        write_text(self.path, json.dumps(self.content, indent=1, ensure_ascii=False) + "\n")

    def add(
        self,
        variants: list[Variant],
        task: str,
        record: Record,
        made: Made,
        provenance: Provenance,
        *,
        benchmark: Benchmark | None = None,
        label: str | None = None,
    ) -> None:
        """Record finished results and save, keeping what other runs recorded meanwhile.

        Results of a folder's earlier variant (another fingerprint) are moved to ``superseded/``, so that no
        reader finds two variants in one folder.

        Args:
            made: how they were made, in addition to their record.
            benchmark: the benchmark that was run; None leaves the recorded ones unchanged.
            label: the model's label in reports; None leaves it unchanged.
        """
        with file_lock(self.folder / ".manifest.lock"):
            self.content = self._read()
            for variant in variants:
                entry = self._entry(variant, task, provenance)
                path = self._path(variant.folder, task)
                entry["tasks"][task] = {
                    "record": _plain(record),
                    "sha256": _sha256(path),
                    "items": _sha256(items_path(path)),
                    **made,
                }
                self._name(variant, benchmark, label)
            self._save()

    def _entry(self, variant: Variant, task: str, provenance: Provenance) -> VariantEntry:
        """The variant's entry, in place of an earlier variant's, whose results of other tasks are moved away."""
        entry = self.content["variants"].get(variant.folder)
        if entry is not None and entry["variant"] != _plain(variant):
            for other in (name for name in entry["tasks"] if name != task):
                supersede(self.folder, variant.folder, other)
            entry = None
        if entry is None:
            entry = {"variant": _plain(variant), "provenance": provenance, "tasks": {}}
            self.content["variants"][variant.folder] = entry
        entry["provenance"] = provenance
        return entry


def supersede(output_dir: Path, place: str, task: str) -> None:
    """Move a result and its items to ``superseded/`` before they are replaced; nothing there is overwritten."""
    result = output_dir / place / f"{task}.json"
    names = (f"{task}.json" if number == 1 else f"{task}.{number}.json" for number in count(1))
    paths = (output_dir / "superseded" / place / name for name in names)
    new = next(path for path in paths if not (path.exists() or items_path(path).exists()))
    for old, moved in ((result, new), (items_path(result), items_path(new))):
        if old.is_file():
            moved.parent.mkdir(parents=True, exist_ok=True)
            old.replace(moved)


def check_place(place: str, tasks: Iterable[str]) -> None:
    """Refuse names that lead outside the folder: a manifest may be untrusted, and names in it are read and moved."""
    for name in (place, *tasks):
        if not (stays_inside(name) and name.isprintable()):
            raise ValueError(f"unsafe name {name!r}")
    if any("/" in task for task in tasks):
        raise ValueError("a task name with a slash")


def _plain(value: Variant | Record) -> Any:
    """As it is read back from JSON: VariantFields or RecordFields; without subsets, where there are none."""
    fields = json.loads(json.dumps(asdict(value)))
    return {name: given for name, given in fields.items() if name != "subsets" or given}


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
