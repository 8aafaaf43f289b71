"""Results on disk -> one row per model, setting, dimension and task. Needs no torch and no mteb."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from qzhou_eval.averages import task_score
from qzhou_eval.mteb_results import PLAIN
from qzhou_eval.noted import Noted
from qzhou_eval.tasks import all_tasks
from qzhou_eval.together import read_together

MINIATURE_PROFILE = "qzhou-zh-mini"  # every model of the miniature has it: it tells none apart


@dataclass(frozen=True)
class Setting:
    """A model and everything but the dimension that was set for it."""

    model: str
    revision: str | None
    experiment: tuple[tuple[str, str | int], ...]
    token_prepending: tuple[int, int] | None
    given: str | None = field(default=None, compare=False)  # the model's label, where one was given

    @property
    def is_plain(self) -> bool:
        """Whether these are plain mteb's results, of which the protocol is not known."""
        return PLAIN in self.experiment

    @property
    def label(self) -> str:
        """The model's name and what differs from its profile's own protocol."""
        names = {"token_prepending": "TP"}
        extra = [f"{names.get(k, k)} {v}" for k, v in self.experiment if v != MINIATURE_PROFILE]
        name = self.given or self.model.removeprefix("local/")
        return f"{name} ({', '.join(extra)})" if extra else name

    def without_token_prepending(self) -> "Setting":
        """What two settings share that differ in token prepending alone."""
        rest = tuple((k, v) for k, v in self.experiment if k != "token_prepending")
        return replace(self, experiment=rest, token_prepending=None)


def labels(settings: Iterable[Setting]) -> dict[Setting, str]:
    """A label for each setting; the revision is added where two models share their name."""
    found = dict.fromkeys(settings)
    count = Counter(setting.label for setting in found)
    return {s: s.label if count[s.label] == 1 else f"{s.label} @ {s.revision or 'no revision'}" for s in found}


@dataclass(frozen=True)
class Score:
    """One task's main score, 0 to 100; None if a counted split has none. ``noted`` has what it was made from."""

    setting: Setting
    dim: int
    width: int
    task: str
    score: float | None
    noted: Noted = field(repr=False, compare=False)


def read_scores(output_dirs: list[Path], score_profile: str) -> list[Score]:
    """All scores below the output folders, as their manifests list them.

    Raises:
        BadInput: a folder without results, or results that do not belong together.
    """
    scores: list[Score] = []
    for noted in read_together(output_dirs):
        variant = noted.variant
        experiment = tuple((k, v) for k, v in variant.experiment if k != "dim")
        setting = Setting(variant.model, variant.revision, experiment, variant.token_prepending, noted.label)
        for task in noted.tasks:
            score = task_score(task, noted.scores[task], score_profile)
            points = None if score is None else 100 * score
            scores.append(Score(setting, variant.dim, variant.width, task, points, noted))
    order = {name: i for i, name in enumerate(all_tasks())}
    return sorted(scores, key=lambda s: (s.setting.model, s.setting.experiment, s.dim, order[s.task]))
