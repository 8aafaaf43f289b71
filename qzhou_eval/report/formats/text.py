"""The report as text: on the screen and in Markdown."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import tabulate

from qzhou_eval.report.content.build import Contents
from qzhou_eval.report.content.elements import Cell, Finding, Table, TableRow
from qzhou_eval.report.content.run_table import RunDescription
from qzhou_eval.report.formats.language import UNSURE, Words
from qzhou_eval.system.formatting import escaped, fenced

WIDTH = 120  # of a terminal


def on_screen(contents: Contents, words: Words) -> Iterator[str]:
    """The short tables, then the findings."""
    for part in contents.parts:
        for table in part.tables:
            if table.on_screen:
                yield f"\n{words.render(table.title)}\n\n{_screen_table(table, words)}"
                shown = [note for note in table.notes if note.key != "note.best"]  # nothing is bold here
                yield from (textwrap.fill(words.render(note), WIDTH) for note in shown)
        yield f"\n{words('of', name=words('in_short'), what=part.model)}\n"
        yield from (f"{words(f'question.{one.key}')}  {_sentence(one, words)}" for one in part.findings)


def scores_alone(contents: Contents, words: Words) -> Iterator[str]:
    """Only the first table of each benchmark, which has every model's means."""
    yield from (_screen_table(part.tables[0], words) for part in contents.parts)


def markdown(contents: Contents, words: Words) -> str:
    """The whole report except the figures."""
    parts = [f"# {words('title')}", escaped(words.render(contents.subtitle))]
    for part in contents.parts:
        parts.append(f"## {escaped(words('of', name=part.model, what=part.benchmark.title))}")
        lines = [f"- **{words(f'question.{one.key}')}** {escaped(_sentence(one, words))}" for one in part.findings]
        parts.append("\n".join(lines))
        for table in part.tables:
            parts.append(f"## {escaped(words.render(table.title))}\n\n{_markdown_table(table, words)}")
            parts += [escaped(words.render(note)) for note in table.notes]
    parts += [text for run in contents.runs for text in _run(run, words)]
    return "\n\n".join(parts) + "\n"


def _run(run: RunDescription, words: Words) -> Iterator[str]:
    yield f"## {escaped(words.render(run.tasks.title))}"
    facts = (words("of", name=words(f"run.{key}"), what=value) for key, value in run.facts)
    yield "\n".join(f"- {escaped(fact)}" for fact in facts)
    for title, prompt in run.prompts:
        yield f"{escaped(words('of', name=title, what='').rstrip())}\n\n{fenced(prompt)}"
    yield _markdown_table(run.tasks, words)


def _sentence(one: Finding, words: Words) -> str:
    """A finding on one line."""
    headline = " ".join(words.render(part) for part in (one.figure, one.under) if part is not None)
    first = [words("sentence", text=headline)] if headline else []
    return words("gap").join([*first, *map(words.render, one.text)])


def _screen_table(table: Table, words: Words) -> str:
    """A table without intervals, which would not fit on the screen."""
    return _table(table, [row for row in table.rows if not row.folded], words, "simple", _marked)


def _markdown_table(table: Table, words: Words) -> str:
    return _table(table, table.rows, words, "github", _markdown_cell)


def _table(
    table: Table, rows: Sequence[TableRow], words: Words, style: str, cell_text: Callable[[Cell, Words], str]
) -> str:
    grouped = any(row.group for row in table.rows)
    lines = []
    for row in rows:
        names = [words.column(words.render(row.name)), *([words.column(row.group)] if grouped else [])]
        if style == "github":
            names = [escaped(name) for name in names]
        lines.append([*names, *(cell_text(cell, words) for cell in row.cells)])
    headers = [table.index, *(["type"] if grouped else []), *table.columns]
    numbers = [all(row.cells[at].is_number for row in rows) for at in range(len(table.columns))]
    align = ["left"] * (1 + grouped) + ["right" if number else "left" for number in numbers]
    with _narrow_columns():
        return tabulate.tabulate(
            lines, [words.column(name) for name in headers], tablefmt=style, colalign=align, disable_numparse=True
        )


def _marked(cell: Cell, words: Words) -> str:
    """A cell's value, marked if it is a difference that is not significant."""
    return f"{UNSURE if cell.unsure else ''}{words.number(cell)}"


def _markdown_cell(cell: Cell, words: Words) -> str:
    text = escaped(_marked(cell, words))
    text = f"**{text}**" if cell.best else text
    return f"{text} ({words.interval(cell)})" if cell.bounds is not None else text


@contextmanager
def _narrow_columns() -> Iterator[None]:
    """Remove the padding beside headers, a global of tabulate, so that eight columns fit in 120 characters."""
    before, tabulate.MIN_PADDING = tabulate.MIN_PADDING, 0
    try:
        yield
    finally:
        tabulate.MIN_PADDING = before
