"""``compare`` against published scores and the card's tables."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from comparing import BAD, CARD, NAME, PUBLISHED, compared, differing, write_run

from qzhou_eval import cli
from qzhou_eval.benchmark.averages import column_names
from qzhou_eval.benchmark.packaged import cmteb, miniature, packaged_tasks
from qzhou_eval.checks.compare.differences import find_differences
from qzhou_eval.checks.compare.rows import ComparedScore, column_tolerance, mean_rows, side_row
from qzhou_eval.checks.compare.sides import Side, TaskSide, from_folder, from_published
from qzhou_eval.checks.tolerance import TOLERANCE
from qzhou_eval.errors import EXIT_CHECK_FAILED
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.system.paths import data_folder

PROFILE = load_profile("qzhou-zh")

WEIGHTS = {"Classification": 6, "Clustering": 4, "PairClassification": 2, "Reranking": 4, "Retrieval": 8, "STS": 7}


@pytest.fixture(scope="module")
def faithful(finished, tmp_path_factory):
    """A replication exact to the last digit at full width, and the same scores labelled as those of 1024."""
    folder = tmp_path_factory.mktemp("faithful")
    write_run(folder, finished, 1792)
    return write_run(folder, finished, 1024)


def card_lines(out: str) -> dict[str, list[str]]:
    lines = [line for line in out.splitlines() if line.startswith("table ")]
    found = {line.split("  ")[0]: line.split() for line in lines}
    assert len(found) == len(lines)
    return found


def test_a_faithful_run_and_the_cards_tables(faithful, capsys):
    code, out, err = compared(capsys, faithful)
    assert err == ""
    assert differing(out) == {"model revision"}  # a folder's digest is not the hub's commit
    for name in PROFILE.tasks:
        (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
        assert line.split()[-1] == "OK" and "  the same  " in line  # data
    tables = card_lines(out)
    assert tables.keys() == {"table 1, QZhou-Embedding-Zh", "table 2, TP", "table 3, 1792", "table 3, 1024"}
    for row, cells in tables.items():
        assert cells[-1] == ("OFF" if row == "table 3, 1024" else "OK"), row
    ours, theirs = CARD["table_1"]["rows"][NAME], CARD["table_3"]["rows"]["1024"]
    follows = sum(n * theirs[CARD["columns"].index(kind)] for kind, n in WEIGHTS.items()) / 31  # not as printed: below
    theirs = [*theirs[:6], follows, theirs[7]]
    by_hand = [round(one - two, 2) for one, two in zip(ours, theirs, strict=True)]
    found = [float(cell.rstrip("~!")) for cell in tables["table 3, 1024"] if cell[0] in "+-"]
    assert found == pytest.approx(by_hand, abs=0.011)
    assert code == EXIT_CHECK_FAILED


def test_scores_of_the_card_reproduce_its_table_within_rounding():
    """Average the published task scores and compare with the card's table 1: at most half of the last digit apart."""
    theirs = dict(zip(CARD["columns"], CARD["table_1"]["rows"][NAME], strict=True))
    rows = mean_rows(side_row(from_published(None, NAME, cmteb(), "card"), cmteb()), theirs, cmteb())
    assert [row.name for row in rows] == list(column_names(cmteb()))
    assert max(abs(row.difference) for row in rows) <= 0.005 + 1e-9


def test_one_task_that_is_off_is_named_and_fails(finished, tmp_path, capsys):
    code, out, _ = compared(capsys, write_run(tmp_path, finished, 1792, shift={"T2Retrieval": -0.005}))
    assert code == EXIT_CHECK_FAILED
    off = {line.split()[0] for line in out.splitlines() if line.rstrip().endswith("OFF") and "verdict" not in line}
    assert off == {"T2Retrieval"}


def test_tp_off_beside_a_faithful_run_does_not_hide_it(finished, tmp_path, capsys):
    write_run(tmp_path, finished, 1792)
    write_run(tmp_path, finished, 1792, token_prepending=None)
    code, out, err = compared(capsys, tmp_path)
    assert (code, err) == (0, "")
    assert "not compared at dim 1792: token prepending" in out
    assert card_lines(out).keys() == {"table 1, QZhou-Embedding-Zh", "table 2, TP", "table 3, 1792"}
    code, out, err = compared(capsys, tmp_path, "--allow-mismatch")
    assert (code, err) == (0, "")
    assert card_lines(out)["table 2, Original"][-1] == "*"
    assert "the card's Original is another training" in out


def test_unlike_results_reach_the_cards_tables_only_marked(finished, tmp_path, capsys):
    write_run(tmp_path, finished, 1792)
    write_run(tmp_path, finished, 1024, data="local-0")
    write_run(tmp_path, finished, 512, max_length=512)
    _, out, _ = compared(capsys, tmp_path)
    assert card_lines(out).keys() == {"table 1, QZhou-Embedding-Zh", "table 2, TP", "table 3, 1792"}
    code, out, _ = compared(capsys, tmp_path, "--allow-mismatch")
    assert code == 0  # marked rows do not count
    marked = {row: cells[-1] == "*" for row, cells in card_lines(out).items()}
    assert marked["table 3, 1024"] and marked["table 3, 512"]
    assert not marked["table 3, 1792"]


