"""The report's drawings read back: dots, bands and labels are where the tables' numbers are, and names stay text."""

import math
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from reporting import write_results

from qzhou_eval.benchmark.packaged import miniature
from qzhou_eval.report.content.build import contents
from qzhou_eval.report.content.elements import Cell, Table, TableRow
from qzhou_eval.report.formats.figures import curves, forest
from qzhou_eval.report.formats.language import words
from qzhou_eval.report.formats.svg import Scale


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    (found,) = contents([write_results(tmp_path_factory.mktemp("figures"))], "card").parts
    return found


def read(svg: str, kind: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(svg) if element.tag == kind]


def number(label: str) -> float:
    return float(label.replace("\N{MINUS SIGN}", "-").replace("≈ ", ""))


def lies_on_a_line(values, places) -> None:
    """Check that places are an affine map of values, within the hundredth that is written."""
    slope, offset = np.polyfit(values, places, 1)
    np.testing.assert_allclose(np.multiply(values, slope) + offset, places, atol=0.02)


@pytest.mark.parametrize("most", [4, 5])
def test_ticks_are_few_round_and_evenly_spaced(most):
    rng = np.random.default_rng(0)
    for low, width in zip(rng.normal(0, 50, 300), 10 ** rng.uniform(-4, 2, 300), strict=True):
        ticks = Scale(low, low + width, 0, 1).ticks(most)
        assert 2 <= len(ticks) <= most + 1 and low <= min(ticks) + 1e-9 and max(ticks) <= low + width + 1e-9
        (step,) = {round(float(step), 12) for step in np.diff(ticks)}
        assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in (1, 2, 2.5, 5)


def test_curves_show_the_tables_scores_at_their_dimensions(part):
    tables, costs = part.of("mrl")[:2], {table.model: table for table in part.of("mrl_cost")}
    drawn = curves(tables, [costs[table.model] for table in tables], words("en"))
    assert list(drawn) == list(tables[0].columns)
    for at, column in enumerate(tables[0].columns):
        dots = read(drawn[column], "circle")
        x, y = (np.array([float(dot.get(name)) for dot in dots]) for name in ("cx", "cy"))
        octaves, scores, lost = [], [], []
        for table in tables:  # a setting's scores, then its differences; the widest's difference is 0
            octaves += 2 * [math.log2(int(row.name)) for row in table.rows]
            scores += [row.cells[at].value for row in table.rows]
            lost += [*(row.cells[at].value for row in costs[table.model].rows), 0.0]
        lies_on_a_line(octaves, x)
        count = len(tables[0].rows)
        above = np.tile(np.repeat([True, False], count), len(tables))
        labels = [(number(t.text), float(t.get("y"))) for t in read(drawn[column], "text") if "end" in t.get("style")]
        split = (max(y[above]) + min(y[~above])) / 2
        top = [(value, place) for value, place in labels if place < split]
        bottom = [(value, place) for value, place in labels if place > split]
        lies_on_a_line([*scores, *(v for v, _ in top)], [*y[above], *(p for _, p in top)])
        lies_on_a_line([*lost, *(v for v, _ in bottom)], [*y[~above], *(p for _, p in bottom)])


def test_a_forest_has_a_line_for_each_task_with_its_interval_and_figure():
    cells = {
        "a": Cell(1.5, (0.5, 2.5)),
        '<b> & "c"\'': Cell(-3.0, (-4.0, -2.0)),
        "d": Cell(0.1, (-1.0, 1.2), unsure=True),
    }
    rows = tuple(TableRow(name, (Cell(0.0), Cell(0.0), cell), "STS") for name, cell in cells.items())
    table = Table(miniature(), "token_prepending_tasks", "task", ("TP off", "TP on", "difference"), rows)
    drawn = forest(table, [("STS", Cell(-0.47))], words("en"))
    assert list(drawn) == ["STS"]
    texts = read(drawn["STS"], "text")
    *labels, mean = [text.text for text in texts if text.get("x") == "134.00"]
    assert labels == sorted(cells, key=lambda name: -cells[name].value)
    ticks = [text for text in texts if "middle" in text.get("style")]
    dots = {name: float(dot.get("cx")) for name, dot in zip(labels, read(drawn["STS"], "circle"), strict=True)}
    lies_on_a_line(
        [*(cells[name].value for name in dots), *(number(tick.text) for tick in ticks)],
        [*dots.values(), *(float(tick.get("x")) for tick in ticks)],
    )
    assert [text.text for text in texts if text.get("x") == "340.00"] == [
        *("+1.50", "≈ +0.10", "\N{MINUS SIGN}3.00"),
        "\N{MINUS SIGN}0.47",
    ]
    assert mean == "mean"
