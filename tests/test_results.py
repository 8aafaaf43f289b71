"""The manifest: a result counts only as what it was noted for; two variants never share a folder's means."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import pytest
from test_mteb import WIDTH, variant

from qzhou_eval.errors import BadInput
from qzhou_eval.report.read import read_scores
from qzhou_eval.report.tables import leaderboard
from qzhou_eval.report.uncertainty import scored
from qzhou_eval.results import Manifest, record_for
from qzhou_eval.tasks import all_tasks

STS, RERANKING = all_tasks()["MiniSTS"], all_tasks()["MiniReranking"]


def put(output, one, task, score):
    """Write a result file and note it, as a finished evaluation does."""
    path = output / one.folder / f"{task.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"scores": {task.splits[0]: [{"main_score": score}]}}))
    Manifest(output).add([one], task.name, record_for(task, "local-1"), {}, {})
    return path


def test_a_result_is_kept_only_for_the_same_variant_record_and_content(tmp_path):
    one = variant(WIDTH)
    path = put(tmp_path, one, STS, 0.5)
    record = record_for(STS, "local-1")
    assert Manifest(tmp_path).keeps(one, "MiniSTS", record)
    assert not Manifest(tmp_path).keeps(replace(one, fingerprint="ff" * 32), "MiniSTS", record)
    assert not Manifest(tmp_path).keeps(one, "MiniSTS", replace(record, data="local-2"))
    assert not Manifest(tmp_path).keeps(one, "MiniSTS", replace(record, scikit_learn="1.9.1"))
    assert not Manifest(tmp_path).keeps(one, "MiniReranking", record)
    path.write_text(path.read_text().replace("0.5", "0.6"))
    assert not Manifest(tmp_path).keeps(one, "MiniSTS", record)


def test_results_of_another_fingerprint_leave_the_folder_and_are_not_lost(tmp_path):
    old, new = variant(WIDTH), replace(variant(WIDTH), fingerprint="ff" * 32)
    put(tmp_path, old, STS, 0.5)
    left = put(tmp_path, old, RERANKING, 0.7)
    put(tmp_path, new, STS, 0.9)
    assert not left.exists()
    assert (tmp_path / "superseded" / old.folder / "MiniReranking.json").exists()
    assert [(s.task, s.score) for s in read_scores([tmp_path], "card")] == [("MiniSTS", 90.0)]


def test_two_revisions_of_one_name_are_two_rows(tmp_path):
    for revision, score in (("r1", 0.5), ("r2", 0.6)):
        put(tmp_path, replace(variant(WIDTH), revision=revision), STS, score)
    table = leaderboard(scored(read_scores([tmp_path], "card"), "card"), "mini")
    sts, mean = (table.columns.index(column) for column in ("STS", "Mean(Task)"))
    assert {row.name: row.cells[sts].value for row in table.rows} == {
        "test/stored @ r1": 50.0,
        "test/stored @ r2": 60.0,
    }
    assert all(row.cells[mean].value is None for row in table.rows)


def test_a_result_that_was_changed_or_is_gone_is_named_not_averaged(tmp_path):
    path = put(tmp_path, variant(WIDTH), STS, 0.5)
    path.write_text("{}")
    with pytest.raises(BadInput, match=r"MiniSTS\.json: missing or changed"):
        read_scores([tmp_path], "card")
    path.unlink()
    with pytest.raises(BadInput, match=r"MiniSTS\.json: missing or changed"):
        read_scores([tmp_path], "card")


def test_the_same_result_from_two_folders_is_refused(tmp_path):
    for name in ("one", "two"):
        put(tmp_path / name, variant(WIDTH), STS, 0.5)
    with pytest.raises(BadInput, match="already read from another folder"):
        read_scores([tmp_path / "one", tmp_path / "two"], "card")


def test_many_processes_note_results_at_once_and_none_is_lost(tmp_path):
    dims = range(1, 25)
    with ProcessPoolExecutor(4, get_context("fork")) as pool:
        list(pool.map(partial(_note_one, tmp_path), dims))
    assert sorted(e["variant"]["dim"] for e in Manifest(tmp_path).content["variants"].values()) == [*dims]


def _note_one(output, dim):
    put(output, variant(dim), STS, dim / 100)
