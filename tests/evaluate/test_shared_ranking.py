"""Retrieval and reranking of all dimensions at once, compared with mteb one dimension at a time and plain loops."""

import math

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
from ranking import Letters, assert_same_scores, both, cosines
from stored import variant

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.evaluate.mteb_adapter import v2, v2_retrieval
from qzhou_eval.evaluate.retrieval.rank_metrics import confidence, places, rank_metrics

K_VALUES = (1, 3, 5, 10, 20, 100, 1000)


# The metrics


def judged_run(seed: int) -> tuple[dict, dict]:
    """Grades and scores by query and document: few distinct scores, few or no documents, some not in the run."""
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


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("name", ["MiniRetrieval", "MiniReranking"])
def test_the_miniature_scores_as_mteb_scores_it(*, name, normalize):
    task = packaged_tasks()[name]
    scores = both(task, locate(task, None), (4, 32, 96), Letters(), normalize=normalize)
    assert [key[0] for key in scores] == [4, 32, 96]
    for ours, theirs in scores.values():
        assert_same_scores(ours, theirs, sure=1e-9)
    assert len({ours["main_score"] for ours, _ in scores.values()}) == 3


@pytest.mark.parametrize("name", ["EcomRetrieval", "T2Reranking"])
def test_official_tasks_score_as_mteb_scores_them(official, name):
    task = packaged_tasks()[name]
    for ours, theirs in both(task, locate(task, official), (64, 8), Letters()).values():
        assert_same_scores(ours, theirs, sure=1e-9)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("name", ["CovidRetrieval", "EcomRetrieval", "CMedQAv2-reranking", "T2Reranking"])
def test_real_texts_score_as_mteb_scores_them(data_root, name):
    task = packaged_tasks()[name]
    for ours, theirs in both(task, locate(task, data_root / "cmteb-lookalike"), (5, 64, 96), Letters()).values():
        assert_same_scores(ours, theirs, sure=1e-9)


def test_a_task_that_goes_its_own_way_is_left_to_mteb(caplog):
    task = packaged_tasks()["MiniReranking"]
    mteb_task = v2.load(task, locate(task, None))
    assert v2_retrieval.reproduces(mteb_task) and not caplog.records
    mteb_task.skip_first_result = True
    assert not v2_retrieval.reproduces(mteb_task)
    assert "skip_first_result" in caplog.text

    class Own(type(mteb_task)):
        def task_specific_scores(self, *args, **kwargs):
            return {"own": 1.0}

    own = Own()
    own.dataset, own.data_loaded = v2.load(task, locate(task, None)).dataset, True
    ((_, result, _),) = v2.score(own, task, locate(task, None), Letters(), [variant(8)], evaluators="shared")
    assert result.scores[task.splits[0]][0]["own"] == 1.0


def test_repeated_ids_are_left_to_mteb():
    task = packaged_tasks()["MiniRetrieval"]
    mteb_task = v2.load(task, locate(task, None))
    (split,) = mteb_task.dataset["default"].values()
    split["corpus"] = Dataset.from_list([*split["corpus"], split["corpus"][0]])
    assert not v2_retrieval.reproduces(mteb_task)


class Arrays:
    """mteb's encoder protocol over given vectors; the corpus is requested in order."""

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


@pytest.mark.slow
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
    task = packaged_tasks()["MiniRetrieval"]
    mteb_task = v2.load(task, locate(task, None))
    mteb_task.dataset["default"][split := task.splits[0]] = data
    encoder = Arrays(queries, documents)
    how = {"normalize": True, "encode_kwargs": v2.ENCODE_OPTIONS}
    ours, _ = v2_retrieval.evaluate(mteb_task, split, encoder, (6, 12), **how)
    widest = 0
    for dim in (6, 12):
        cut = [v[:, :dim] / np.linalg.norm(v[:, :dim], axis=1, keepdims=True) for v in (queries, documents)]
        theirs = [mtebs(data, mteb_task, Arrays(*cut), chunk) for chunk in (50_000, 1500, 300, 10)]
        for key, value in ours[dim]["default"].items():
            spread = [one[key] for one in theirs if key in one]
            if spread and not math.isnan(value):
                widest = max(widest, max(spread) - min(spread))
                slack = 0.02 if key.startswith("nauc") else 1.001e-5  # nAUC changes by up to 0.1 from chunk to chunk
                assert min(spread) - slack <= value <= max(spread) + slack, (dim, key)
    assert widest > 0


def mtebs(data: dict, mteb_task: AbsTaskRetrieval, encoder: Arrays, chunk: int) -> dict:
    """The metrics of mteb's own search in chunks of one size."""
    evaluator = RetrievalEvaluator(
        data["corpus"],
        data["queries"],
        task_metadata=mteb_task.metadata,
        hf_split="test",
        hf_subset="default",
        top_k=1000,
        timer=TimingStack(),
    )
    run = evaluator(SearchEncoderWrapper(encoder, corpus_chunk_size=chunk), v2.ENCODE_OPTIONS)
    result = evaluator.evaluate(data["relevant_docs"], run, K_VALUES)._asdict()
    result.pop("all_scores")
    return make_score_dict(_map=result.pop("map"), **result, task_scores={})
