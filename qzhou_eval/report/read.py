"""Results on disk -> one row per model, setting, dimension and task. Needs no torch and no mteb."""

import json
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.averages import task_score
from qzhou_eval.errors import BadInput
from qzhou_eval.results import Manifest
from qzhou_eval.tasks import all_tasks

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

    def without_token_prepending(self) -> tuple:
        """What two settings share that differ in token prepending alone."""
        rest = tuple((k, v) for k, v in self.experiment if k != "token_prepending")
        return self.model, self.revision, rest


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
        BadInput: a folder without results, or a result that is missing or damaged.
    """
    scores = []
    for folder in output_dirs:
        if not (folder / "manifest.json").is_file():
            raise BadInput(f"{folder}: no results there (no manifest.json)")
        for place, entry in Manifest(folder).content["variants"].items():
            variant = entry["variant"]
            experiment = tuple((k, v) for k, v in variant["experiment"] if k != "dim")
            tp = variant["token_prepending"]
            setting = Setting(variant["model"], variant["revision"], experiment, tuple(tp) if tp else None)
            for task in entry["tasks"]:
                splits = _main_scores(folder / place / f"{task}.json")
                score = task_score(task, splits, score_profile)
                scores.append(
                    Score(setting, variant["dim"], variant["width"], task, None if score is None else 100 * score)
                )
    if not scores:
        raise BadInput(f"{', '.join(map(str, output_dirs))}: no results there")
    order = {name: i for i, name in enumerate(all_tasks())}
    return sorted(scores, key=lambda s: (s.setting.model, s.setting.experiment, s.dim, order[s.task]))


def _main_scores(path: Path) -> dict[str, float]:
    """Main score by split, from mteb's TaskResult JSON."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return {split: rows[0]["main_score"] for split, rows in content["scores"].items()}
    except FileNotFoundError:
        raise BadInput(f"{path}: the manifest lists it, but it is missing; run the evaluation again") from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise BadInput(f"{path}: not a whole result file; run the evaluation again") from None
