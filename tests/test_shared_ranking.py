"""Retrieval and reranking of all dimensions at once, against mteb one dimension after the other and plain loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import pytrec_eval
from datasets import Dataset
from mteb._evaluators import RetrievalEvaluator
from mteb._evaluators.retrieval_metrics import confidence_scores, make_score_dict, mrr
from mteb.abstasks import AbsTaskRetrieval
from mteb.models import ModelMeta
from mteb.models.search_wrappers import SearchEncoderWrapper
from mteb.similarity_functions import cos_sim
from mteb.timing import TimingStack
from test_mteb import variant

from qzhou_eval.adapter import current, ranking
from qzhou_eval.scoring.candidates import Pool, pack, unpack
from qzhou_eval.scoring.ranks import confidence, places, rank_metrics
from qzhou_eval.scoring.search import rerank, search
from qzhou_eval.tasks import all_tasks, locate

K_VALUES = (1, 3, 5, 10, 20, 100, 1000)
CLOSE = 3e-7  # last bits of two float32 cosines


def cluster(rows: int, width: int, seed: int) -> np.ndarray:
    """float32 vectors of different lengths around common centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((9, width))
    vectors = centres[rng.integers(9, size=rows)] + 0.7 * rng.standard_normal((rows, width))
    return (vectors * rng.uniform(0.5, 2, (rows, 1))).astype(np.float32)


def cosines(queries: np.ndarray, documents: np.ndarray, dim: int, *, normalize: bool = True) -> np.ndarray:
    """What mteb multiplies for an encoder that cuts and normalises."""
    one, two = queries[:, :dim], documents[:, :dim]
    if normalize:
        one, two = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (one, two))
    return cos_sim(one, two).numpy()


# The search


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("k", "query_block", "document_chunk"), [(10, 1024, 4096), (10, 7, 50), (400, 16, 64)])
def test_search_finds_what_sorting_all_cosines_finds(*, k, query_block, document_chunk, normalize):
    queries, documents = cluster(40, 48, seed=1), cluster(300, 48, seed=2)
    documents[200:220] = documents[100]  # equal vectors tie, and one more than the rest of the margin is long
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
    """First scores of these are up to 2e-6 off, and many of the best are closer to each other than that."""
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
        assert abs(found.scores[5, 0] - found.scores[5, 1]) < CLOSE  # a vector's product need not tie, in mteb neither


def test_packed_keys_order_as_pairs():
    scores = np.array([0.5, -0.5, 0.0, -0.0, np.nextafter(np.float32(0.5), np.float32(1)), -1, 0.5], np.float32)
    numbers = np.arange(7)[::-1] + 2**31 - 7
    keys = pack(scores, numbers)
    assert list(np.argsort(keys)) == sorted(range(7), key=lambda i: (scores[i], numbers[i]))
    found, same = unpack(keys)
    assert (found == scores).all() and (same == numbers).all()


@pytest.mark.parametrize("chunk", [1, 13, 100, 999])
def test_the_pool_keeps_the_best_whatever_the_order_they_come_in(chunk):
    rng = np.random.default_rng(chunk)
    scores = rng.standard_normal((5, 999)).astype(np.float32)
    scores[0].sort()  # each one better than all before
    scores[1] = -scores[0]
    scores[2] = np.round(scores[2])
    pool = Pool(5, 20)
    for first in range(0, 999, chunk):
        some = np.ascontiguousarray(scores[:, first : first + chunk])
        pool.offer(some, np.arange(first, first + some.shape[1]))
    found, numbers = unpack(pool.best())
    assert (np.sort(found) == np.sort(scores)[:, -20:]).all()
    assert (np.take_along_axis(scores, numbers, axis=1) == found).all()


# The metrics


def judged_run(seed: int) -> tuple[dict, dict]:
    """Grades and scores by query and document: few distinct scores, few or no documents, documents not in the run."""
    rng = np.random.default_rng(seed)
    grades, run = {}, {}
    for query in range(30):
        names = [f"d{n}" for n in rng.permutation(40 if query % 3 else 6)]
        run[f"q{query}"] = {
            name: float(np.float32(rng.integers(5)) / 5) for name in names[: query if query < 3 else 25]
        }
        number = rng.integers(1, 5)
        grades[f"q{query}"] = {name: int(rng.integers(0, 4)) for name in [*names[-number:], *names[:2], "absent"]}
    return grades, run


