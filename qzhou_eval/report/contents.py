"""Result folders -> everything that the report says, as values. Writes and formats nothing."""

from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.report import findings
from qzhou_eval.report.floors import add_floors
from qzhou_eval.report.read import Score, Setting, labels, read_scores
from qzhou_eval.report.runs import Run, runs
from qzhou_eval.report.scope import own
from qzhou_eval.report.tables import leaderboards, matryoshka, token_prepending, token_prepending_by_dimension
from qzhou_eval.report.task_tables import per_task, token_prepending_by_task
from qzhou_eval.report.uncertainty import Scored, benchmarks, of_benchmark, scored
from qzhou_eval.report.values import Finding, Said, Table
from qzhou_eval.report.verdict import against_published, published_table


@dataclass(frozen=True)
class Part:
    """One benchmark: ``setting``, called ``model``, is what the findings are of."""

    benchmark: str
    setting: Setting
    model: str | Said
    headline: Said
    findings: tuple[Finding, ...]
    tables: tuple[Table, ...]

    def of(self, key: str) -> list[Table]:
        """The tables of one kind, the headline's own model first."""
        found = [table for table in self.tables if table.key == key]
        return sorted(found, key=lambda table: table.model != self.model)


@dataclass(frozen=True)
class Contents:
    """The whole report. ``scores`` and ``rows`` are what it was computed from."""

    score_profile: str
    parts: tuple[Part, ...]
    runs: tuple[Run, ...]
    scores: tuple[Score, ...]
    rows: tuple[Scored, ...]


def contents(output_dirs: list[Path], score_profile: str) -> Contents:
    """Read results and compute the report.

    Raises:
        BadInput: no results, damaged ones, or none on a split that counts.
    """
    scores = read_scores(output_dirs, score_profile)
    rows = scored(scores, score_profile)
    if not benchmarks(rows):
        raise BadInput(f"{output_dirs[0]}: no score on the splits that --score_profile {score_profile} counts")
    add_floors(rows, scores, [path for path in output_dirs if path.is_dir()], score_profile)
    parts = [_part(of_benchmark(rows, name), name, scores, score_profile) for name in benchmarks(rows)]
    made = runs(scores)
    order = dict.fromkeys([*(part.setting for part in parts), *made])
    return Contents(score_profile, tuple(parts), tuple(made[s] for s in order), tuple(scores), tuple(rows))


def _part(rows: list[Scored], benchmark: str, scores: list[Score], score_profile: str) -> Part:
    main = findings.main_row(rows, benchmark)
    model = labels(row.setting for row in rows)[main.setting]
    judged = against_published(main.setting, scores, score_profile) if benchmark == "cmteb" else None
    placed = None
    if benchmark == "cmteb" and own(main, benchmark).is_whole:
        from qzhou_eval.report.standing import standing  # pandas: for whole runs alone

        placed = standing(main, model, score_profile)
    found = [
        findings.quality(main, benchmark),
        findings.as_published(judged, benchmark),
        placed[0] if placed else None,
        findings.cost_of_dimensions(main, rows, benchmark),
        findings.gain_of_token_prepending(main, rows, benchmark),
    ]
    more = [placed[1]] if placed else []
    more += [published_table(one, model) for one in judged.comparisons if one.compares] if judged else []
    kept = tuple(one for one in found if one is not None)
    every = (*_tables(rows, benchmark), *more)
    return Part(benchmark, main.setting, model, findings.headline(main, benchmark), kept, every)


def _tables(rows: list[Scored], benchmark: str) -> list[Table]:
    """Every table of one benchmark that its results fill, in the report's order."""
    return [
        *leaderboards(rows, benchmark),
        *token_prepending(rows, benchmark),
        *matryoshka(rows, benchmark),
        *token_prepending_by_dimension(rows, benchmark),
        *per_task(rows, benchmark),
        *token_prepending_by_task(rows, benchmark),
    ]
