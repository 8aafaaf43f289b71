"""Results on disk -> one row per model, setting, dimension and task. Needs no torch and no mteb."""

import json
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from qzhou_eval.averages import task_score
from qzhou_eval.errors import BadInput
from qzhou_eval.results import Manifest
from qzhou_eval.tasks import all_tasks

log = logging.getLogger(__name__)

MINIATURE_PROFILE = "qzhou-zh-mini"  # every model of the miniature has it: it tells none apart


@dataclass(frozen=True)
class Setting:
    """A model and everything but the dimension that was set for it."""

    model: str
    revision: str
    experiment: tuple[tuple[str, str | int], ...]
    token_prepending: tuple[int, int] | None

    @property
    def label(self) -> str:
        """The model's name and what differs from its profile's own protocol."""
        names = {"token_prepending": "TP"}
        extra = [f"{names.get(k, k)} {v}" for k, v in self.experiment if v != MINIATURE_PROFILE]
        name = self.model.removeprefix("local/")
        return f"{name} ({', '.join(extra)})" if extra else name

    def without_token_prepending(self) -> "Setting":
        """What two settings share that differ in token prepending alone."""
        rest = tuple((k, v) for k, v in self.experiment if k != "token_prepending")
        return replace(self, experiment=rest, token_prepending=None)


def labels(settings: Iterable[Setting]) -> dict[Setting, str]:
    """A label for each setting; the revision is added where two models share their name."""
    found = dict.fromkeys(settings)
    count = Counter(setting.label for setting in found)
    return {s: s.label if count[s.label] == 1 else f"{s.label} @ {s.revision}" for s in found}


@dataclass(frozen=True)
class Score:
    """One task's main score, 0 to 100; None if a counted split is missing."""

    setting: Setting
    dim: int
    width: int
    task: str
    score: float | None


def read_scores(output_dirs: list[Path], score_profile: str) -> list[Score]:
    """All scores below the output folders, as their manifests list them.

    Raises:
        BadInput: a folder without results, a result that is missing or changed, or results that do not belong
            together.
    """
    scores: dict[tuple, Score] = {}
    made_with: dict[tuple, tuple] = {}
    for folder in output_dirs:
        if not (folder / "manifest.json").is_file():
            raise BadInput(f"{folder}: no results there (no manifest.json)")
        manifest = Manifest(folder)
        for place, entry in manifest.content["variants"].items():
            variant = entry["variant"]
            experiment = tuple((k, v) for k, v in variant["experiment"] if k != "dim")
            tp = variant["token_prepending"]
            setting = Setting(variant["model"], variant["revision"], experiment, tuple(tp) if tp else None)
            for task, noted in entry["tasks"].items():
                key = (setting, variant["dim"], task)
                if key in scores:
                    raise BadInput(f"{folder / place}: {task} was already read from another folder")
                _warn_if_unlike(folder / place, task, noted["record"], made_with.setdefault(key[:2], noted["record"]))
                if not manifest.intact(place, task):
                    raise BadInput(f"{folder / place / task}.json: missing or changed; run the evaluation again")
                score = task_score(task, main_scores(folder / place / f"{task}.json"), score_profile)
                points = None if score is None else 100 * score
                scores[key] = Score(setting, variant["dim"], variant["width"], task, points)
    if not scores:
        raise BadInput(f"{', '.join(map(str, output_dirs))}: no results there")
    order = {name: i for i, name in enumerate(all_tasks())}
    return sorted(scores.values(), key=lambda s: (s.setting.model, s.setting.experiment, s.dim, order[s.task]))


def _warn_if_unlike(place: Path, task: str, record: dict, first: dict) -> None:
    """Say it where tasks that were scored under different libraries meet in one mean."""
    for name in ("mteb", "scikit_learn"):
        if record[name] != first[name]:
            log.warning("%s: %s was scored with %s %s, others with %s", place, task, name, record[name], first[name])


def main_scores(path: Path) -> dict[str, float]:
    """Main score by split, from mteb's TaskResult JSON."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return {split: rows[0]["main_score"] for split, rows in content["scores"].items()}
    except (ValueError, KeyError, IndexError, TypeError):
        raise BadInput(f"{path}: not a whole result file; run the evaluation again") from None