def test_local_data_never_pass_for_the_hubs(finished, tmp_path, capsys):
    write_run(tmp_path, finished, 1792, data="local-0")
    code, out, err = compared(capsys, tmp_path)
    assert code == BAD and "not comparable: data" in err
    assert "data" in differing(out)
    assert not card_lines(out)


@pytest.mark.parametrize("model", ["Qwen3-Embedding-8B", "Conan-embedding-v1"])
def test_another_model_is_set_against_ours_and_the_data_are_a_note(finished, tmp_path, capsys, model):
    write_run(tmp_path, finished, 1792, data="local-0", shift={"T2Retrieval": -0.3})
    code, out, err = compared(capsys, tmp_path, "--to", f"published:{model}")
    assert (code, err) == (0, "")
    assert differing(out) >= {"model", "data"} and "not proven to be the same data" in out
    assert "OFF" not in out and "verdict" not in out and not card_lines(out)
    assert "so there are no intervals" in out and "significant" not in out  # the scores are written without items
    other = from_published(None, model, cmteb(), "card")
    for name, task in other.tasks.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ") and "local-" not in line]
        ours = 100 * (PUBLISHED[name]["validation" if name == "MultilingualSentiment" else counted(name)])
        ours -= 30 * (name == "T2Retrieval")
        shown = [float(cell) for cell in line.split()[1:4]]
        assert shown == pytest.approx([ours, task.score, ours - task.score], abs=0.0051), name


def counted(name: str) -> str:
    (split,) = packaged_tasks()[name].splits
    return split


def test_tasks_that_do_not_compare_hide_no_others(finished, tmp_path, capsys):
    """Data sets fetched at other commits than the published run's are named; the rest is judged."""
    moved = ("STSB", "T2Retrieval", "PAWSX")
    write_run(tmp_path, finished, 1792, data=dict.fromkeys(moved, "local-0"), shift={"Ocnli": -0.02, "STSB": -0.1})
    code, out, err = compared(capsys, tmp_path)
    assert (code, err) == (EXIT_CHECK_FAILED, "")
    (line,) = [line for line in out.splitlines() if line.startswith("not compared")]
    assert line.startswith("not compared at dim 1792: data (") and all(name in line for name in moved)
    means = [line.split()[1] for line in out.splitlines() if line.startswith("mean:")]
    assert means == ["Classification", "Clustering", "PairClassification", "Reranking"]  # a mean needs all of its tasks
    assert "verdict: 30 OK, 0 CLOSE, 2 OFF" in out  # 28 tasks and four means; Ocnli is half of its type
    assert not card_lines(out)


@pytest.mark.parametrize("dim", [128, 512, 1280])
def test_type_means_of_the_cards_table_are_a_replication(finished, tmp_path, capsys, dim):
    """Below 1792 the card's Mean(Task) does not follow from its own type means; the mean that does follow is judged."""
    theirs = dict(zip(CARD["columns"], CARD["table_3"]["rows"][str(dim)], strict=True))
    full = dict(zip(CARD["columns"], CARD["table_3"]["rows"]["1792"], strict=True))
    shift = {
        task: (theirs[packaged_tasks()[task].type] - full[packaged_tasks()[task].type]) / 100 for task in PUBLISHED
    }
    write_run(tmp_path, finished, 1792)
    write_run(tmp_path, finished, dim, shift=shift)
    code, out, err = compared(capsys, tmp_path)
    assert (code, err) == (0, "")
    assert card_lines(out)[f"table 3, {dim}"][-1] == "OK"
    follows = sum(n * theirs[kind] for kind, n in WEIGHTS.items()) / 31
    (line,) = [line for line in out.splitlines() if line.startswith(f"Mean(Task) of table 3, {dim} ")]
    assert f"compared with {follows:.2f}, " in line and f"prints {theirs['Mean(Task)']:.2f}" in line


def test_by_how_much_the_cards_mean_misses_its_own_type_means():
    """Computed by hand from the card's two-decimal type means; docs/fidelity.md has the same figures."""
    missing = {}
    for row, values in (CARD["table_3"]["rows"] | {"Original": CARD["table_2"]["rows"]["Original"]}).items():
        of = dict(zip(CARD["columns"], values, strict=True))
        missing[row] = round(of["Mean(Task)"] - sum(n * of[kind] for kind, n in WEIGHTS.items()) / 31, 2)
        assert of["Mean(TaskType)"] == pytest.approx(sum(of[kind] for kind in WEIGHTS) / 6, abs=0.0101)
    expected = {"128": -0.31, "256": -0.13, "512": -0.18, "768": -0.13, "1024": -0.18, "1280": -0.24, "1536": -0.19}
    assert missing == expected | {"1792": 0.0, "Original": -0.21}
    document = (data_folder("docs") / "fidelity.md").read_text("utf-8")
    assert all(f"| {row} |" in document and f"{value:+.2f}" in document for row, value in expected.items())


