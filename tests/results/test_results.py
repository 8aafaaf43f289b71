"""The manifest: a result counts only as what it was recorded for; two variants in one folder never share a mean."""

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import pytest
from stored import WIDTH, variant
from written import RERANKING, STS, put

from qzhou_eval.benchmark.packaged import miniature
from qzhou_eval.errors import BadInput
from qzhou_eval.report.content.estimates import scored
from qzhou_eval.report.content.mean_tables import leaderboards
from qzhou_eval.report.formats.language import words
from qzhou_eval.results.manifest import Manifest, supersede
from qzhou_eval.results.task_scores import read_scores
from qzhou_eval.results.variant import record_for
from qzhou_eval.system.paths import items_path


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


def test_a_result_that_takes_anothers_place_leaves_every_earlier_one(tmp_path):
    """A re-evaluation writes in place: the old file and its items first go to superseded/, under names of their own."""
    one = variant(WIDTH)
    for score in (0.5, 0.6, 0.7):
        supersede(tmp_path, one.folder, "MiniSTS")  # as the worker does before it writes
        path = put(tmp_path, one, STS, score)
        items_path(path).write_bytes(f"items of {score}".encode())
    folder = tmp_path / "superseded" / one.folder
    kept = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert set(kept) == {f"MiniSTS{n}.{kind}" for n in ("", ".2") for kind in ("json", "items.safetensors")}
    for name, score in (("MiniSTS", 0.5), ("MiniSTS.2", 0.6)):
        assert kept[f"{name}.items.safetensors"] == f"items of {score}".encode()
        assert f'"main_score": {score}' in kept[f"{name}.json"].decode()


def test_two_revisions_of_one_name_are_two_rows(tmp_path):
    for revision, score in (("r1", 0.5), ("r2", 0.6)):
        put(tmp_path, replace(variant(WIDTH), revision=revision), STS, score)
    (table,) = leaderboards(scored(read_scores([tmp_path], "card"), "card"), miniature())
    said = words("en").render
    assert {said(row.name): [cell.value for cell in row.cells] for row in table.rows} == {
        "test/stored @ r1": [50.0],
        "test/stored @ r2": [60.0],
    }
    assert table.columns == ("STS",)  # no mean over fewer tasks


def test_a_result_that_was_changed_or_is_gone_is_named_and_never_keeps_the_others(tmp_path, caplog):
    path = put(tmp_path, variant(WIDTH), STS, 0.5)
    put(tmp_path, variant(WIDTH), RERANKING, 0.7)
    for spoil, said in (
        (lambda: path.write_text(path.read_text().replace("0.5", "0.6")), "left out, it was changed"),
        (path.unlink, "left out, it is missing"),
    ):
        spoil()
        caplog.clear()
        found = read_scores([tmp_path], "card")
        assert [(score.task, score.score) for score in found] == [("MiniReranking", 70.0)]
        assert leaderboards(scored(found, "card"), miniature())[0].columns == ("Reranking",)  # no mean over fewer tasks
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith(f"{path}: {said}")


def test_nothing_that_can_be_used_is_refused_in_one_line(tmp_path):
    path = put(tmp_path, variant(WIDTH), STS, 0.5)
    path.unlink()
    with pytest.raises(BadInput, match=r"^\S+MiniSTS\.json: left out, it is missing"):
        read_scores([tmp_path], "card")


def test_one_reason_is_one_line_however_many_results_it_holds_for(tmp_path, caplog):
    for dim in (4, 8, WIDTH):
        put(tmp_path, variant(dim), RERANKING, 0.7)
        put(tmp_path, variant(dim), STS, 0.5).unlink()
    assert len(read_scores([tmp_path], "card")) == 3
    (line,) = [record.getMessage() for record in caplog.records]
    assert "MiniSTS.json and 2 more: left out" in line


@pytest.mark.parametrize("score", [math.nan, math.inf, 1.5])
def test_what_is_no_score_counts_as_missing(tmp_path, caplog, score):
    """A collapsed model's rank correlation is NaN; 45.3 is a score times 100."""
    path = put(tmp_path, variant(WIDTH), STS, score)
    put(tmp_path, variant(WIDTH), RERANKING, 0.7)
    found = read_scores([tmp_path], "card")
    assert [(one.task, one.score) for one in found] == [("MiniReranking", 70.0), ("MiniSTS", None)]
    assert leaderboards(scored(found, "card"), miniature())[0].columns == ("Reranking",)
    assert f"{path}: left out, its score on test is {score}" in caplog.text


def test_the_same_result_from_two_folders_is_refused(tmp_path):
    for name in ("one", "two"):
        put(tmp_path / name, variant(WIDTH), STS, 0.5)
    with pytest.raises(BadInput, match="already read from another folder"):
        read_scores([tmp_path / "one", tmp_path / "two"], "card")


def test_two_folders_of_one_setting_complete_each_other(tmp_path):
    put(tmp_path / "one", variant(WIDTH), STS, 0.5)
    put(tmp_path / "two", variant(WIDTH), RERANKING, 0.7)
    found = read_scores([tmp_path / "one", tmp_path / "two"], "card")
    assert len({score.setting for score in found}) == 1
    assert [(score.task, score.score) for score in found] == [("MiniReranking", 70.0), ("MiniSTS", 50.0)]


def test_other_weights_under_the_same_name_never_meet_in_one_row(tmp_path):
    put(tmp_path / "one", variant(WIDTH), STS, 0.5)
    put(tmp_path / "two", replace(variant(WIDTH), fingerprint="ff" * 32), RERANKING, 0.7)
    with pytest.raises(BadInput, match=r"two/results/.*: made with a different fingerprint than .*one/results/"):
        read_scores([tmp_path / "one", tmp_path / "two"], "card")


def test_results_that_nothing_notes_are_named_and_left_out(tmp_path, caplog):
    """From a run killed between writing a result and recording it, and files that someone copied in."""
    recorded = put(tmp_path, variant(WIDTH), STS, 0.5)
    (recorded.parent / "model_meta.json").write_text("{}")
    (recorded.parent / "MiniSTS.items.safetensors").write_bytes(b"")
    assert [score.score for score in read_scores([tmp_path], "card")] == [50.0]
    assert caplog.text == ""
    (recorded.parent / "MiniReranking.json").write_text(recorded.read_text())
    elsewhere = tmp_path / "results" / "other__model" / "r1"
    elsewhere.mkdir(parents=True)
    (elsewhere / "MiniSTS.json").write_text(recorded.read_text())
    assert [score.score for score in read_scores([tmp_path], "card")] == [50.0]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"{elsewhere / 'MiniSTS.json'} and 1 more: not in the manifest, left out")


def test_many_processes_note_results_at_once_and_none_is_lost(tmp_path):
    dims = range(1, 25)
    with ProcessPoolExecutor(4, get_context("fork")) as pool:
        list(pool.map(partial(_note_one, tmp_path), dims))
    assert sorted(e["variant"]["dim"] for e in Manifest(tmp_path).content["variants"].values()) == [*dims]


def _note_one(output, dim):
    put(output, variant(dim), STS, dim / 100)
