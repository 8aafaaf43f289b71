"""Where results lie and what makes two of them the same. Files and names only; no mteb, no torch.

    D/results/<org__model>/<revision>/<Task>.json                     the profile's own protocol
    D/results/<org__model>/<revision>/experiments/<name>/<Task>.json  anything that changes a score
    D/results/.../<Task>.items.safetensors                            what each score is made of, for error bars
    D/manifest.json                                                   what each result was made from
    D/superseded/results/.../<Task>.json, <Task>.2.json               results that others took the place of

The task files are mteb's TaskResult JSON, and D is a cache root that mteb itself can open.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import count
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.results.variant import Record, Variant, is_label
from qzhou_eval.system.files import file_lock, write_text
from qzhou_eval.system.paths import items_path, stays_inside


class Manifest:
    """``manifest.json``: variants by folder with where they come from, and per task its :class:`Record` and counts.

    ``labels`` in it are what reports call models, by the folder of all results of a model at a revision. Nothing lies
    elsewhere for a label, and no score is another one.
    """

    def __init__(self, output_dir: Path) -> None:
        self.folder = output_dir
        self.path = output_dir / "manifest.json"
        self.content = self._read()

    def intact(self, place: str, task: str) -> bool:
        """Whether a result file is the one that was recorded."""
        return self.content["variants"][place]["tasks"][task]["sha256"] == _sha256(self._path(place, task))

    def items_intact(self, place: str, task: str) -> bool:
        """Whether a result's items are as recorded; ones that were not kept, by mteb 1.38.30, are."""
        recorded = self.content["variants"][place]["tasks"][task]
        return "items" in recorded and recorded["items"] == _sha256(items_path(self._path(place, task)))

    def _path(self, place: str, task: str) -> Path:
        return self.folder / place / f"{task}.json"

    def _read(self) -> dict:
        try:
            content = json.loads(self.path.read_text("utf-8"))
            for place, entry in content["variants"].items():
                check_place(place, entry["tasks"])
                for fields in (entry["variant"], *(task["record"] for task in entry["tasks"].values())):
                    dict(fields)
            if not all(is_label(label) for label in content.get("labels", {}).values()):
                raise ValueError("a label that is none")
        except FileNotFoundError:
            return {"format": 1, "variants": {}}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{self.path}: damaged ({error!r}); remove it to evaluate again") from None
        return content

    def keeps(self, variant: Variant, task: str, record: Record) -> bool:
        """Whether the result on disk is the one that was recorded, made from exactly this; then it is used again."""
        entry = self.content["variants"].get(variant.folder, {})
        recorded = entry.get("tasks", {}).get(task, {})
        same = entry.get("variant") == _plain(variant) and recorded.get("record") == _plain(record)
        return same and self.intact(variant.folder, task) and self.items_intact(variant.folder, task)

    def made(self, variant: Variant, task: str) -> dict:
        """What is recorded beside a result that is there: counts, and what it was made with."""
        return self.content["variants"][variant.folder]["tasks"][task]

    def has(self, variant: Variant, task: str) -> bool:
        """Whether there was a result of this name, of whatever it was made."""
        return task in self.content["variants"].get(variant.folder, {}).get("tasks", {})

    def label(self, variant: Variant) -> str | None:
        """What reports call a variant's model, if it was said."""
        return self.content.get("labels", {}).get(variant.base)

    def relabel(self, variant: Variant, label: str) -> None:
        """Record what reports call a variant's model, where there are results."""
        if not self.path.exists() or self.label(variant) == label:
            return
        with file_lock(self.folder / ".manifest.lock"):
            self.content = self._read()
            self.content.setdefault("labels", {})[variant.base] = label
            self._save()

    def _save(self) -> None:
        write_text(self.path, json.dumps(self.content, indent=1, ensure_ascii=False) + "\n")

    def add(
        self,
        variants: list[Variant],
        task: str,
        record: Record,
        counts: dict,
        provenance: dict,
        *,
        label: str | None = None,
    ) -> None:
        """Record finished results and save. What other runs recorded meanwhile is kept.

        Results of a folder's earlier variant (another fingerprint) are moved to ``superseded/``, so that no
        reader finds two variants in one folder.

        Args:
            label: what reports call the model; None leaves it as it is.
        """
        with file_lock(self.folder / ".manifest.lock"):
            self.content = self._read()
            for variant in variants:
                entry = self.content["variants"].setdefault(variant.folder, {})
                if entry and entry["variant"] != _plain(variant):
                    for other in (name for name in entry["tasks"] if name != task):
                        supersede(self.folder, variant.folder, other)
                    entry.clear()
                entry |= {"variant": _plain(variant), "provenance": provenance, "tasks": entry.get("tasks", {})}
                path = self._path(variant.folder, task)
                digests = {"sha256": _sha256(path), "items": _sha256(items_path(path))}
                entry["tasks"][task] = {"record": _plain(record), **digests, **counts}
                if label is not None:
                    self.content.setdefault("labels", {})[variant.base] = label
            self._save()


def supersede(output_dir: Path, place: str, task: str) -> None:
    """Move a result and its items to ``superseded/``, before another takes their place; those there already stay."""
    result = output_dir / place / f"{task}.json"
    names = (f"{task}.json" if number == 1 else f"{task}.{number}.json" for number in count(1))
    paths = (output_dir / "superseded" / place / name for name in names)
    new = next(path for path in paths if not (path.exists() or items_path(path).exists()))
    for old, moved in ((result, new), (items_path(result), items_path(new))):
        if old.is_file():
            moved.parent.mkdir(parents=True, exist_ok=True)
            old.replace(moved)


def check_place(place: str, tasks: Iterable[str]) -> None:
    """Refuse names that lead elsewhere: a manifest may come from others, and results are read and moved by them."""
    for name in (place, *tasks):
        if not (stays_inside(name) and name.isprintable()):
            raise ValueError(f"a result in {name!r}")
    if any("/" in task for task in tasks):
        raise ValueError("a task's name with a slash")


def _plain(value: Variant | Record) -> dict:
    return json.loads(json.dumps(asdict(value)))


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