def test_the_report_gives_the_verdict_of_compare(faithful, tmp_path, capsys):
    _, out, _ = compared(capsys, faithful)
    counts = [int(n) for n in re.search(r"verdict: (\d+) OK, (\d+) CLOSE, (\d+) OFF", out).groups()]
    assert counts[2]  # the scores of 1792 are not those of 1024
    copy = shutil.copytree(faithful, tmp_path / "copy")
    assert cli.main(["report", str(copy)]) == 0
    ok, close, off = counts
    said = f"Of {sum(counts)} scores and means, {ok} are within the tolerance (OK), {close} within three times the"
    assert f"{said} tolerance (CLOSE), {off} beyond (OFF)" in (copy / "report/report.md").read_text("utf-8")


def test_another_models_scores_bring_no_table_of_the_cards(faithful, capsys):
    _, out, _ = compared(capsys, faithful, "--to", "published:Qwen3-Embedding-8B")
    assert "model" in differing(out)
    assert not card_lines(out)


def test_the_cards_tables_are_counted_the_cards_way(faithful, capsys):
    _, out, _ = compared(capsys, faithful, "--score_profile", "mteb2")
    assert not card_lines(out)


def test_a_model_without_published_scores_does_not_hide_another(finished, tmp_path, capsys):
    write_run(tmp_path, finished, 1792)
    write_run(tmp_path, finished, 1792, name="unpublished")
    code, out, err = compared(capsys, tmp_path)
    assert (code, err) == (0, "")
    assert "not compared: unpublished, dim 1792: --to published: no scores for unpublished" in out


def test_a_hub_fork_of_the_same_last_name_is_another_model(faithful):
    ours = from_folder(faithful, "card")[0]
    theirs = from_published(None, NAME, cmteb(), "card")
    assert "model" not in {d.fact for d in find_differences(ours, theirs)}
    assert "model" in {d.fact for d in find_differences(replace(ours, model=f"someone/{NAME}"), theirs)}


def current(side: Side) -> Side:
    """The same run under the current mteb: its data revisions and metrics."""
    tasks = {
        name: TaskSide(task, one.score, one.facts | {"mteb": "2.26.24", "data": task.revision, "metric": task.metric})
        for name, one in side.tasks.items()
        for task in [packaged_tasks()[name]]
    }
    return replace(side, tasks=tasks)


def test_the_current_mtebs_way_is_stated_and_comparable(faithful):
    """Re-uploads at other revisions and map_at_1000 are named with their tasks; the scores are still compared."""
    ours = current(from_folder(faithful, "card")[0])
    found = [
        d for d in find_differences(ours, from_published(None, NAME, cmteb(), "card")) if d.fact != "model revision"
    ]
    assert {d.fact for d in found} == {"mteb", "data", "metric"}
    assert all(d.comparable for d in found)
    assert sum(len(d.tasks) for d in found if d.fact == "data") == 14
    assert {task for d in found if d.fact == "metric" for task in d.tasks} == {
        name for name, task in cmteb().by_name.items() if task.type == "Reranking"
    }


@pytest.mark.parametrize(
    ("difference", "verdict"), [(0.0, "OK"), (0.1, "OK"), (-0.1, "OK"), (0.11, "CLOSE"), (-0.3, "CLOSE"), (0.31, "OFF")]
)
def test_verdicts_worked_out_by_hand(difference, verdict):
    assert ComparedScore("STSB", 50 + difference, 50, TOLERANCE["STS"]).verdict == verdict


def test_a_missing_score_has_no_verdict():
    assert ComparedScore("STSB", None, 50, 0.1).verdict is None


def test_a_means_tolerance_follows_from_its_tasks():
    assert column_tolerance("STS", cmteb()) == pytest.approx(0.1 / 7**0.5 + 0.01)
    assert column_tolerance("STS", miniature()) == pytest.approx(0.1 + 0.01)
    assert column_tolerance("Clustering", cmteb()) == pytest.approx(1 / 4**0.5 + 0.01)
    variance = 6 * 0.3**2 + 4 * 1.0**2 + (2 + 4 + 8 + 7) * 0.1**2
    assert column_tolerance("Mean(Task)", cmteb()) == pytest.approx(variance**0.5 / 31 + 0.01)


def test_a_file_in_the_published_form_is_another_side(finished, tmp_path, capsys):
    wide = next(side for side in from_folder(finished, "card") if side.dim == side.width)
    scores = {name: {"test": one.score / 100, "dev": one.score / 100} for name, one in wide.tasks.items()}
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"models": [{"model": "org/other", "revision": "1", "scores": scores}]}))
    copy = shutil.copytree(finished, tmp_path / "copy")
    code, out, _ = compared(capsys, copy, "--to", path)
    assert code == 0
    assert differing(out) == {"model"}
    assert "verdict" not in out and "of 2 tasks 0 significantly better, 0 worse, 2 not significant\n" in out
    assert " data," in out.split("unknown for ")[1].splitlines()[0]
