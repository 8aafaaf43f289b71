"""The report of a part of the tasks: means of the tasks that were run, labelled so, and never over different ones."""

import csv
import json
import re

import numpy as np
import pytest
from reporting import DIMS, ITEMS, MINI, PROVENANCE, Page, values_of, write_results
from stored import WIDTH

from qzhou_eval import cli
from qzhou_eval.report.content.build import contents
from qzhou_eval.report.formats.language import LANGUAGES, words

TWO = ["Ocnli", "STSB"]


def part_of(folder):
    (found,) = contents([folder], "card").parts
    return found


def headings(table) -> list[str]:
    return list(map(words("en").column, table.columns))


def by_row(table) -> dict:
    said = words("en")
    return {said.render(row.name): dict(zip(headings(table), row.cells, strict=True)) for row in table.rows}


def sentences(part) -> dict[str, str]:
    """The text of each finding, in English."""
    said = words("en")
    return {
        one.key: " | ".join(said.render(text) for text in (one.figure, one.under, *one.text) if text)
        for one in part.findings
    }


def points(task: str, dim: int = WIDTH, *, tp: bool = True) -> np.ndarray:
    return 100 * values_of(task, dim, tp=tp)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return write_results(tmp_path_factory.mktemp("two"), tasks=TWO)


def test_two_tasks_have_their_mean_its_interval_and_their_scores(two):
    part = part_of(two)
    (table,) = part.of("leaderboard")
    assert headings(table) == ["Ocnli", "STSB", "mean of 2 tasks"]
    row = by_row(table)["test/stored"]
    assert row["STSB"].value == pytest.approx(points("STSB").mean(), abs=1e-3)
    mean = row["mean of 2 tasks"]
    assert mean.value == pytest.approx(np.mean([points(task).mean() for task in TWO]), abs=1e-3)
    error = np.sqrt(sum(points(task).var(ddof=1) / ITEMS for task in TWO)) / 2
    low, high = mean.bounds
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.08)
    said = sentences(part)["quality"]
    assert said.startswith(f"{mean.value:.2f} | mean of 2 tasks, {low:.2f} to {high:.2f} | ")
    assert re.search(r"2 of 31 tasks run: Ocnli 5\d\.\d\d \([\d.]+ to [\d.]+\), STSB 5\d\.\d\d \(.*\)\. \| ", said)
    assert said.endswith("The CMTEB mean needs all 31.")
    assert "Mean(" not in said and "published" not in sentences(part)


def test_what_dimensions_cost_and_prepending_gains_is_said_of_two_tasks_with_intervals(two):
    said = sentences(part_of(two))
    assert said["dimensions"].startswith("-5.00 | points at 4 of 24 dimensions (mean of 2 tasks), -5.00 to -5.00 | ")
    assert "does not differ significantly from 24: 8 (" in said["dimensions"]
    assert said["token_prepending"] == (
        "+2.00 | points (mean of 2 tasks), +2.00 to +2.00 | Yes, overall. | "
        "Significantly better on 2 tasks, worse on 0; not significant on 0."
    )
    (mrl, _), (cost, _) = (part_of(two).of(key) for key in ("mrl", "mrl_cost"))
    assert by_row(mrl).keys() == {str(dim) for dim in DIMS}
    assert by_row(cost)["4"]["mean of 2 tasks"].value == pytest.approx(-5, abs=1e-3)


def test_of_one_task_as_much_is_said(tmp_path):
    part = part_of(write_results(tmp_path, tasks=["STSB"]))
    assert headings(part.of("leaderboard")[0]) == ["STSB"]
    said = sentences(part)
    assert re.fullmatch(
        r"5\d\.\d\d \| STSB, [\d.]+ to [\d.]+ \| 1 of 31 tasks run\. \| The CMTEB mean needs all 31\.", said["quality"]
    )
    assert said["dimensions"].startswith("-5.00 | points at 4 of 24 dimensions (STSB), -5.00 to -5.00")
    assert said["token_prepending"] == "+2.00 | points (STSB), +2.00 to +2.00 | Yes, overall."


