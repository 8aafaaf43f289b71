"""The report's tables: which rows share the best, which differences are marked, and how wide intervals are."""

import numpy as np
import pytest
from reporting import DIMS, ITEMS, MINI, values_of, write_results
from stored import WIDTH

from qzhou_eval.benchmark.averages import column_names
from qzhou_eval.benchmark.packaged import cmteb, miniature
from qzhou_eval.report.content import summary
from qzhou_eval.report.content.build import contents
from qzhou_eval.report.content.estimates import Estimate, best_group, scored
from qzhou_eval.report.content.mean_tables import leaderboards, token_prepending_pairs
from qzhou_eval.results.task_scores import read_scores


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    (found,) = contents([write_results(tmp_path_factory.mktemp("report"))], "card").parts
    return found


def by_row(table) -> dict:
    return {str(row.name): dict(zip(table.columns, row.cells, strict=True)) for row in table.rows}


def test_values_are_the_items_means(part):
    (mrl, *_), names = part.of("mrl"), {"Retrieval": "MiniRetrieval", "STS": "MiniSTS"}
    for dim in DIMS:
        row = by_row(mrl)[str(dim)]
        for column, task in names.items():
            assert row[column].value == pytest.approx(100 * values_of(task, dim, tp=True).mean(), abs=1e-3)
        by_hand = np.mean([100 * values_of(task, dim, tp=True).mean() for task in MINI])
        assert row["Mean(Task)"].value == pytest.approx(by_hand, abs=1e-3)


def test_the_best_group_is_every_row_that_the_items_cannot_tell_from_the_best(part):
    """Dimension 8 gains as much as it loses against full width, except for 0.1 points; 4 loses on every item."""
    for table in part.of("mrl"):
        for column in column_names(cmteb()):
            assert [by_row(table)[str(dim)][column].best for dim in DIMS] == [False, True, True]


def test_the_cost_of_a_dimension_is_marked_where_it_cannot_be_told_from_nothing(part):
    for table in part.of("mrl_cost"):
        assert by_row(table).keys() == {"4", "8"}
        for column in column_names(cmteb()):
            sure, unsure = by_row(table)["4"][column], by_row(table)["8"][column]
            assert (sure.value, *sure.bounds) == pytest.approx((-5, -5, -5), abs=1e-3)  # the same on every item
            assert not sure.unsure
            assert unsure.unsure and unsure.bounds[0] < 0 < unsure.bounds[1]
            assert unsure.value == pytest.approx(-0.1, abs=1e-3)


def test_intervals_are_as_wide_as_the_normal_ones_of_the_same_means(part):
    """A mean of n values: 1.96 standard errors to each side; the mean of six tasks: their errors added in squares."""
    errors = {t: 100 * values_of(t, WIDTH, tp=True).std(ddof=1) / np.sqrt(ITEMS) for t in MINI}
    row = by_row(part.of("mrl")[0])[str(WIDTH)]
    expected = {"Retrieval": errors["MiniRetrieval"], "Mean(Task)": np.sqrt(sum(e**2 for e in errors.values())) / 6}
    for column, error in expected.items():
        cell = row[column]
        low, high = cell.bounds
        assert cell.value - low == pytest.approx(1.96 * error, rel=0.08)
        assert high - cell.value == pytest.approx(1.96 * error, rel=0.08)


def test_token_prepending_gains_on_all_but_sts(part):
    (table,) = part.of("token_prepending")
    gain = dict(zip(table.columns, table.rows[-1].cells, strict=True))
    assert gain["STS"].value == 0 and gain["STS"].unsure
    assert gain["Retrieval"].value == pytest.approx(2, abs=1e-3) and not gain["Retrieval"].unsure
    assert gain["Mean(Task)"].value == pytest.approx(2 * 5 / 6, abs=1e-3)
    (found,) = [one for one in part.findings if one.key == "token_prepending"]
    assert dict(found.text[1].values) == {"better": 5, "worse": 0, "open": 1}
    assert found.text[0].key == "finding.tp_helps"


def test_the_headline_is_of_the_profiles_own_protocol(part):
    assert part.model == "test/stored"  # not the row without token prepending
    quality, published, dimensions, _ = part.findings
    assert quality.figure.values["value"] == pytest.approx(by_row(part.of("mrl")[0])[str(WIDTH)]["Mean(Task)"].value)
    assert published.text[0].values["text"] == miniature().note
    assert dimensions.under.values["dim"] == 4
    assert dimensions.text[0].values["dim"] == 8  # 4 costs 5 points for sure


def test_without_items_there_are_means_but_no_intervals_and_no_claims(tmp_path):
    (part,) = contents([write_results(tmp_path, items=False)], "card").parts
    assert not any(table.has_intervals for table in part.tables)
    assert not any(cell.unsure for table in part.tables for row in table.rows for cell in row.cells if cell.value)
    assert "note.no_items" in {note.key for table in part.of("leaderboard") for note in table.notes}
    keys = {text.key for one in part.findings for text in one.text}
    assert not keys & {"finding.tp_tasks", "finding.enough", "finding.all_cost"}


def test_settings_of_other_data_are_never_paired(tmp_path):
    """With as many items but other data, a difference has the interval of two independent runs."""
    write_results(tmp_path)
    scores = read_scores([tmp_path], "card")
    for score in scores:
        if score.setting.token_prepending is None:
            score.recorded.tasks[score.task]["record"]["data"] = "local-2"
    (scope,) = token_prepending_pairs(scored(scores, "card"), miniature()).values()
    off, on = scope.rows
    difference = on.of("MiniRetrieval") - off.of("MiniRetrieval")
    assert difference.draws.std() == pytest.approx(np.sqrt(2) * on.of("MiniRetrieval").draws.std(), rel=0.1)


PUBLISHED = {value: Estimate(value, published=True) for value in (70.0, 79.0, 80.0, 80.99, 81.0)}
RUN = Estimate(80.0, 80 + np.random.default_rng(1).standard_normal(2000))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([RUN, PUBLISHED[81.0], PUBLISHED[79.0]], [True, True, False]),  # 81 is best; the run reaches it, 79 does not
        ([RUN, PUBLISHED[79.0], PUBLISHED[70.0]], [True, True, False]),  # the run is best; its interval contains 79
        ([PUBLISHED[81.0], PUBLISHED[80.99]], [True, False]),  # published rows have no interval
        ([PUBLISHED[81.0], PUBLISHED[81.0]], [True, True]),
        ([RUN, Estimate(79.99)], [True, False]),  # a run without items: nothing can be said about it
        ([PUBLISHED[81.0], Estimate(80.99)], [True, False]),
        ([PUBLISHED[81.0]], [False]),
        ([Estimate(None), PUBLISHED[81.0], PUBLISHED[80.0]], [False, True, False]),
        ([Estimate(None)], [False]),
    ],
)
def test_best_groups_worked_out_by_hand(column, expected):
    assert best_group(column) == expected


def test_a_run_without_items_has_no_interval_of_a_difference():
    """The interval of the other side alone is not that of the difference."""
    for difference in (RUN - Estimate(79.0), Estimate(79.0) - RUN):
        assert difference.bounds is None and difference.sure is None


def test_the_headline_prefers_the_unchanged_setting_over_a_better_one(tmp_path):
    rows = scored(read_scores([write_results(tmp_path)], "card"), "card", resamples=100)
    main = summary.main_row(rows, miniature())
    assert (main.setting.token_prepending, main.dim) == ((1, 7), WIDTH)
    (table,) = leaderboards(rows, miniature())
    assert table.rows[0].name == "test/stored"
