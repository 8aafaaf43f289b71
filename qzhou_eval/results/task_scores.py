"""Reads one score per model, setting, dimension and task from results on disk. Needs neither torch nor mteb."""

from dataclasses import dataclass, field
from pathlib import Path

from qzhou_eval.benchmark.averages import task_score
from qzhou_eval.benchmark.registry import all_tasks
from qzhou_eval.results.combined import read_together
from qzhou_eval.results.reader import RecordedResults
from qzhou_eval.results.setting import Setting, setting_of


@dataclass(frozen=True)
class TaskScore:
    """One task's main score, 0 to 100; None if a counted split has none. ``recorded`` says what it was made from."""

    setting: Setting
    dim: int
    width: int
    task: str
    score: float | None
    recorded: RecordedResults = field(repr=False, compare=False)


def read_scores(output_dirs: list[Path], score_profile: str) -> list[TaskScore]:
    """Read all scores in the output folders, as their manifests list them.

    Raises:
        BadInput: a folder without results, or results that do not belong together.
    """
    scores: list[TaskScore] = []
    for recorded in read_together(output_dirs):
        variant = recorded.variant
        setting = setting_of(recorded)
        for task in recorded.tasks:
            score = task_score(task, recorded.scores[task], score_profile)
            points = None if score is None else 100 * score
            scores.append(TaskScore(setting, variant.dim, variant.width, task, points, recorded))
    order = {name: i for i, name in enumerate(all_tasks())}
    return sorted(scores, key=lambda s: (s.setting.model, s.setting.experiment, s.dim, order[s.task]))
