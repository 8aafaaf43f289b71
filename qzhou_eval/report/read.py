"""Results on disk -> one row per model, setting, dimension and task. Needs no torch and no mteb."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from qzhou_eval.averages import task_score
from qzhou_eval.mteb_results import PLAIN
from qzhou_eval.noted import Noted
from qzhou_eval.report.values import Said
from qzhou_eval.tasks import all_tasks
from qzhou_eval.together import read_together

_DIGEST = re.compile(r"-[0-9a-f]{8}$")  # at the end of a changed profile's name
_WORDS = (  # of an experiment's facts; others are shown as they are recorded
    *("token_prepending", "token_prepending_off", "profile", "dtype", "max_length", "truncate"),
    *("normalize_off", "instruction_off", "remote_code"),
)
_REVISION = 14  # letters of a revision that tell two apart
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
        """The model's name and what differs from its profile's own protocol, in words that no language changes."""
        names = {"token_prepending": "TP"}
        extra = [f"{names.get(k, k)} {v}" for k, v in self.experiment if v != MINIATURE_PROFILE]
        return f"{self.short_name} ({', '.join(extra)})" if extra else self.short_name

    @property
    def short_name(self) -> str:
        return self.given or self.model.removeprefix("local/")

    def without_token_prepending(self) -> "Setting":
        """What two settings share that differ in token prepending alone."""
        rest = tuple((k, v) for k, v in self.experiment if k != "token_prepending")
        return replace(self, experiment=rest, token_prepending=None)


def labels(settings: Iterable[Setting]) -> dict[Setting, str | Said]:
    """A label for each setting, as short as tells it from the others.

    The precision is in it where two stand side by side, the digest of a changed profile where two profiles share their
    name, and the revision where two models do.
    """
    every = dict.fromkeys(settings)
    precisions = {dict(setting.experiment).get("dtype") for setting in every}
    found = {setting: _label(setting, precision=len(precisions) > 1) for setting in every}
    for more in ({"digest": True}, {"digest": True, "revision": True}):
        count = Counter(found.values())
        again = {s: _label(s, precision=len(precisions) > 1, **more) for s in every if count[found[s]] > 1}
        found |= again
    return found


def _label(setting: Setting, *, precision: bool, digest: bool = False, revision: bool = False) -> str | Said:
    facts = []
    for key, value in setting.experiment:
        if value == MINIATURE_PROFILE or (key == "dtype" and not precision):
            continue
        shown = value if digest or key != "profile" else _DIGEST.sub("", str(value))
        word = f"{key}_off" if value == "off" else key
        facts.append(Said(f"label.{word if word in _WORDS else 'other'}", {"name": key, "value": shown}))
    name = setting.short_name
    label = Said("label", {"name": name, "facts": tuple(facts)}) if facts else name
    at = setting.revision[:_REVISION] if setting.revision else Said("label.no_revision")
    return Said("label.revision", {"label": label, "revision": at}) if revision else label


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