def test_a_type_without_all_its_tasks_is_called_so(tmp_path):
    clustering = ["CLSClusteringP2P", "CLSClusteringS2S", "ThuNewsClusteringP2P", "ThuNewsClusteringS2S"]
    part = part_of(write_results(tmp_path, tasks=[*clustering, "Ocnli", "ATEC", "STSB"]))
    (table,) = part.of("leaderboard")
    assert headings(table) == ["Clustering", "Ocnli", "STS (2 of 7)", "mean of 7 tasks"]
    row = by_row(table)["test/stored"]
    assert row["STS (2 of 7)"].value == pytest.approx(np.mean([points(t).mean() for t in ("ATEC", "STSB")]), abs=1e-3)
    assert row["Clustering"].value == pytest.approx(np.mean([points(t).mean() for t in clustering]), abs=1e-3)
    assert sentences(part)["quality"].split(" | ")[2] == "7 of 31 tasks run."  # each of them is in the table of tasks
    (tasks, _) = part.of("tasks")
    assert tasks.on_screen and len(tasks.rows) == 7


def test_one_type_alone_has_no_second_column_of_the_same(tmp_path):
    part = part_of(write_results(tmp_path, tasks=["ATEC", "STSB"]))
    assert headings(part.of("leaderboard")[0]) == ["STS (2 of 7)"]
    assert "STS (2 of 7), " in sentences(part)["quality"]


def test_settings_with_other_tasks_are_averaged_over_those_they_share(tmp_path):
    """Both have Ocnli and STSB; one also has ATEC, the other AFQMC."""
    write_results(tmp_path, tasks=["ATEC", *TWO], tps=[True])
    write_results(tmp_path, tasks=["AFQMC", *TWO], tps=[False])
    part = part_of(tmp_path)
    (table,) = part.of("leaderboard")
    assert headings(table) == ["Ocnli", "STSB", "mean of 2 tasks"]
    for name, tp in (("test/stored", True), ("test/stored (TP off)", False)):
        by_hand = np.mean([points(task, tp=tp).mean() for task in TWO])
        assert by_row(table)[name]["mean of 2 tasks"].value == pytest.approx(by_hand, abs=1e-3)
    assert "note.part_common" in {note.key for note in table.notes}
    (gain,) = part.of("token_prepending")
    assert by_row(gain)["TP on layers 1-7 minus off"]["mean of 2 tasks"].value == pytest.approx(2, abs=1e-3)
    assert "mean of 3 tasks" in sentences(part)["quality"]  # the headline is of one setting and names its tasks
    assert "mean of 2 tasks" in sentences(part)["token_prepending"]


def test_a_whole_run_keeps_its_means_beside_one_of_two_tasks(tmp_path):
    write_results(tmp_path, tps=[True])
    write_results(tmp_path, tasks=MINI[-2:], tps=[False])
    part = part_of(tmp_path)
    whole, common = part.of("leaderboard")
    assert by_row(whole).keys() == {"test/stored"} and headings(whole)[-2:] == ["Mean(Task)", "Mean(TaskType)"]
    assert "Left out, because results for some of these tasks are missing: test/stored (TP off)." in [
        words("en").render(note) for note in whole.notes
    ]
    assert by_row(common).keys() == {"test/stored", "test/stored (TP off)"}
    assert headings(common) == ["Retrieval", "STS", "mean of 2 tasks"]


def test_settings_without_a_task_in_common_stand_in_no_table_together(tmp_path):
    write_results(tmp_path, tasks=["Ocnli"], tps=[True])
    write_results(tmp_path, tasks=["STSB"], tps=[False])
    part = part_of(tmp_path)
    assert [list(by_row(table)) for table in part.of("leaderboard")] == [["test/stored"], ["test/stored (TP off)"]]
    assert "token_prepending" not in sentences(part) and part.of("token_prepending") == []


def test_a_dimension_with_few_tasks_is_left_out_of_the_curve_by_name(tmp_path):
    write_results(tmp_path, dims=DIMS[1:], tps=[True])
    write_results(tmp_path, dims=DIMS[:1], tps=[True], tasks=MINI[:1])
    part = part_of(tmp_path)
    (mrl,) = part.of("mrl")
    assert by_row(mrl).keys() == {"8", "24"} and "Mean(Task)" in headings(mrl)
    assert words("en").render(mrl.notes[0]).endswith("these tasks are missing: 4.")
    assert "points at 8 of 24 dimensions, " in sentences(part)["dimensions"]


def test_curves_of_settings_with_other_tasks_are_not_drawn_over_each_other(tmp_path):
    write_results(tmp_path, tasks=TWO, tps=[True])
    write_results(tmp_path, tasks=TWO[:1], tps=[False])
    page = report(tmp_path)["report.html"]
    assert re.findall(r'<i class="s\d"></i>([^<]*)', page) == ["test/stored"]


