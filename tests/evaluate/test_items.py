"""Items' scores: they give the score in mteb's result, under both evaluators, and are stored with it."""

import json

import numpy as np
import pytest
from layouts import read_rows, write_rows
from plain_texts import DIMS, PROFILE, REVIEWS, stored, vector
from stored import variant

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import miniature, packaged_tasks
from qzhou_eval.evaluate.mteb_adapter import v2, v2_item_scores
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.results.variant import MTEB, SHARED
from qzhou_eval.statistics.item_scores import PROBE, read_items
from qzhou_eval.statistics.resampled_scores import value
from qzhou_eval.system.paths import items_path

NAMES = list(miniature().names)
NAMES += ["Waimai", "CLSClusteringS2S", "Ocnli", "EcomRetrieval", "T2Reranking", "STSB"]
UNITS = {"Classification": "texts", "Clustering": "sets", "Retrieval": "queries", "Reranking": "queries"}


def scored(folder, task, source, evaluators=SHARED) -> dict:
    """mteb's result and the items, by dimension."""
    vectors = stored(folder, task, source)
    variants = [variant(dim) for dim in DIMS]
    found = v2.score(v2.load(task, source), task, source, vectors, variants, evaluators=evaluators)
    return {one.dim: (result, items) for one, result, items in found}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_items_give_the_score_and_both_evaluators_the_same_items(tmp_path, official, name):
    task = packaged_tasks()[name]
    source = locate(task, official)
    ours, mtebs = (scored(tmp_path / which, task, source, which) for which in (SHARED, MTEB))
    for dim in DIMS:
        result, items = ours[dim]
        for split in task.splits:
            assert value(items, [split]) == pytest.approx(result.scores[split][0]["main_score"], abs=1e-5)
            np.testing.assert_allclose(items.splits[split], mtebs[dim][1].splits[split], rtol=1e-6)
        assert items.unit == UNITS.get(task.type, "pairs")
    first, last = (ours[dim][1].splits[task.splits[0]] for dim in (DIMS[0], DIMS[-1]))
    assert first.shape[1] == last.shape[1] > 1
    if task.type != "PairClassification":  # with vectors of letters no threshold tells pairs apart, at any dimension
        assert not np.array_equal(first, last)


def test_two_splits_are_kept_apart(tmp_path):
    task = packaged_tasks()["MultilingualSentiment"]
    folder = tmp_path / "data" / task.path / "data"
    rows = read_rows(REVIEWS / "test.jsonl")
    write_rows(folder / "train.jsonl", read_rows(REVIEWS / "train.jsonl"))
    write_rows(folder / "validation.jsonl", rows[:120])
    write_rows(folder / "test.jsonl", rows[120:200])
    _, items = scored(tmp_path / "store", task, locate(task, tmp_path / "data"))[DIMS[0]]
    assert {split: rows.shape for split, rows in items.splits.items()} == {"validation": (1, 120), "test": (1, 80)}
    assert (np.round(10 * items.splits["test"]) == 10 * items.splits["test"]).all()  # the share right in ten runs


def test_the_probe_is_the_first_vectors_of_each_side_as_stored(tmp_path):
    task = packaged_tasks()["MiniRetrieval"]
    source, one = locate(task, None), variant(DIMS[0])
    stored(tmp_path / "store", task, source)
    evaluate(EvaluateJob(task, source, PROFILE, tmp_path / "store", tmp_path, (one,)))
    items = read_items(items_path(tmp_path / one.folder / "MiniRetrieval.json"))
    for side, file in (("query", "queries"), ("document", "corpus")):
        rows = read_rows(source.folder / f"{file}.jsonl")[:PROBE]
        prompts = [f"{row.get('title') or ''} {row['text']}".strip() for row in rows]
        np.testing.assert_array_equal(items.probe[side], np.stack([vector(p)[: DIMS[0]] for p in prompts]))


def test_items_that_do_not_give_the_score_are_not_kept_and_it_is_said(tmp_path, monkeypatch, caplog):
    task = packaged_tasks()["MiniSTS"]
    source = locate(task, None)
    stored(tmp_path / "store", task, source)
    one = variant(DIMS[0])
    job = EvaluateJob(task, source, PROFILE, tmp_path / "store", tmp_path, (one,))
    path = items_path(tmp_path / one.folder / "MiniSTS.json")
    evaluate(job)
    assert read_items(path).statistic == "spearman"
    monkeypatch.setattr(v2_item_scores, "dense_ranks", lambda values: np.arange(len(values)))
    evaluate(job)
    assert not path.exists() and (tmp_path / one.folder / "MiniSTS.json").exists()
    assert "MiniSTS: its items do not reproduce its score on test" in caplog.text


def test_mtebs_loader_passes_items_by(finished):
    from mteb import ResultCache

    files = sorted(path.name for path in (finished / "results").rglob("STSB*"))
    assert files == sorted(["STSB.items.safetensors", "STSB.json"] * 3)
    loaded = ResultCache(finished).load_results(load_experiments="match_name")
    assert {result.task_name for model in loaded for result in model.task_results} == {"STSB", "T2Reranking"}
    for entry in json.loads((finished / "manifest.json").read_text("utf-8"))["variants"].values():
        assert all(len(task["items"]) == 64 for task in entry["tasks"].values())
