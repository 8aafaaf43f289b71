"""Reads one score per model, setting, dimension and task from results on disk. Needs neither torch nor mteb."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.results.combined import read_together
from qzhou_eval.results.reader import RecordedResults
from qzhou_eval.results.setting import Setting, setting_of


@dataclass(frozen=True)
class TaskScore:
    """One task's main score, 0 to 100; None if a counted part has none. ``recorded`` says what it was made from."""

    setting: Setting
    dim: int
    width: int
    task: str
    score: float | None
    recorded: RecordedResults = field(repr=False, compare=False)


def read_scores(output_dirs: list[Path], score_profile: str, benchmark: Benchmark | None = None) -> list[TaskScore]:
    """Read all scores in the output folders, as their manifests list them.

    Raises:
        BadInput: a folder without results, or results that do not belong together.
    """
    scores: list[TaskScore] = []
    for recorded in read_together(output_dirs, benchmark):
        variant = recorded.variant
        setting = setting_of(recorded)
        for task in recorded.tasks:
            score = recorded.of[task].score(recorded.scores[task], score_profile)
            points = None if score is None else 100 * score
            scores.append(TaskScore(setting, variant.dim, variant.width, task, points, recorded))
    order = in_order(scores)
    return sorted(scores, key=lambda s: (s.setting.model, s.setting.experiment, s.dim, order[s.task]))


def in_order(scores: Iterable[TaskScore]) -> dict[str, int]:
    """The place of each task: benchmark by benchmark, in their order."""
    names = (name for one in benchmarks_of(scores) for name in one.names)
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def benchmarks_of(scores: Iterable[TaskScore]) -> list[Benchmark]:
    """The benchmarks that scores are of, each once."""
    found: dict[str, Benchmark] = {}
    for score in scores:
        for one in score.recorded.benchmarks:
            if score.task in one.by_name:
                found.setdefault(one.name, one)
    return list(found.values())
