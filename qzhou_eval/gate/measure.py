"""A results folder -> what the gate looks at, grouped by model and setting. Reads and groups; judges nothing."""

import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.averages import counted_splits, task_score
from qzhou_eval.errors import BadInput
from qzhou_eval.gate.baseline import label
from qzhou_eval.items import Items
from qzhou_eval.noted import Noted, read_noted
from qzhou_eval.tasks import all_tasks

_OF_VARIANT = ("max_length", "truncate", "dtype", "normalize", "use_instruction", "width")
_OF_PROFILE = {  # what a refusal calls it -> the profile's field
    "template": "template",
    "placeholder": "placeholder",
    "instruction_line": "instruction",
    "empty_text": "empty_text",
    "end_token": "end_token",
}
_SHORT = 12  # hex digits of a digest, enough to tell two apart
_OF_RECORD = ("metric", "splits", "data", "mteb", "scikit_learn")


@dataclass(frozen=True)
class MeasuredTask:
    """One task under one setting: by dimension its score (0 to 100, six decimals; NaN for one that is no number), and
    its items, None where none were kept.
    """

    settings: dict[str, object]
    scores: dict[int, float]
    items: dict[int, Items | None]


@dataclass(frozen=True)
class Measured:
    """One model at one setting, as a :class:`~qzhou_eval.gate.baseline.Result` with its items.

    ``model`` is its label, if it has one.
    """

    source: Path
    model: str
    experiment: dict[str, object]
    settings: dict[str, object]
    made_from: dict[str, str | None]
    tasks: dict[str, MeasuredTask]

    @property
    def label(self) -> str:
        return label(self.model, self.experiment)


def measure(folder: Path, score_profile: str) -> list[Measured]:
    """Every model and setting of an output folder, its tasks in the benchmark's order.

    Raises:
        BadInput: no results, an unfinished one, or results that do not belong together.
    """
    groups: dict[tuple, list[Noted]] = {}
    revisions: dict[str, str] = {}
    for noted in read_noted(folder):
        variant, name = noted.variant, noted.label or noted.variant.model
        if (known := revisions.setdefault(name, variant.revision)) != variant.revision:
            several = " and ".join(sorted([known, variant.revision]))
            raise BadInput(f"{folder}: mixed: {name} at the revisions {several}; give a folder with one")
        experiment = tuple((key, value) for key, value in variant.experiment if key != "dim")
        groups.setdefault((name, experiment), []).append(noted)
    found = [_measured(folder, *key, group, score_profile) for key, group in groups.items()]
    return sorted(found, key=lambda one: one.label)


def _measured(folder: Path, model: str, experiment: tuple, group: list[Noted], score_profile: str) -> Measured:
    group = sorted(group, key=lambda noted: noted.variant.dim)
    tasks = {}
    for task in all_tasks():
        if holders := [noted for noted in group if task in noted.tasks]:
            tasks[task] = _task(folder, task, holders, score_profile)
    with _as_noted(folder):
        several = [_settings(noted.entry) | {"score_profile": score_profile} for noted in group]
        made_from = _made_from(group)
    return Measured(
        folder, model, dict(experiment), _the_same(folder, label(model, dict(experiment)), several), made_from, tasks
    )


def _task(folder: Path, task: str, holders: list[Noted], score_profile: str) -> MeasuredTask:
    scores = {}
    for noted in holders:
        counted = counted_splits(task, score_profile)
        missing = set(counted) - set(noted.scores[task])
        if not missing <= set(noted.tasks[task]["record"]["splits"]):
            raise BadInput(f"{noted.path(task)}: not all of its splits ({', '.join(counted)}) were scored")
        score = task_score(task, noted.scores[task], score_profile)
        scores[noted.variant.dim] = math.nan if score is None else round(100 * score, 6)
    with _as_noted(folder):
        several = [_task_settings(noted.tasks[task]) for noted in holders]
    return MeasuredTask(
        _the_same(folder, task, several), scores, {noted.variant.dim: noted.items(task) for noted in holders}
    )


def _the_same(folder: Path, what: str, several: list[dict]) -> dict:
    """The one value of what all dimensions must share."""
    for other in several[1:]:
        for field, value in several[0].items():
            if other[field] != value:
                raise BadInput(f"{folder}: mixed: {what} has {field} {value} and {other[field]} at other dimensions")
    return several[0]


@contextmanager
def _as_noted(folder: Path):
    """A manifest without what every run notes is damaged."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{folder / 'manifest.json'}: damaged ({error!r}); remove it to evaluate again") from None


def _settings(entry: dict) -> dict[str, object]:
    variant = entry["variant"]
    layers = variant["token_prepending"]
    profile = entry["provenance"].get("profile")
    own = {name: profile.get(field) for name, field in _OF_PROFILE.items()} if profile else {}
    return {
        "token_prepending": f"{layers[0]}-{layers[1]}" if layers else "off",
        "remote_code": bool(entry["provenance"].get("model", {}).get("remote_code")),
        **{field: variant[field] for field in _OF_VARIANT},
        **(own or {"profile": variant["profile_digest"]}),
    }


def _task_settings(made: dict) -> dict[str, object]:
    given = made.get("instruction")
    instruction = f"{given['instruct']}: {given['instruction']}" if given else None
    return {field: made["record"][field] for field in _OF_RECORD} | {"instruction": instruction}


def _made_from(group: list[Noted]) -> dict[str, str | None]:
    """What is under test, and where it was computed: stated where it differs, never a reason to refuse."""
    tasks = [made for noted in group for made in noted.tasks.values()]
    hardware = [one.get("hardware", {}) for made in tasks for one in made.get("encoded_with", [])]
    model = group[0].entry["provenance"].get("model", {})
    return {
        "model": group[0].variant.model,
        "revision": group[0].variant.revision,
        "weights": _joined([model.get("weights_sha256")], _SHORT),
        "tokenizer": _joined([model.get("tokenizer_sha256")], _SHORT),
        "code": _joined([(made.get("code") or {}).get("commit") for made in tasks], _SHORT),
        "machine": _joined([one.get("gpu") or one.get("cpu") for one in hardware]),
    }


def _joined(values: list[str | None], length: int | None = None) -> str | None:
    return " and ".join(sorted({value[:length] for value in values if value})) or None
