"""Formats verdicts for the screen, as JUnit XML and as Markdown. Judges nothing."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from tabulate import tabulate

from qzhou_eval.checks.regression.verdict import CheckedScore, counts, worst_dimensions
from qzhou_eval.system.formatting import escaped

_HEADERS = ("task", "dim", "baseline", "here", "difference", "tolerance", "cosine", "verdict")
_ALIGN = ("left", *["right"] * 6, "left")
_NAME = "qzhou-eval check"
_LEGEND = "OK: within the tolerance; DRIFT: within three times the tolerance; FAIL: beyond, or vectors have changed."


@dataclass(frozen=True)
class Checked:
    """A check's outcome: a row for each score, notes, and whether DRIFT fails too."""

    rows: list[CheckedScore]
    notes: list[str]
    strict: bool

    @property
    def failed(self) -> bool:
        return any(self.fails(row) for row in self.rows)

    def fails(self, row: CheckedScore) -> bool:
        return row.verdict == "FAIL" or (self.strict and row.verdict == "DRIFT")

    @property
    def verdict(self) -> str:
        number = ", ".join(f"{count} {name}" for name, count in counts(self.rows).items())
        return f"{number}: {'failed' if self.failed else 'passed'}"


def console(checked: Checked) -> str:
    """The short table, a row for each setting and task at its worst dimension, and the verdict."""
    parts = []
    for setting, rows in _by_setting(worst_dimensions(checked.rows)).items():
        cells = [[_one_line(cell) for cell in _cells(row)] for row in rows]
        table = tabulate(cells, _HEADERS, colalign=_ALIGN, disable_numparse=True)
        parts.append(f"{_one_line(setting)}\n{table}")
    notes = [f"note: {_one_line(note)}" for note in checked.notes]
    return "\n\n".join([*parts, "\n".join([*notes, f"verdict: {checked.verdict}"])])


def markdown(checked: Checked) -> str:
    """The summary that a CI system shows: the verdict, what fails or drifts, then the short table."""
    parts = [f"## {_NAME}: {'failed' if checked.failed else 'passed'}", f"{checked.verdict}. {_LEGEND}"]
    if off := [row for row in checked.rows if row.verdict != "OK"]:
        parts += ["### Not OK", *_tables(off)]
    parts += ["### Every task, at its worst dimension", *_tables(worst_dimensions(checked.rows))]
    if checked.notes:
        parts.append("\n".join(f"- {escaped(note)}" for note in checked.notes))
    return "\n\n".join(parts) + "\n"


def junit(checked: Checked) -> str:
    """A test case for each setting, task and dimension; failures and drifts with their figures."""
    suite, root = _suite(len(checked.rows), sum(map(checked.fails, checked.rows)), 0)
    for row in checked.rows:
        case = _case(suite, row.setting, f"{row.task}, dim {row.dim}")
        if checked.fails(row):
            failure = ET.SubElement(case, "failure", {"type": row.verdict, "message": _one_line(reason(row))})
            failure.text = _figures(row)
        else:
            ET.SubElement(case, "system-out").text = f"{row.verdict}: {_figures(row)}"
    return _document(root)


def refusal_junit(message: str) -> str:
    """The JUnit XML of a check that was refused."""
    suite, root = _suite(1, 0, 1)
    ET.SubElement(_case(suite, _NAME, "settings"), "error", {"type": "refused", "message": _one_line(message)})
    return _document(root)


def refusal_markdown(message: str) -> str:
    """The Markdown summary of a check that was refused."""
    return f"## {_NAME}: refused\n\n{escaped(message)}\n"


def reason(row: CheckedScore) -> str:
    """Why a row is not OK, in one line."""
    if row.vectors_moved:
        return f"vectors have changed: cosine {row.cosine:.7f}, below the required {row.min_cosine:g}"
    if math.isnan(row.score):
        return "the score is not a number"
    return f"{row.difference:+.4f} points, the tolerance is {row.tolerance:g}"


def _figures(row: CheckedScore) -> str:
    return "  ".join(f"{name} {cell}" for name, cell in zip(_HEADERS[2:-1], _cells(row)[2:-1], strict=True))


def _cells(row: CheckedScore) -> list[str]:
    cosine = "-" if row.cosine is None else f"{row.cosine:.7f}"
    points = [f"{row.baseline:.3f}", f"{row.score:.3f}", f"{row.difference:+z.3f}", f"{row.tolerance:g}"]
    return [row.task, str(row.dim), *points, cosine, f"{row.verdict} (cosine)" if row.vectors_moved else row.verdict]


def _tables(rows: list[CheckedScore]) -> Iterable[str]:
    for setting, some in _by_setting(rows).items():
        cells = [[escaped(cell) for cell in _cells(row)] for row in some]
        table = tabulate(cells, _HEADERS, tablefmt="github", colalign=_ALIGN, disable_numparse=True)
        yield f"**{escaped(setting)}**\n\n{table}"


def _by_setting(rows: list[CheckedScore]) -> dict[str, list[CheckedScore]]:
    groups: dict[str, list[CheckedScore]] = {}
    for row in rows:
        groups.setdefault(row.setting, []).append(row)
    return groups


def _suite(tests: int, failures: int, errors: int) -> tuple[ET.Element, ET.Element]:
    root = ET.Element("testsuites")
    figures = {"tests": str(tests), "failures": str(failures), "errors": str(errors)}
    return ET.SubElement(root, "testsuite", {"name": _NAME} | figures), root


def _case(suite: ET.Element, classname: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", {"classname": _one_line(classname), "name": _one_line(name)})


def _document(root: ET.Element) -> str:
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _one_line(text: str) -> str:
    """Text without line breaks and other control characters, which terminals obey and XML cannot hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
