"""The benchmark's twelve retrieval and reranking tasks: mteb's own classes, scored at all dimensions together."""

import logging
import shutil
from pathlib import Path

import mteb
import numpy as np
import pytest
from layouts import MINI, read_rows, write_header, write_rows
from mteb.abstasks import AbsTaskRetrieval
from perf_scripts import perf_script
from ranking import Letters, assert_same_scores, both
from stored import PROFILE, WIDTH, fill_store, variant

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import cmteb, packaged_tasks
from qzhou_eval.encode.store import Store
from qzhou_eval.evaluate.mteb_adapter import v2, v2_retrieval
from qzhou_eval.evaluate.mteb_adapter.stored_vectors import TaskVectors
from qzhou_eval.evaluate.retrieval.rank_metrics import confidence
from qzhou_eval.evaluate.retrieval.search import search

RANKED = [t.name for t in cmteb().tasks if t.type in ("Retrieval", "Reranking")]
SHARED_IDS = 12
RETRIEVAL = packaged_tasks()["MiniRetrieval"]
SOURCE = locate(RETRIEVAL, None)


def with_shared_ids(root: Path, name: str) -> None:
    """Write the miniature's rows in a task's own layout; the first documents have the ids and the texts of queries."""
    task = packaged_tasks()[name]
    folder = shutil.copytree(MINI / f"Mini{task.type}", root / task.path)
    queries, corpus = (read_rows(folder / kind / "dev.jsonl") for kind in ("queries", "corpus"))
    queries = queries[:30]
    new = {}
    for query, document in list(zip(queries, corpus, strict=False))[:SHARED_IDS]:
        new[document["_id"]] = query["_id"]
        document |= {"_id": query["_id"], "text": query["text"], "title": ""}
    rows = {"corpus": corpus, "queries": queries}
    asked = {query["_id"] for query in queries}
    for kind in ("data", *(["top_ranked"] if task.type == "Reranking" else [])):
        rows[kind] = [row for row in read_rows(folder / f"{kind}/dev.jsonl") if row["query-id"] in asked]
    (split,) = task.splits
    for kind, lines in rows.items():
        for row in lines:
            if "corpus-id" in row:
                row["corpus-id"] = new.get(row["corpus-id"], row["corpus-id"])
            if "corpus-ids" in row:
                row["corpus-ids"] = [new.get(one, one) for one in row["corpus-ids"]]
        (folder / kind / "dev.jsonl").unlink()
        write_rows(folder / kind / f"{split}.jsonl", lines)
    write_header(folder, {"default" if k == "data" else k: {split: f"{k}/{split}.jsonl"} for k in rows})


@pytest.fixture(scope="module")
def letters() -> Letters:
    return Letters()


def test_there_are_twelve():
    assert len(RANKED) == 12
    assert sum(mteb.get_task(name).ignore_identical_ids for name in RANKED) == 5


def test_the_benchmark_measures_a_task_of_the_kind_that_was_left_to_mteb():
    measured = perf_script("retrieval_scoring").loaded(np.arange(3), 9)
    assert type(measured) is type(mteb.get_task("T2Retrieval"))
    assert measured.ignore_identical_ids and v2_retrieval.reproduces(measured)


@pytest.mark.parametrize("name", RANKED)
def test_each_takes_the_shared_path_and_scores_as_mteb_scores_it(tmp_path, monkeypatch, caplog, letters, name):
    with_shared_ids(tmp_path, name)
    task, dims, mtebs_own = packaged_tasks()[name], (96, 8, 33), []
    own = AbsTaskRetrieval._evaluate_subset

    def counted(*args, **kwargs):
        mtebs_own.append(1)
        return own(*args, **kwargs)

    monkeypatch.setattr(AbsTaskRetrieval, "_evaluate_subset", counted)
    with caplog.at_level(logging.WARNING, "qzhou_eval"):
        scores = both(task, locate(task, tmp_path), dims, letters)
    assert len(mtebs_own) == len(dims)  # only for --evaluators mteb
    assert not [record for record in caplog.records if record.name.startswith("qzhou_eval")]
    assert [dim for dim, _ in scores] == list(dims)
    for ours, theirs in scores.values():
        assert_same_scores(ours, theirs, sure=1e-9)


