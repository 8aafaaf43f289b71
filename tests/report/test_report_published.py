"""The report of CMTEB results: the verdict against published scores, and the rank among published models."""

import pytest
from comparing import CARD, NAME, write_run

from qzhou_eval import cli
from qzhou_eval.report.content.build import contents


def part_of(folder, profile="card"):
    (found,) = contents([folder], profile).parts
    return {one.key: one for one in found.findings}, found


@pytest.fixture(scope="module")
def faithful(finished, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("faithful"), finished, 1792)


def test_a_faithful_run_is_ok_and_stands_where_the_published_one_does(faithful):
    findings, part = part_of(faithful)
    card = dict(zip(CARD["columns"], CARD["table_1"]["rows"][NAME], strict=True))
    assert round(findings["quality"].figure.values["value"], 2) == card["Mean(Task)"]
    assert findings["published"].figure.values == {"text": "OK"}
    counted = 31 + 8 + 3 * 8  # tasks, means, and the same number of means in three rows of the card's tables
    assert findings["published"].text[0].values == {"OK": counted, "CLOSE": 0, "OFF": 0, "of": counted}
    assert (findings["placement"].figure.values["rank"], findings["placement"].tone) == (1, "")
    (table,) = part.of("placement")
    ours = [row for row in table.rows if row.ours]
    assert [row.cells[0].value for row in table.rows] == sorted(row.cells[0].value for row in table.rows)
    assert len(ours) == 1 and not ours[0].folded
    assert sum(not row.folded for row in table.rows) == 10  # a run in first place has its neighbours among the first
    assert f"Kingsoft-LLM/{NAME}" not in [row.name for row in table.rows]  # the run replaces it


def test_one_task_that_is_off_is_shown_and_not_folded(finished, tmp_path):
    findings, part = part_of(write_run(tmp_path, finished, 1792, shift={"T2Retrieval": -0.005}))
    assert (findings["published"].figure.values["text"], findings["published"].tone) == ("OFF", "bad")
    (table,) = part.of("published")
    assert [row.name for row in table.rows if not row.folded] == ["T2Retrieval", "Retrieval"]  # and its type's mean


def test_local_data_get_no_verdict_and_the_reason(finished, tmp_path):
    findings, part = part_of(write_run(tmp_path, finished, 1792, data="local-0"))
    assert findings["published"].figure.key == "finding.not_comparable"
    assert findings["published"].text[0].values == {"facts": "data"}
    assert part.of("published") == []


def test_a_model_that_nobody_published_has_a_place_but_no_verdict_and_no_strangers_above_it(finished, tmp_path):
    findings, part = part_of(write_run(tmp_path, finished, 1792, name="unpublished"))
    assert list(findings) == ["quality", "placement"]
    assert findings["placement"].figure.values["rank"] == 1
    (table,) = part.of("leaderboard")
    assert [row.name for row in table.rows] == ["unpublished"]  # published models are only in the placement's table


def test_a_run_among_many_is_shown_with_its_neighbours(finished, tmp_path):
    worse = {
        name: -0.12 for name in ("STSB", "AFQMC", "ATEC", "BQ", "LCQMC", "PAWSX", "QBQTC", "T2Retrieval", "IFlyTek")
    }
    worse |= {
        name: -0.15 for name in ("JDReview", "Waimai", "TNews", "OnlineShopping", "Ocnli", "Cmnli", "DuRetrieval")
    }
    worse |= {name: -0.2 for name in ("CmedqaRetrieval", "EcomRetrieval", "MedicalRetrieval", "VideoRetrieval")}
    findings, part = part_of(write_run(tmp_path, finished, 1792, shift=worse, name="another"))
    (table,) = part.of("placement")
    at = next(number for number, row in enumerate(table.rows) if row.ours)
    assert findings["placement"].figure.values["rank"] == table.rows[at].cells[0].value > 17
    assert [n for n, row in enumerate(table.rows) if not row.folded] == [*range(10), *range(at - 6, at + 7)]


def test_a_part_of_the_tasks_has_no_place(finished):
    findings, part = part_of(finished)
    assert "placement" not in findings and part.of("placement") == []
    assert {"have": 2, "of": 31}.items() <= findings["quality"].text[0].values.items()


def test_the_page_names_the_score_profile(faithful):
    for profile in ("card", "mteb2"):
        assert cli.main(["report", str(faithful), "--score_profile", profile]) == 0
        assert f"Score profile: {profile} " in (faithful / "report" / "report.html").read_text("utf-8")
