"""Turns result folders into everything that the report says, as values. Writes and formats nothing."""

from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.published import scores_of
from qzhou_eval.errors import BadInput
from qzhou_eval.report.content import summary
from qzhou_eval.report.content.baseline_scores import add_floors
from qzhou_eval.report.content.elements import SECTIONS, Finding, Table, Text
from qzhou_eval.report.content.estimates import Scored, of_benchmark, scored
from qzhou_eval.report.content.labels import labels
from qzhou_eval.report.content.mean_tables import (
    leaderboards,
    matryoshka,
    token_prepending,
    token_prepending_by_dimension,
)
from qzhou_eval.report.content.published_table import against_published, published_table
from qzhou_eval.report.content.run_table import RunDescription, runs
from qzhou_eval.report.content.scope import own
from qzhou_eval.report.content.task_tables import per_task, token_prepending_by_task
from qzhou_eval.results.setting import Setting
from qzhou_eval.results.task_scores import TaskScore, benchmarks_of, read_scores


@dataclass(frozen=True)
class Part:
    """One benchmark. The findings are about ``setting``, which is called ``model``."""

    benchmark: Benchmark
    setting: Setting
    model: str | Text
    headline: Text
    findings: tuple[Finding, ...]
    tables: tuple[Table, ...]

    def of(self, key: str) -> list[Table]:
        """The tables of one kind, the headline's own model first."""
        found = [table for table in self.tables if table.key == key]
        return sorted(found, key=lambda table: table.model != self.model)

    def section(self, name: str) -> list[Table]:
        """The tables of one of the page's sections."""
        return [table for key in SECTIONS[name] for table in self.of(key)]


@dataclass(frozen=True)
class Contents:
    """The whole report. ``scores`` and ``rows`` are what it was computed from."""

    score_profile: str
    parts: tuple[Part, ...]
    runs: tuple[RunDescription, ...]
    scores: tuple[TaskScore, ...]
    rows: tuple[Scored, ...]

    @property
    def subtitle(self) -> Text:
        """What the scores are; the score profile where a task is counted differently by it."""
        if any(task.card_splits for part in self.parts for task in part.benchmark.tasks):
            return Text("subtitle_of_profile", {"profile": Text(f"profile.{self.score_profile}")})
        return Text("subtitle")


def contents(output_dirs: list[Path], score_profile: str, benchmark: Benchmark | None = None) -> Contents:
    """Read results and compute the report.

    Args:
        benchmark: report this one alone; None for all that the results are of.

    Raises:
        BadInput: no results, damaged ones, or none on a split that counts.
    """
    scores = read_scores(output_dirs, score_profile, benchmark)
    rows = scored(scores, score_profile)
    found = [one for one in benchmarks_of(scores) if of_benchmark(rows, one)]
    if not found:
        raise BadInput(f"{output_dirs[0]}: no score on the splits that --score_profile {score_profile} counts")
    add_floors(rows, scores, [path for path in output_dirs if path.is_dir()], score_profile)
    parts = [_part(of_benchmark(rows, one), one, scores, score_profile) for one in found]
    made = runs(scores)
    order = dict.fromkeys([*(part.setting for part in parts), *made])
    return Contents(score_profile, tuple(parts), tuple(made[s] for s in order), tuple(scores), tuple(rows))


def _part(rows: list[Scored], benchmark: Benchmark, scores: list[TaskScore], score_profile: str) -> Part:
    main = summary.main_row(rows, benchmark)
    model = labels(row.setting for row in rows)[main.setting]
    published = scores_of(benchmark)
    judged = against_published(main.setting, scores, benchmark, score_profile) if published else None
    placed = None
    if published and own(main, benchmark).is_whole:
        from qzhou_eval.report.content.placement_table import standing  # pandas: only for complete runs

        placed = standing(main, model, benchmark, score_profile)
    found = [
        summary.quality(main, benchmark),
        summary.as_published(judged, benchmark),
        placed[0] if placed else None,
        summary.cost_of_dimensions(main, rows, benchmark),
        summary.gain_of_token_prepending(main, rows, benchmark),
    ]
    more = [placed[1]] if placed else []
    more += [published_table(one, model) for one in judged.comparisons if one.compares] if judged else []
    kept = tuple(one for one in found if one is not None)
    every = (*_tables(rows, benchmark), *more)
    return Part(benchmark, main.setting, model, summary.headline(main, benchmark), kept, every)


def _tables(rows: list[Scored], benchmark: Benchmark) -> list[Table]:
    """Every table of one benchmark that its results fill, in the report's order."""
    return [
        *leaderboards(rows, benchmark),
        *token_prepending(rows, benchmark),
        *matryoshka(rows, benchmark),
        *token_prepending_by_dimension(rows, benchmark),
        *per_task(rows, benchmark),
        *token_prepending_by_task(rows, benchmark),
    ]
