"""The report as CSV files, for programs: four decimals, bounds beside values, the same names in every language."""

import csv
from collections.abc import Iterable
from io import StringIO

from qzhou_eval.report.content.build import Contents
from qzhou_eval.report.content.elements import SECTIONS, Cell, Table, Text
from qzhou_eval.report.content.estimates import Scored
from qzhou_eval.report.formats.language import Words


def sheets(contents: Contents, english: Words) -> dict[str, str]:
    """CSV text by file name: every score, and a file for each kind of table, with the models one below the other."""
    found = {"scores.csv": _csv(_scores(contents.rows, contents))}
    for part in contents.parts:
        for key in dict.fromkeys(table.key for table in part.tables):
            tables = [table for table in part.tables if table.key == key]
            found[f"{part.benchmark.file_name}_{key}.csv"] = _csv(_lines(tables, english))
    return found


def is_sheet(name: str) -> bool:
    """Whether a file of this name may be a sheet of an earlier report."""
    return any(name.endswith(f"_{key}.csv") for keys in SECTIONS.values() for key in keys)


def _scores(rows: Iterable[Scored], contents: Contents) -> Iterable[list]:
    yield ["model", "revision", "setting", "dim", "task", "type", "score", "low", "high"]
    estimates = {(row.setting, row.dim): row for row in rows}
    for s in contents.scores:
        low, high = estimates[s.setting, s.dim].of(s.task).bounds or (None, None)
        kind = s.recorded.of[s.task].type
        numbers = [_number(value) for value in (s.score, low, high)]
        yield [s.setting.model, s.setting.revision, s.setting.label, s.dim, s.task, kind, *numbers]


def _lines(tables: list[Table], english: Words) -> Iterable[list]:
    columns = list(dict.fromkeys(english.render(column) for table in tables for column in table.columns))
    columns.sort(key=lambda column: (0, int(column)) if column.isdigit() else (1, 0))
    bounded = any(table.has_intervals for table in tables)
    of_model, grouped = any(table.model for table in tables), any(row.group for t in tables for row in t.rows)
    head = [name for name, there in (("model", of_model), (tables[0].index, True), ("type", grouped)) if there]
    suffixes = ("", " low", " high") if bounded else ("",)
    yield [*head, *(f"{column}{suffix}" for column in columns for suffix in suffixes)]
    for table in tables:
        for row in table.rows:
            cells = dict(zip(map(english.render, table.columns), row.cells, strict=True))
            model, group = [english.render(table.model)] * of_model, [row.group] * grouped
            names = [*model, english.render(row.name), *group]
            numbers = (_cell(cells.get(column, Cell(None)), english)[: len(suffixes)] for column in columns)
            yield [*names, *(value for three in numbers for value in three)]


def _cell(cell: Cell, english: Words) -> list[str]:
    value = english.render(cell.value) if isinstance(cell.value, (str, Text)) else _number(cell.value)
    low, high = cell.bounds or (None, None)
    return [value, _number(low), _number(high)]


def _number(value: float | int | None) -> str:
    if value is None:
        return ""
    return f"{value:z.4f}" if isinstance(value, float) else str(value)


def _csv(lines: Iterable[list]) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()
