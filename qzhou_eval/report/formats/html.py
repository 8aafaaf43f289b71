"""The report as one self-contained HTML page: no network, no script. Jinja2 escapes every string."""

import math
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from qzhou_eval.report.content.build import Contents, Part
from qzhou_eval.report.content.elements import SECTIONS, Cell, Table, Text
from qzhou_eval.report.formats.figures import curves, forest
from qzhou_eval.report.formats.language import UNSURE, Words
from qzhou_eval.report.formats.svg import SERIES

FOLDER = Path(__file__).parent
STRONGEST = 55  # per cent of colour in a heat map's cell: text stays readable on it
_MINUS = re.compile(r"(?<![\w.,-])-(?=[\d.])")


def page(contents: Contents, words: Words) -> str:
    """The whole page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["minus"] = lambda text: _MINUS.sub("\N{MINUS SIGN}", text)
    drawn = {part.benchmark.file_name: _drawings(part, words) for part in contents.parts}
    return templates.get_template("page.html").render(
        contents=contents,
        sections=SECTIONS,
        words=words,
        drawn=drawn,
        version=_version(),
        heat=heat,
        unsure=UNSURE,
    )


def _version() -> str:
    try:
        return version("qzhou-eval")
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class Drawings:
    """A benchmark's SVG elements by column or type; ``series`` are the curves' models in the order of their colours."""

    series: tuple[str | Text, ...]
    curves: dict[str, str]
    forest: dict[str, str]


def _drawings(part: Part, words: Words) -> Drawings:
    mrl, drawn, trees = part.of("mrl"), {}, {}
    mrl = [table for table in mrl if table.tasks == mrl[0].tasks][: len(SERIES)]
    if mrl:
        costs = {table.model: table for table in part.of("mrl_cost")}
        drawn = curves(mrl, [costs[table.model] for table in mrl], words)
    for by_task, table in zip(part.of("token_prepending_tasks")[:1], part.of("token_prepending"), strict=False):
        gain = next(row for row in table.rows if row.cells[0].difference)
        trees = forest(by_task, list(zip(table.columns, gain.cells, strict=True)), words)
    return Drawings(tuple(table.model for table in mrl), drawn, trees)


@dataclass(frozen=True)
class Heat:
    """The colour scale of a table of differences: ``end`` points or more have the strongest colour; ``cut`` says
    whether any has more.
    """

    end: float
    cut: bool

    def of(self, cell: Cell) -> str:
        """How much colour a cell gets; empty if it is not a difference, or not significant."""
        if not _counts(cell):
            return ""
        return f"{STRONGEST * min(1.0, abs(cell.points) / self.end):.0f}%"


def heat(table: Table) -> Heat | None:
    """A scale that ends where 95 % of the differences do, so that a single large one does not make the others pale."""
    sizes = sorted(abs(cell.points) for row in table.rows for cell in row.cells if _counts(cell))
    if not sizes:
        return None
    end = sizes[math.ceil(0.95 * len(sizes)) - 1]
    return Heat(end, cut=end < sizes[-1])


def _counts(cell: Cell) -> bool:
    return bool(cell.difference and cell.value and not cell.unsure)