@pytest.mark.parametrize("name", ["T2Retrieval", "DuRetrieval"])
def test_a_document_of_the_querys_id_counts_only_where_mteb_counts_it(tmp_path, letters, name):
    """The flag matters on these data: with and without it the scores differ, and each equals mteb's."""
    with_shared_ids(tmp_path, name)
    task, source, scores = packaged_tasks()[name], locate(packaged_tasks()[name], tmp_path), {}
    for ignore in (False, True):
        for which in ("shared", "mteb"):
            mteb_task = v2.load(task, source)
            mteb_task.ignore_identical_ids = ignore
            ((_, result, _),) = v2.score(mteb_task, task, source, letters, [variant(16)], evaluators=which)
            scores[ignore, which] = result.scores["dev"][0]
        assert_same_scores(scores[ignore, "shared"], scores[ignore, "mteb"], sure=1e-9)
    assert scores[True, "shared"]["main_score"] != scores[False, "shared"]["main_score"]
    assert scores[True, "shared"]["nauc_ndcg_at_10_diff1"] != scores[False, "shared"]["nauc_ndcg_at_10_diff1"]


def test_the_own_document_is_dropped_from_the_k_found_and_nothing_takes_its_place():
    rng = np.random.default_rng(0)
    queries, documents = (rng.standard_normal((n, 24)).astype(np.float32) for n in (30, 400))
    own = np.where(np.arange(30) % 3 == 0, -1, rng.integers(400, size=30))
    own[1::3] = [np.argmax(row) for row in queries[1::3] @ documents.T]  # mostly found
    how = {"k": 10, "order": np.arange(400), "query_block": 7}
    plain = [found for _, found in search(queries, documents, [8, 24], **how)]
    less = [found for _, found in search(queries, documents, [8, 24], own=own, **how)]
    dropped = 0
    for dim in (8, 24):
        before, after = (
            [np.concatenate([getattr(one[dim], name) for one in every]) for name in ("documents", "scores")]
            for every in (plain, less)
        )
        for row in range(30):
            kept = before[0][row] != own[row]
            dropped += not kept.all()
            assert after[0][row].tolist() == [*before[0][row][kept], *[-1] * (10 - kept.sum())]
            np.testing.assert_allclose(after[1][row][: kept.sum()], before[1][row][kept], atol=1e-6)
            assert np.isnan(after[1][row][kept.sum() :]).all()
    assert dropped >= 10


# What stays in memory


def whole(array: np.ndarray) -> bool:
    """Whether an array keeps no larger array alive."""
    while array.base is not None:
        if getattr(array.base, "nbytes", 0) > array.nbytes:
            return False
        array = array.base
    return True


def test_what_is_kept_of_a_block_of_queries_keeps_no_scores_alive():
    kept = confidence(np.random.default_rng(0).standard_normal((256, 1000)).astype(np.float32))
    assert all(whole(values) and values.nbytes == 256 * 8 for values in kept.values())


@pytest.fixture
def stored(tmp_path) -> TaskVectors:
    """MiniRetrieval's vectors in a store."""
    fill_store(tmp_path, RETRIEVAL, SOURCE)
    store = Store(tmp_path / "store", variant(WIDTH).fingerprint)
    store.refresh()
    return TaskVectors(store, RETRIEVAL, PROFILE, use_instruction=True)


def test_what_is_kept_of_a_task_keeps_no_vectors_alive(stored):
    variants = [variant(8), variant(WIDTH)]
    loaded = v2.load(RETRIEVAL, SOURCE)
    for one, _, items in v2.score(loaded, RETRIEVAL, SOURCE, stored, variants, evaluators="shared"):
        assert all(whole(values) for values in items.splits.values())
        probe = stored.probe(one.dim)
        assert sorted(probe) == ["document", "query"] and all(whole(values) for values in probe.values())


def test_a_corpus_is_handed_out_without_a_copy_and_parts_of_it_as_they_are(stored):
    asked = {call.side: call.texts for call in v2.calls(v2.load(RETRIEVAL, SOURCE), RETRIEVAL, SOURCE)}
    texts, queries = asked["document"], asked["query"]
    corpus, query_vectors = stored.of(texts, "document"), stored.of(queries, "query")
    assert np.shares_memory(corpus, stored.of(texts, "document"))
    rows = np.concatenate([stored.rows(queries, "query"), stored.rows(texts[5:9], "document")])
    np.testing.assert_array_equal(stored.take(rows, 7), np.concatenate([query_vectors, corpus[5:9]])[:, :7])
    np.testing.assert_array_equal(stored.of(texts[3:6], "document"), corpus[3:6])
    assert stored.take(np.empty(0, np.int64), 7).shape == (0, 7)