@pytest.mark.parametrize("seed", range(4))
def test_metrics_of_each_query_are_trec_evals(seed):
    grades, run = judged_run(seed)
    names = sorted({name for docs in [*run.values(), *grades.values()] for name in docs})
    number = {name: i for i, name in enumerate(names)} | {"absent": -2}
    found, scores = np.full((30, 25), -1), np.full((30, 25), np.nan, np.float32)
    for row, docs in enumerate(run.values()):
        for column, (name, score) in enumerate(sorted(docs.items(), key=lambda d: (d[1], d[0]), reverse=True)):
            found[row, column], scores[row, column] = number[name], score
    relevant, gains = np.full((30, 8), -2), np.zeros((30, 8), np.int64)
    for row, docs in enumerate(grades.values()):
        for column, (name, grade) in enumerate((n, g) for n, g in docs.items() if g > 0):
            relevant[row, column], gains[row, column] = number[name], grade
    ours = rank_metrics(places(found, relevant), gains, K_VALUES)
    sure = confidence(scores)

    cuts = ",".join(map(str, K_VALUES))
    measures = {"ndcg_cut": "ndcg", "map_cut": "map", "recall": "recall", "P": "precision", "success": "hit_rate"}
    theirs = pytrec_eval.RelevanceEvaluator(grades, {f"{name}.{cuts}" for name in measures}).evaluate(run)
    reciprocal = mrr(grades, run, K_VALUES)
    assert list(theirs) == list(run)
    for row, (query, values) in enumerate(theirs.items()):
        for column, k in enumerate(K_VALUES):
            for name, metric in measures.items():
                assert ours[metric][row, column] == pytest.approx(values[f"{name}_{k}"], abs=1e-12), (query, name, k)
            assert ours["mrr"][row, column] == reciprocal[f"MRR@{k}"][row]
        for name, value in confidence_scores(list(run[query].values())).items():
            assert sure[name][row] == pytest.approx(value, abs=1e-12)


# Through mteb's tasks


class Letters:
    """Stands for a task's stored vectors: each text is the sum of its letters' fixed random vectors."""

    width = 96

    def __init__(self) -> None:
        self._letter = {}

    def of(self, texts: list[str], side: str | None) -> np.ndarray:
        return np.stack([self._one(text) for text in texts])

    def rows(self, texts: list[str], side: str | None) -> np.ndarray:
        known = getattr(self, "known", np.empty((0, self.width), np.float32))
        self.known = np.concatenate([known, self.of(texts, side)])
        return np.arange(len(self.known) - len(texts), len(self.known))

    def take(self, rows: np.ndarray, dim: int) -> np.ndarray:
        return self.known[rows, :dim]

    def _one(self, text: str) -> np.ndarray:
        pairs = zip("^" + text, text + "$", strict=True)
        return np.sum([self._of(pair) for pair in pairs], axis=0, dtype=np.float32)

    def _of(self, pair: tuple[str, str]) -> np.ndarray:
        if pair not in self._letter:
            seed = [ord(letter) for letter in pair]
            self._letter[pair] = np.random.default_rng(seed).standard_normal(self.width).astype(np.float32)
        return self._letter[pair]


def assert_same_scores(ours: dict, theirs: dict, *, sure: float) -> None:
    """Every key and value; mteb rounds all but MRR and nAUC to five decimals. ``sure`` is what nAUC may differ by."""
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if isinstance(value, float) and math.isnan(value):
            assert math.isnan(ours[key]), key
        elif isinstance(value, float):
            assert ours[key] == pytest.approx(value, abs=sure if key.startswith("nauc") else 1.001e-5), key
        else:
            assert ours[key] == value, key


def both(task, source, dims, vectors, *, normalize=True) -> dict:
    """By (dimension, split): the score dicts of our evaluator and of mteb's."""
    variants = [replace(variant(dim), normalize=normalize) for dim in dims]
    scores = {}
    for which in ("shared", "mteb"):
        scored = current.score(current.load(task, source), task, source, vectors, variants, evaluators=which)
        for one, result, _ in scored:
            for split, rows in result.scores.items():
                scores.setdefault((one.dim, split), []).append(rows[0])
    return scores


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("name", ["MiniRetrieval", "MiniReranking"])
def test_the_miniature_scores_as_mteb_scores_it(*, name, normalize):
    task = all_tasks()[name]
    scores = both(task, locate(task, None), (4, 32, 96), Letters(), normalize=normalize)
    assert [key[0] for key in scores] == [4, 32, 96]
    for ours, theirs in scores.values():
        assert_same_scores(ours, theirs, sure=1e-9)
    assert len({ours["main_score"] for ours, _ in scores.values()}) == 3


@pytest.mark.parametrize("name", ["EcomRetrieval", "T2Reranking"])
def test_official_tasks_score_as_mteb_scores_them(official, name):
    task = all_tasks()[name]
    for ours, theirs in both(task, locate(task, official), (64, 8), Letters()).values():
        assert_same_scores(ours, theirs, sure=1e-9)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("name", ["CovidRetrieval", "EcomRetrieval", "CMedQAv2-reranking", "T2Reranking"])
def test_real_texts_score_as_mteb_scores_them(data_root, name):
    task = all_tasks()[name]
    for ours, theirs in both(task, locate(task, data_root / "cmteb-lookalike"), (5, 64, 96), Letters()).values():
        assert_same_scores(ours, theirs, sure=1e-9)


