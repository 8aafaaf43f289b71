"""Tables -> screen, Markdown, CSV. Formats what :mod:`.tables` computed; nothing is computed here."""

import csv
import html
import re
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pandas as pd
import tabulate

from qzhou_eval.files import write_text
from qzhou_eval.report import tables
from qzhou_eval.report.read import Score, read_scores
from qzhou_eval.tasks import all_tasks

MISSING = "-"
TP_NOTE = (
    "The same weights with and without token prepending at inference. (The card's table 2 compares two trainings.)"
)
GENERATED_NOTE = "Generated data: these scores compare with nothing else."
MISSING_NOTE = f"'{MISSING}' is a task without a result, or a mean that would need one."


@dataclass(frozen=True)
class Section:
    """One table: its heading, the CSV it goes into, whose it is, a note under it, whether the screen shows it."""

    title: str
    file: str
    frame: pd.DataFrame
    model: str = ""
    note: str = ""
    on_screen: bool = True


def report(output_dirs: list[Path], score_profile: str) -> None:
    """Print the tables and write them to ``report/`` in the first output folder.

    Raises:
        BadInput: no results, or damaged ones.
    """
    scores = read_scores(output_dirs, score_profile)
    sections = [s for benchmark in tables.benchmarks(scores) for s in _sections(scores, benchmark)]
    folder = output_dirs[0] / "report"
    folder.mkdir(exist_ok=True)
    files = _write(folder, sections, scores, score_profile)
    for section in sections:
        if section.on_screen:
            print(f"\n{section.title}\n\n{_on_screen(section)}")
            if section.note:
                print(section.note)
    print("\nwritten: " + "  ".join(str(file) for file in files))


def _sections(scores: list[Score], benchmark: str) -> list[Section]:
    name = {"cmteb": "CMTEB", "mini": "the miniature"}[benchmark]
    leaderboard = tables.leaderboard(scores, benchmark)
    notes = [GENERATED_NOTE] if benchmark == "mini" else []
    notes += [MISSING_NOTE] if leaderboard.isna().any(axis=None) else []
    found = [Section(f"Leaderboard on {name}", f"{benchmark}_leaderboard", leaderboard, note=" ".join(notes))]
    for model, frame in tables.matryoshka(scores, benchmark).items():
        shown = not frame.isna().all(axis=None)
        found.append(Section(f"MRL on {name}: {model}", f"{benchmark}_mrl", frame, model, on_screen=shown))
    for model, frame in tables.token_prepending(scores, benchmark).items():
        title = f"Token prepending on {name}: {model}"
        found.append(Section(title, f"{benchmark}_token_prepending", frame, model, TP_NOTE))
    for model, frame in tables.per_task(scores, benchmark).items():
        title = f"Tasks by dimension: {model}"
        missing = int(_without_result(frame).sum())
        note = f"{missing} of the {len(frame)} tasks have no result." if missing else ""
        found.append(Section(title, f"{benchmark}_tasks", frame, model, note, on_screen=missing > 0))
    return found


def _without_result(frame: pd.DataFrame) -> pd.Series:
    """Which rows of a table of tasks have no score at any dimension."""
    return frame.drop(columns="type").isna().all(axis=1)


def _on_screen(section: Section) -> str:
    """The table for the screen, where rows of tasks without a result would hide the others."""
    frame = section.frame
    return _table(frame[~_without_result(frame)] if "type" in frame.columns else frame, "simple")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return MISSING if pd.isna(value) else f"{value:.2f}"
    return str(value)


def _table(frame: pd.DataFrame, style: str) -> str:
    rows = [[str(index), *map(_cell, row)] for index, row in zip(frame.index, frame.values.tolist(), strict=True)]
    if style == "github":
        rows = [[_markdown(cell) for cell in row] for row in rows]
    text_columns = 1 + sum(column == "type" for column in frame.columns)
    align = ["left"] * text_columns + ["right"] * (len(frame.columns) + 1 - text_columns)
    headers = [frame.index.name, *frame.columns]
    with _narrow_columns():
        return tabulate.tabulate(rows, headers, tablefmt=style, colalign=align, disable_numparse=True)


def _markdown(text: str) -> str:
    """A name as Markdown shows it: no tag, link or code of it is live, and no column is opened."""
    return re.sub(r"([\\`*|\[\]])", r"\\\1", html.escape(text, quote=False))


@contextmanager
def _narrow_columns():
    """No padding beside headers, which tabulate takes from a global: eight columns fit 120 characters."""
    before, tabulate.MIN_PADDING = tabulate.MIN_PADDING, 0
    try:
        yield
    finally:
        tabulate.MIN_PADDING = before


def _write(folder: Path, sections: list[Section], scores: list[Score], score_profile: str) -> list[Path]:
    parts = [f"# Report\n\nMain scores x 100; score profile `{score_profile}`."]
    for section in sections:
        parts.append(f"## {_markdown(section.title)}\n\n{_table(section.frame, 'github')}")
        if section.note:
            parts.append(section.note)
    write_text(folder / "report.md", "\n\n".join(parts) + "\n")
    files = [folder / "report.md", folder / "scores.csv"]
    write_text(files[1], _tidy_csv(scores))
    for file in dict.fromkeys(section.file for section in sections):
        files.append(folder / f"{file}.csv")
        write_text(files[-1], _together([s for s in sections if s.file == file]).to_csv(float_format="%.4f"))
    return files


def _together(sections: list[Section]) -> pd.DataFrame:
    """One frame of the tables of all models; dimensions as columns in their order."""
    if not sections[0].model:
        return sections[0].frame
    frame = pd.concat({s.model: s.frame for s in sections}, names=["model"])
    dims = sorted((c for c in frame.columns if c.isdigit()), key=int)
    return frame[[c for c in frame.columns if not c.isdigit()] + dims]


def _tidy_csv(scores: list[Score]) -> str:
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["model", "revision", "setting", "dim", "task", "type", "score"])
    for s in scores:
        kind, score = all_tasks()[s.task].type, "" if s.score is None else f"{s.score:.4f}"
        writer.writerow([s.setting.model, s.setting.revision, s.setting.label, s.dim, s.task, kind, score])
    return out.getvalue()
