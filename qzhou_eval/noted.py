"""Finished results of an output folder, as its manifest notes them. Files only; no mteb, no torch."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.items import Items, items_path, read_items
from qzhou_eval.results import Manifest, Variant, check_place
from qzhou_eval.tasks import all_tasks


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
        try:
            content = json.loads(self.path(task).read_text("utf-8"))
            return {split: float(rows[0]["main_score"]) for split, rows in content["scores"].items()}
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise BadInput(f"{self.path(task)}: not a whole result file; run the evaluation again") from None


def read_noted(folder: Path) -> Iterator[Noted]:
    """Every variant of an output folder, its files held against their digests.

    Raises:
        BadInput: no results there, a damaged manifest, or a result that is missing or was changed.
    """
    if not (folder / "manifest.json").is_file():
        raise BadInput(f"{folder}: no results there (no manifest.json)")
    manifest = Manifest(folder)
    if not manifest.content["variants"]:
        raise BadInput(f"{folder}: no results there")
    for place, entry in manifest.content["variants"].items():
        found = Noted(folder / place, entry)
        try:
            check_place(found.variant.folder, found.tasks)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise BadInput(f"{manifest.path}: damaged ({error!r}); remove it to evaluate again") from None
        for task in found.tasks:
            if task not in all_tasks():
                raise BadInput(f"{manifest.path}: {task}: no task of this version; remove it there")
            if not manifest.intact(place, task):
                raise BadInput(f"{found.path(task)}: missing or changed; run the evaluation again")
            if found.tasks[task].get("items") and not manifest.items_intact(place, task):
                raise BadInput(f"{items_path(found.path(task))}: missing or changed; run the evaluation again")
        yield found
