"""The search of all dimensions at once, compared with sorting all cosines."""

import numpy as np
import pytest
from ranking import CLOSE, cluster, cosines

from qzhou_eval.evaluate.retrieval.search import rerank, search
from qzhou_eval.evaluate.retrieval.top_k import Pool, pack_scores, unpack


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("k", "query_block", "document_chunk"), [(10, 1024, 4096), (10, 7, 50), (400, 16, 64)])
def test_search_finds_what_sorting_all_cosines_finds(*, k, query_block, document_chunk, normalize):
    queries, documents = cluster(40, 48, seed=1), cluster(300, 48, seed=2)
    documents[200:220] = documents[100]  # equal vectors tie, and there is one more than the margin has room for
    order = np.random.default_rng(3).permutation(300)
    sizes = {"query_block": query_block, "document_chunk": document_chunk}
    seen = []
    for block, found in search(queries, documents, [48, 4, 20], k=k, order=order, normalize=normalize, **sizes):
        seen.append(block)
        assert sorted(found) == [4, 20, 48]
        for dim, one in found.items():
            scores = cosines(queries[block], documents, dim, normalize=normalize)
            assert one.documents.shape == one.scores.shape == (len(scores), min(k, 300))
            best = -np.sort(-scores, axis=1)[:, :k]
            assert np.abs(one.scores - best).max() < 1e-6
            assert np.abs(np.take_along_axis(scores, one.documents, axis=1) - best).max() < CLOSE
            for row, rank in zip(one.documents, one.scores, strict=True):
                assert len(set(row)) == len(row)
                tied = rank[1:] == rank[:-1]
                assert (order[row[1:]] < order[row[:-1]])[tied].all()
                equal = np.isin(row, [100, *range(200, 220)])
                assert len(set(rank[equal])) <= 1
    assert [number for block in seen for number in range(40)[block]] == list(range(40))


@pytest.mark.parametrize("kind", ["near each other", "one large component", "all positive", "long"])
def test_search_orders_vectors_that_rounding_troubles_as_mteb_does(kind):
    """First scores of these are up to 2e-6 off, and many of the best are closer together than that."""
    rng = np.random.default_rng(6)
    queries, documents = (rng.standard_normal((n, 600)).astype(np.float32) for n in (20, 3000))
    if kind == "near each other":
        documents = documents[:1] + 0.003 * documents
    elif kind == "one large component":
        queries[:, 5] = documents[:, 5] = 200
    elif kind == "all positive":
        queries, documents = abs(queries), abs(documents)
    else:
        queries, documents = 1e4 * queries, 1e-4 * documents
    ((_, found),) = search(queries, documents, [16, 300, 600], k=500, order=np.arange(3000))
    for dim, one in found.items():
        scores = cosines(queries, documents, dim)
        best = -np.sort(-scores, axis=1)[:, :500]
        assert np.abs(np.take_along_axis(scores, one.documents, axis=1) - best).max() < CLOSE
        assert np.abs(one.scores - best).max() < 4e-6


def test_ties_at_the_cut_are_decided_by_the_order_even_where_they_outnumber_the_margin():
    queries = np.ones((3, 8), np.float32)
    documents = np.ones((500, 8), np.float32)
    documents[:20, 0] = 2
    order = np.random.default_rng(0).permutation(500)
    ((_, found),) = search(queries, documents, [8], k=10, order=order, document_chunk=128)
    expected = np.argsort(order * (np.arange(500) >= 20))[::-1][:10]
    assert (found[8].documents == expected).all()


def test_zero_vectors_score_zero_and_broken_ones_are_refused():
    queries, documents, order = cluster(2, 6, seed=0), cluster(90, 6, seed=1), np.arange(90)
    documents[5] = queries[1] = 0
    ((_, found),) = search(queries, documents, [3, 6], k=90, order=order)
    assert found[3].scores[0][found[3].documents[0] == 5] == 0
    assert (found[6].documents[1] == order[::-1]).all() and (found[6].scores[1] == 0).all()
    documents[7, 5] = np.nan
    with pytest.raises(ValueError, match="document is not finite"):
        next(search(queries, documents, [3], k=5, order=order))
    with pytest.raises(ValueError, match="permutation"):
        next(search(queries, documents, [3], k=5, order=np.zeros(90, np.int64)))


@pytest.mark.parametrize("k", [4, 30])
def test_rerank_orders_each_querys_candidates(k):
    queries, documents, rng = cluster(6, 20, seed=1), cluster(50, 20, seed=2), np.random.default_rng(4)
    documents[11] = documents[10]
    order = rng.permutation(50)
    candidates = [rng.permutation(50)[:size] for size in (20, 3, 0, 1, 50)] + [np.array([10, 11])]
    for dim, found in rerank(queries, documents, [7, 20], candidates=candidates, k=k, order=order).items():
        scores = cosines(queries, documents, dim)
        for row, some in enumerate(candidates):
            number = min(k, len(some))
            assert (found.documents[row, number:] == -1).all() and np.isnan(found.scores[row, number:]).all()
            best = -np.sort(-scores[row, some])[:number]
            assert np.allclose(found.scores[row, :number], best, atol=CLOSE)
            assert np.allclose(scores[row, found.documents[row, :number]], best, atol=CLOSE)
            assert set(found.documents[row, :number]) <= set(some)
        assert abs(found.scores[5, 0] - found.scores[5, 1]) < CLOSE  # products of equal vectors may differ, in mteb too


def test_packed_keys_order_as_pairs():
    scores = np.array([0.5, -0.5, 0.0, -0.0, np.nextafter(np.float32(0.5), np.float32(1)), -1, 0.5], np.float32)
    numbers = np.arange(7)[::-1] + 2**31 - 7
    keys = pack_scores(scores, numbers)
    assert list(np.argsort(keys)) == sorted(range(7), key=lambda i: (scores[i], numbers[i]))
    found, same = unpack(keys)
    assert (found == scores).all() and (same == numbers).all()


@pytest.mark.parametrize("chunk", [1, 13, 100, 999])
def test_the_pool_keeps_the_best_whatever_the_order_they_come_in(chunk):
    rng = np.random.default_rng(chunk)
    scores = rng.standard_normal((5, 999)).astype(np.float32)
    scores[0].sort()  # each one better than all before it
    scores[1] = -scores[0]
    scores[2] = np.round(scores[2])
    pool = Pool(5, 20)
    for first in range(0, 999, chunk):
        some = np.ascontiguousarray(scores[:, first : first + chunk])
        pool.offer(some, np.arange(first, first + some.shape[1]))
    found, numbers = unpack(pool.best())
    assert (np.sort(found) == np.sort(scores)[:, -20:]).all()
    assert (np.take_along_axis(scores, numbers, axis=1) == found).all()