def report(folder, *more) -> dict[str, str]:
    """Make the report and return its files by name."""
    assert cli.main(["report", str(folder), *more]) == 0
    return {path.name: path.read_text("utf-8") for path in (folder / "report").iterdir()}


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("tasks", [["STSB"], TWO, ["ATEC", *TWO, "AFQMC", "T2Reranking"], MINI[:1], MINI[:2], MINI[:5]])
def test_there_is_no_dash_and_no_hole_in_any_format(tmp_path, capsys, tasks, lang):
    found = report(write_results(tmp_path, tasks=tasks), "--lang", lang)
    screen = capsys.readouterr().out
    assert not re.search(r"(?<=  )-(?=  |$)", screen, re.MULTILINE)
    assert not re.search(r"\| *-? *\|", found["report.md"])
    assert not re.search(r"& *-? *(&|\\\\)", re.sub(r"^ & .*", "", found["report.tex"], flags=re.MULTILINE))
    for caption, rows in Page(found["report.html"]).tables:
        assert not {"", "-"} & {cell for row in rows[1:] for cell in row}, caption
    for name in found.keys() - {"report.md", "report.tex", "report.html"}:
        for row in csv.DictReader(found[name].splitlines()):
            assert all(row[key] for key in row.keys() - {"data revision", "setting"}), name
    text = "".join((screen, *found.values()))
    assert "Mean(Task)" not in text and "任务均值" not in text


def test_scores_on_no_split_that_counts_are_one_line(tmp_path, capsys):
    """MultilingualSentiment with one of the two splits that mteb2 counts, as plain mteb may write it."""
    file = tmp_path / "MultilingualSentiment.json"
    rows = [{"hf_subset": "default", "languages": ["cmn-Hans"], "accuracy": 0.7, "main_score": 0.7}]
    about = {"task_name": file.stem, "mteb_version": "2.26.24", "dataset_revision": "1"}
    file.write_text(json.dumps(about | {"scores": {"validation": rows}, "evaluation_time": 1.0, "kg_co2_emissions": 0}))
    assert cli.main(["report", str(file)]) == 0
    assert cli.main(["report", str(file), "--score_profile", "mteb2"]) == 2
    assert "no score on the splits that --score_profile mteb2 counts" in capsys.readouterr().err


def labels_of(folder) -> list[str]:
    (table,) = part_of(folder).of("leaderboard")
    return sorted(by_row(table))


def test_the_precision_is_in_labels_only_where_two_stand_side_by_side(tmp_path):
    write_results(tmp_path, tps=[True], apart=(("dtype", "float32"),))
    assert labels_of(tmp_path) == ["test/stored"]
    write_results(tmp_path, tps=[True])
    assert labels_of(tmp_path) == ["test/stored", "test/stored (dtype float32)"]


def test_the_digest_of_a_changed_profile_is_in_labels_only_where_two_share_their_name(tmp_path):
    write_results(tmp_path, tps=[True], apart=(("profile", "mine-0a1b2c3d"),))
    assert labels_of(tmp_path) == ["test/stored (profile mine)"]
    write_results(tmp_path, tps=[True], apart=(("profile", "mine-4e5f6a7b"),))
    assert labels_of(tmp_path) == ["test/stored (profile mine-0a1b2c3d)", "test/stored (profile mine-4e5f6a7b)"]


def test_two_models_of_one_name_are_told_apart_by_the_start_of_their_revisions(tmp_path):
    write_results(tmp_path, tps=[True], revision="1" * 40)
    write_results(tmp_path, tps=[True], revision="2" * 40)
    assert labels_of(tmp_path) == [f"test/stored @ {digit * 14}" for digit in "12"]


@pytest.mark.parametrize(("tasks", "said"), [(TWO, True), (["STSB", "ATEC"], False)])
def test_max_accuracy_is_explained_where_it_is_the_score(tmp_path, tasks, said):
    (table,) = part_of(write_results(tmp_path, tasks=tasks)).of("leaderboard")
    assert ("note.max_accuracy" in {note.key for note in table.notes}) == said


def test_dimensions_above_the_hidden_size_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(PROVENANCE["model"], "hidden_size", 8)
    part = part_of(write_results(tmp_path, tps=[True]))
    (mrl,) = part.of("mrl")
    said = "The decoder's hidden size is 8: dimensions above it (24) carry no additional information."
    assert said in [words("en").render(note) for note in mrl.notes]
