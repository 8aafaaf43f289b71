"""Where results lie and what makes two of them the same. Files and names only; no mteb, no torch.

    D/results/<org__model>/<revision>/<Task>.json                     the profile's own protocol
    D/results/<org__model>/<revision>/experiments/<name>/<Task>.json  anything that changes a score
    D/manifest.json                                                   what each result was made from

The task files are mteb's TaskResult JSON, and D is a cache root that mteb itself can open.
"""

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.files import write_text

DEFAULT_PROFILE = "qzhou-zh"


@dataclass(frozen=True)
class Variant:
    """One setting of one model: everything that decides a score besides task and data.

    ``experiment`` holds the fields that differ from the profile's own protocol at full width; it is
    mteb's ``experiment_kwargs``, and names the results' folder.
    """

    model: str
    revision: str
    dim: int
    width: int
    profile: str
    profile_digest: str
    fingerprint: str
    token_prepending: tuple[int, int] | None
    normalize: bool
    use_instruction: bool
    max_length: int
    truncate: str
    dtype: str
    experiment: tuple[tuple[str, str | int], ...]

    @property
    def folder(self) -> str:
        """The results' folder, relative to the output folder, as mteb names it."""
        base = f"results/{self.model.replace('/', '__').replace(' ', '_')}/{self.revision}"
        if not self.experiment:
            return base
        return f"{base}/experiments/" + "__".join(f"{k}_{v}" for k, v in sorted(self.experiment))


@dataclass(frozen=True)
class Record:
    """What one task's result was made from, as kept in the manifest; equal records mean equal scores."""

    type: str
    metric: str
    splits: tuple[str, ...]
    data: str
    mteb: str
    scikit_learn: str


def record_for(task, data_revision: str) -> Record:
    """The record of ``task`` (a :class:`qzhou_eval.tasks.Task`) under the installed libraries."""
    return Record(
        type=task.type,
        metric=task.metric,
        splits=task.splits,
        data=data_revision,
        mteb=version("mteb"),
        scikit_learn=version("scikit-learn"),
    )


class Manifest:
    """``manifest.json``: variants by folder, and per task its :class:`Record` and counts."""

    def __init__(self, output_dir: Path) -> None:
        self.path = output_dir / "manifest.json"
        self.content = self._read()

    def _read(self) -> dict:
        try:
            return json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {"format": 1, "variants": {}}
        except ValueError as error:
            raise BadInput(f"{self.path}: damaged ({error}); remove it to evaluate again") from None

    def keeps(self, output_dir: Path, variant: Variant, task: str, record: Record) -> bool:
        """Whether a result on disk was made from exactly this and can be used again."""
        entry = self.content["variants"].get(variant.folder, {})
        known = entry.get("tasks", {}).get(task, {}).get("record")
        same = entry.get("variant") == _plain(variant) and known == _plain(record)
        return same and _is_json(output_dir / variant.folder / f"{task}.json")

    def has(self, variant: Variant, task: str) -> bool:
        """Whether there was a result of this name, of whatever it was made."""
        return task in self.content["variants"].get(variant.folder, {}).get("tasks", {})

    def add(self, variants: list[Variant], task: str, record: Record, counts: dict) -> None:
        """Note finished results and save. What other runs noted meanwhile is kept."""
        self.content = self._read()
        for variant in variants:
            entry = self.content["variants"].setdefault(variant.folder, {})
            if entry.get("variant") != _plain(variant):
                entry.clear()
                entry |= {"variant": _plain(variant), "tasks": {}}
            entry["tasks"][task] = {"record": _plain(record), **counts}
        write_text(self.path, json.dumps(self.content, indent=1, ensure_ascii=False) + "\n")


def _plain(value: Variant | Record) -> dict:
    return json.loads(json.dumps(asdict(value)))


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return True
