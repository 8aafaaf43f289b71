"""What is compared: one model at one setting and dimension, with its scores and everything known of how they came.

A field that is None is not known, and is never held against the other side.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from qzhou_eval.averages import task_score
from qzhou_eval.environment import ENCODING_LIBRARIES
from qzhou_eval.errors import BadInput
from qzhou_eval.generation import CARD_MTEB
from qzhou_eval.paths import data_folder
from qzhou_eval.profile import Profile, load_profile, profile_names
from qzhou_eval.report.read import main_scores
from qzhou_eval.results import Manifest
from qzhou_eval.tasks import all_tasks

RUN_FIELDS = {  # name of a field -> where a manifest's variant or provenance has it
    "model": ("variant", "model"),  # held against the other without its organisation: a folder's is "local"
    "model revision": ("variant", "revision"),
    "weights": ("provenance", "model", "weights_sha256"),
    "tokenizer": ("provenance", "model", "tokenizer_sha256"),
    "precision": ("variant", "dtype"),
    "token prepending": ("variant", "token_prepending"),
    "limit": ("variant", "max_length"),
    "truncation": ("variant", "truncate"),
    "normalisation": ("variant", "normalize"),
    "instruction used": ("variant", "use_instruction"),
    "template": ("provenance", "profile", "template"),
    "instruction line": ("provenance", "profile", "instruction"),
    "text for the empty one": ("provenance", "profile", "empty_text"),
    "end token": ("provenance", "profile", "end_token"),
}


@dataclass(frozen=True)
class TaskSide:
    """One task on one side.

    Attributes:
        score: main score, 0 to 100; None if a counted split is missing.
        facts: mteb, scikit-learn, data, metric, splits, instruction, and what encoded it; a missing or None one is
            not known.
    """

    score: float | None
    facts: dict[str, object]


@dataclass(frozen=True)
class Side:
    """One model at one setting and dimension. ``setting`` is what differs from the profile's own protocol."""

    name: str
    setting: tuple[tuple[str, str | int], ...]
    dim: int
    width: int
    facts: dict[str, object]
    tasks: dict[str, TaskSide] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model's name without its organisation."""
        return str(self.facts["model"]).split("/")[-1]

    @property
    def label(self) -> str:
        """Model and setting, for headings."""
        extra = ", ".join(f"{k} {v}" for k, v in self.setting)
        return f"{self.model} ({extra})" if extra else self.model


def from_folder(folder: Path, score_profile: str) -> list[Side]:
    """Every model, setting and dimension of an output folder.

    Raises:
        BadInput: no results, or a result that is missing or was changed.
    """
    if not (folder / "manifest.json").is_file():
        raise BadInput(f"{folder}: no results there (no manifest.json)")
    manifest = Manifest(folder)
    sides = []
    for place, entry in manifest.content["variants"].items():
        variant = entry["variant"]
        tasks = {}
        for task, noted in entry["tasks"].items():
            path = folder / place / f"{task}.json"
            if not manifest.intact(place, task):
                raise BadInput(f"{path}: missing or changed; run the evaluation again")
            score = task_score(task, main_scores(path), score_profile)
            tasks[task] = TaskSide(None if score is None else 100 * score, _task_facts(noted))
        setting = tuple((k, v) for k, v in variant["experiment"] if k != "dim")
        facts = {name: _at(entry, keys) for name, keys in RUN_FIELDS.items()}
        sides.append(Side(str(folder), setting, variant["dim"], variant["width"], facts, tasks))
    if not sides:
        raise BadInput(f"{folder}: no results there")
    return sorted(sides, key=lambda side: (side.label, -side.dim))


def _task_facts(noted: dict) -> dict[str, object]:
    record = noted["record"]
    return {
        "mteb": record["mteb"],
        "scikit-learn": record["scikit_learn"],
        "data": record["data"],
        "metric": record["metric"],
        "splits": ", ".join(record["splits"]),
        "instruction": _shown(noted["instruction"]) if "instruction" in noted else None,
    } | _encoding_facts(noted.get("encoded_with", []))


