"""Result folders -> everything that the report says, as values. Writes and formats nothing."""

from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.report import findings
from qzhou_eval.report.read import Score, Setting, labels, read_scores
from qzhou_eval.report.runs import Run, runs
from qzhou_eval.report.tables import tables
from qzhou_eval.report.uncertainty import Scored, benchmarks, of_benchmark, scored
from qzhou_eval.report.values import Finding, Said, Table
from qzhou_eval.report.verdict import against_published, published_table


@dataclass(frozen=True)
class Part:
    """One benchmark: ``setting``, called ``model``, is what the findings are of."""

    benchmark: str
    setting: Setting
    model: str
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
        BadInput: no results, or damaged ones.
    """
    scores = read_scores(output_dirs, score_profile)
    rows = scored(scores, score_profile)
    parts = [_part(of_benchmark(rows, name), name, scores, score_profile) for name in benchmarks(rows)]
    made = runs(scores)
    order = dict.fromkeys([*(part.setting for part in parts), *made])
    return Contents(score_profile, tuple(parts), tuple(made[s] for s in order), tuple(scores), tuple(rows))


def _part(rows: list[Scored], benchmark: str, scores: list[Score], score_profile: str) -> Part:
    main = findings.main_row(rows, benchmark)
    model = labels(row.setting for row in rows)[main.setting]
    judged = against_published(main.setting, scores, score_profile) if benchmark == "cmteb" else None
    placed = None
    if benchmark == "cmteb" and main.row(benchmark)["Mean(Task)"].value is not None:
        from qzhou_eval.report.standing import standing  # pandas: for whole runs alone

        placed = standing(main, model, score_profile)
    found = [
        findings.quality(main, benchmark),
        findings.as_published(judged, benchmark),
        placed[0] if placed else None,
        findings.dimensions(main, rows, benchmark),
        findings.token_prepending(main, rows, benchmark),
    ]
    more = [placed[1]] if placed else []
    more += [published_table(one, model) for one in judged.comparisons if one.compares] if judged else []
    kept = tuple(one for one in found if one is not None)
    every = (*tables(rows, benchmark), *more)
    return Part(benchmark, main.setting, model, findings.headline(main, benchmark), kept, every)