def test_a_task_that_goes_its_own_way_is_left_to_mteb(caplog):
    task = all_tasks()["MiniReranking"]
    mteb_task = current.load(task, locate(task, None))
    assert ranking.reproduces(mteb_task) and not caplog.records
    mteb_task.skip_first_result = True
    assert not ranking.reproduces(mteb_task)
    assert "skip_first_result" in caplog.text

    class Own(type(mteb_task)):
        def task_specific_scores(self, *args, **kwargs):
            return {"own": 1.0}

    own = Own()
    own.dataset, own.data_loaded = current.load(task, locate(task, None)).dataset, True
    ((_, result, _),) = current.score(own, task, locate(task, None), Letters(), [variant(8)], evaluators="shared")
    assert result.scores[task.splits[0]][0]["own"] == 1.0


def test_repeated_ids_are_left_to_mteb():
    task = all_tasks()["MiniRetrieval"]
    mteb_task = current.load(task, locate(task, None))
    (split,) = mteb_task.dataset["default"].values()
    split["corpus"] = Dataset.from_list([*split["corpus"], split["corpus"][0]])
    assert not ranking.reproduces(mteb_task)


class Arrays:
    """mteb's encoder protocol over vectors at hand; the corpus is asked for in order."""

    def __init__(self, queries: np.ndarray, documents: np.ndarray) -> None:
        self.mteb_model_meta = ModelMeta.create_empty()
        self._queries, self._documents, self._at = queries, documents, 0

    def encode(self, inputs, *, prompt_type, **kwargs):
        if prompt_type.value == "query":
            return self._queries
        self._at += len(inputs.dataset)
        return self._documents[self._at - len(inputs.dataset) : self._at]

    def similarity(self, one, two):
        return cos_sim(one, two)

    similarity_pairwise = similarity


def test_on_tie_heavy_vectors_scores_stay_within_what_mtebs_chunk_sizes_give():
    """Which of many equal documents are found, and how equal they come out, depends on mteb's chunks of the corpus."""
    rng = np.random.default_rng(5)
    queries, documents = (np.round(rng.standard_normal((n, 12))).astype(np.float32) for n in (60, 4000))
    queries[:, 0], documents[:, 0] = 1, 1
    scores = cosines(queries, documents, 6)
    assert np.mean([len(np.unique(row)) for row in scores]) < 1000
    ids = {"queries": [f"q{i}" for i in range(60)], "corpus": [f"d{i}" for i in range(4000)]}
    grades = {name: {f"d{rng.integers(4000)}": int(rng.integers(1, 3)) for _ in range(8)} for name in ids["queries"]}
    data = {side: Dataset.from_dict({"id": names, "text": ["x"] * len(names)}) for side, names in ids.items()}
    data |= {"relevant_docs": grades, "top_ranked": None}
    task = all_tasks()["MiniRetrieval"]
    mteb_task = current.load(task, locate(task, None))
    mteb_task.dataset["default"][split := task.splits[0]] = data
    encoder = Arrays(queries, documents)
    how = {"normalize": True, "encode_kwargs": current.ENCODE_OPTIONS}
    ours, _ = ranking.evaluate(mteb_task, split, encoder, (6, 12), **how)
    widest = 0
    for dim in (6, 12):
        cut = [v[:, :dim] / np.linalg.norm(v[:, :dim], axis=1, keepdims=True) for v in (queries, documents)]
        theirs = [mtebs(data, mteb_task, Arrays(*cut), chunk) for chunk in (50_000, 1500, 300, 10)]
        for key, value in ours[dim]["default"].items():
            spread = [one[key] for one in theirs if key in one]
            if spread and not math.isnan(value):
                widest = max(widest, max(spread) - min(spread))
                slack = 0.02 if key.startswith("nauc") else 1.001e-5  # nAUC moves by up to 0.1 from chunk to chunk
                assert min(spread) - slack <= value <= max(spread) + slack, (dim, key)
    assert widest > 0


def mtebs(data: dict, mteb_task: AbsTaskRetrieval, encoder: Arrays, chunk: int) -> dict:
    """mteb's own search in chunks of one size, and its metrics."""
    evaluator = RetrievalEvaluator(
        data["corpus"],
        data["queries"],
        task_metadata=mteb_task.metadata,
        hf_split="test",
        hf_subset="default",
        top_k=1000,
        timer=TimingStack(),
    )
    run = evaluator(SearchEncoderWrapper(encoder, corpus_chunk_size=chunk), current.ENCODE_OPTIONS)
    result = evaluator.evaluate(data["relevant_docs"], run, K_VALUES)._asdict()
    result.pop("all_scores")
    return make_score_dict(_map=result.pop("map"), **result, task_scores={})