def _encoding_facts(made_with: list[dict]) -> dict[str, object]:
    """What the vectors owe to machine and libraries; several values where several machines wrote to the store."""

    def values(found: list[str | None]) -> str | None:
        return " and ".join(sorted({value for value in found if value})) or None

    versions = [one.get("versions", {}) for one in made_with]
    facts = {name: values([one.get(name) for one in versions]) for name in ENCODING_LIBRARIES}
    return facts | {name: values([one.get(name) for one in made_with]) for name in ("attention", "device")}


def _at(entry: dict, keys: tuple[str, ...]) -> object:
    """What a manifest's entry holds at a path: None if it is not noted, "none" if it is noted as nothing."""
    *path, last = keys
    for key in path:
        entry = entry.get(key) or {}
    if last not in entry:
        return None
    return "none" if entry[last] is None else entry[last]


def from_published(file: Path | None, model: str, score_profile: str) -> Side:
    """A model's published scores: from the project's own table, or from a file of the same form.

    A file that holds one model alone is taken whatever that model is called.

    Raises:
        BadInput: not such a file, or the model is not in it.
    """
    name, entry = _published_entry(file, model)
    profile, versions = _profile_of(name), entry.get("mteb_versions") or []
    tasks = {}
    for task in all_tasks():
        score = task_score(task, entry["scores"].get(task, {}), score_profile)
        if score is not None:
            tasks[task] = TaskSide(100 * score, _published_facts(task, versions, profile))
    facts = {"model": name, "model revision": entry.get("revision")} | _protocol_facts(profile)
    return Side(str(file or "published"), (), 0, 0, facts, tasks)


def _published_entry(file: Path | None, model: str) -> tuple[str, dict]:
    path = file or data_folder("results/published") / "published_scores.json"
    try:
        entries = {entry["model"]: entry for entry in json.loads(path.read_text("utf-8"))["models"]}
        for entry in entries.values():
            for splits in entry["scores"].values():
                sum(splits.values())  # numbers by split, or this is another kind of file
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"--to {path}: not a file of published scores ({error!r})") from None
    found = [name for name in entries if model in (name, name.split("/")[-1])]
    if file is not None and len(entries) == 1:
        found = list(entries)
    if len(found) != 1:
        known = ", ".join(sorted(name.split("/")[-1] for name in entries))
        hint = f"it holds {known}" if file else f"name one as published:NAME, of {known}"
        raise BadInput(f"--to {path if file else 'published'}: no scores of {model}; {hint}")
    return found[0], entries[found[0]]


def _published_facts(name: str, versions: list[str], profile: Profile | None) -> dict[str, object]:
    facts: dict[str, object] = {"mteb": versions[0] if len(versions) == 1 else None}
    if versions == [CARD_MTEB]:
        task = all_tasks()[name]
        facts |= {"data": task.card_revision or task.revision, "metric": task.card_metric or task.metric}
    if profile is not None and name in profile.tasks:
        facts["instruction"] = _shown(profile.tasks[name].model_dump())
    return facts


def _profile_of(model: str) -> Profile | None:
    """The shipped profile that names the model: its scores were made by that protocol."""
    profiles = [load_profile(name) for name in profile_names()]
    return next((profile for profile in profiles if profile.model and profile.model.name == model), None)


def _protocol_facts(profile: Profile | None) -> dict[str, object]:
    if profile is None:
        return {}
    return {
        "precision": profile.dtype,
        "token prepending": list(profile.token_prepending) if profile.token_prepending else "none",
        "limit": profile.max_length,
        "truncation": "whole",
        "normalisation": True,
        "instruction used": True,
        "template": profile.template,
        "instruction line": profile.instruction or "none",
        "text for the empty one": profile.empty_text,
        "end token": profile.end_token or "none",
    }


def _shown(instruction: dict | None) -> str:
    """A task's instruction and who gets it, as one value."""
    return f"{instruction['instruct']}: {instruction['instruction']}" if instruction else "none"
