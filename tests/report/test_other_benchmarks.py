"""Benchmarks beside CMTEB: plain mteb's results of one are reported, ranked and compared like a run's."""

import json
import re
from pathlib import Path

import pytest

from qzhou_eval import cli, load_results
from qzhou_eval.benchmark.find import find_benchmark
from qzhou_eval.benchmark.published import scores_of

NAME, MODEL = "MTEB(fra, v1)", "intfloat/multilingual-e5-base"
SUMMARY = json.loads((Path(__file__).parent / "mteb_summaries.json").read_text("utf-8"))[NAME]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A published model's scores as mteb files them, with a subset that does not count in every file."""
    folder = tmp_path_factory.mktemp("plain")
    one = scores_of(find_benchmark(NAME))[MODEL]
    place = folder / "results" / MODEL.replace("/", "__") / str(one.revision)
    place.mkdir(parents=True)
    for task in find_benchmark(NAME).tasks:
        scores: dict[str, list[dict]] = {}
        for split in task.splits:
            subsets = task.subsets or ("default",)
            rows = [{"hf_subset": s, "main_score": one.scores[task.name][task.part(split, s)]} for s in subsets]
            scores[split] = [{"hf_subset": "elsewhere", "main_score": 0.0}] * bool(task.subsets) + rows
        content = {"task_name": task.name, "mteb_version": "2.26.24", "dataset_revision": "1", "scores": scores}
        (place / f"{task.name}.json").write_text(json.dumps(content))
    return folder


def test_the_report_has_mtebs_means_and_rank(plain, capsys):
    assert cli.main(["report", str(plain), "--benchmark", NAME]) == 0
    out = capsys.readouterr().out
    theirs = next(row for row in SUMMARY if row["Model"] == MODEL)
    row = next(line for line in out.splitlines() if line.startswith(f"{MODEL} (from plain mteb)"))
    shown = [float(cell) for cell in re.findall(r"\d+\.\d\d", row)]
    kinds = sorted(set(theirs) - {"Model", "Rank (Borda)", "Mean (Task)", "Mean (TaskType)"})
    expected = [100 * theirs[kind] for kind in (*kinds, "Mean (Task)", "Mean (TaskType)")]
    assert shown == pytest.approx(expected, abs=0.0051)
    assert f"{theirs['Rank (Borda)']} of 14" in out
    assert f"Leaderboard on {NAME}" in out
    assert (plain / "report/MTEB_fra_v1_placement.csv").is_file()
    assert "Score profile" not in (plain / "report/report.html").read_text("utf-8")  # both count these tasks alike


def test_its_own_published_scores_are_its_own(plain, capsys):
    code = cli.main(["compare", str(plain), "--benchmark", NAME, "--to", f"published:{MODEL}"])
    out = capsys.readouterr().out
    assert code == 0, out
    assert "0 OFF" in out and " 34 OK" in out  # 25 tasks, seven types and two means


def test_a_frame_names_the_subsets_that_count(plain):
    frame = load_results(plain, benchmark=NAME)
    assert len(frame["task"].unique()) == 25
    assert set(frame[frame["task"] == "XPQARetrieval"]["split"]) == {"test/fra-fra", "test/eng-fra", "test/fra-eng"}


def test_without_the_benchmarks_name_they_are_no_tasks_of_cmteb(plain, capsys):
    assert cli.main(["report", str(plain)]) == cli.EXIT_BAD_INPUT
    assert "not a task of the benchmarks that are read; --benchmark names another" in capsys.readouterr().err
