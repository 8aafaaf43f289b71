"""Retrieval at all dimensions: our one search and ranks against mteb's search and metrics for each dimension.

Both sides are given the same vectors as arrays; texts are neither handled nor encoded on either, and mteb is even given
them cut and normalised. What is timed on mteb's side is its SearchEncoderWrapper's search of the whole corpus and
RetrievalEvaluator.evaluate, with its score dict, once for each dimension; on ours what stands in their place.

    python benchmarks/retrieval_scoring.py [--queries 1000] [--documents 100000] [--threads 2] [--check]

With --check the exit code is 1 if ours is not 5 times faster or if a metric differs by more than 1e-5.
"""

import argparse
import logging
import math
import sys
import time
from types import SimpleNamespace
from unittest.mock import patch

import mteb
import numpy as np
import torch
from datasets import Dataset
from mteb._evaluators import RetrievalEvaluator
from mteb._evaluators.retrieval_metrics import make_score_dict
from mteb.models import ModelMeta
from mteb.models.search_wrappers import SearchEncoderWrapper
from mteb.similarity_functions import cos_sim
from mteb.timing import TimingStack
from tabulate import tabulate

from qzhou_eval.adapter.ranking import measure
from qzhou_eval.adapter.reading import quiet
from qzhou_eval.vectors import cut_and_normalize

WIDTH = 1792
DIMS = (128, 256, 512, 768, 1024, 1280, 1536, WIDTH)
K_VALUES = (1, 3, 5, 10, 20, 100, 1000)
FASTER, CLOSE = 5, 1.001e-5  # mteb rounds to five decimals


def vectors(queries: int, documents: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float32 queries and documents around 500 centres with fading components, and each query's document (its row)."""
    rng = np.random.default_rng(0)
    fading = np.linspace(1, 0.3, WIDTH, dtype=np.float32)
    centres = rng.standard_normal((500, WIDTH), dtype=np.float32)
    found = rng.standard_normal((documents, WIDTH), dtype=np.float32)
    for start in range(0, documents, 4096):
        found[start : start + 4096] += centres[rng.integers(500, size=len(found[start : start + 4096]))]
    found *= fading
    found[: documents // 100] = found[-(documents // 100) :]  # texts that occur twice
    own = rng.integers(documents, size=queries)
    return found[own] + 3 * fading * rng.standard_normal((queries, WIDTH), dtype=np.float32), found, own


def judged(own: np.ndarray, documents: int) -> dict:
    """What mteb keeps of a split: ids, and for each query its document and a few others, graded 1 to 3."""
    rng = np.random.default_rng(1)
    ids = {"corpus": [f"d{n}" for n in range(documents)], "queries": [f"q{n}" for n in range(len(own))]}
    data = {side: Dataset.from_dict({"id": names, "text": [""] * len(names)}) for side, names in ids.items()}
    relevant = {
        query: {f"d{one}": 3} | {f"d{n}": int(rng.integers(1, 4)) for n in rng.integers(documents, size=4)}
        for query, one in zip(ids["queries"], own, strict=True)
    }
    return data | {"relevant_docs": relevant, "top_ranked": None}


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


def mtebs(data: dict, queries: np.ndarray, documents: np.ndarray, dim: int) -> tuple[float, dict]:
    """Seconds and score dict of mteb's side at one dimension."""
    encoder = Arrays(cut_and_normalize(queries, dim), cut_and_normalize(documents, dim))
    metadata = mteb.get_task("T2Retrieval").metadata
    where = {"task_metadata": metadata, "hf_split": "dev", "hf_subset": "default", "timer": TimingStack()}
    start = time.perf_counter()
    evaluator = RetrievalEvaluator(data["corpus"], data["queries"], top_k=max(K_VALUES), **where)
    with patch("mteb.models.search_wrappers.create_dataloader", lambda rows, **_: SimpleNamespace(dataset=rows)):
        run = evaluator(SearchEncoderWrapper(encoder), {"batch_size": 1024, "show_progress_bar": False})
    result = evaluator.evaluate(data["relevant_docs"], run, K_VALUES)._asdict()
    del result["all_scores"]
    scores = make_score_dict(_map=result.pop("map"), **result, task_scores={})
    return time.perf_counter() - start, scores


def largest_difference(ours: dict, theirs: dict) -> tuple[float, str]:
    """Over all metrics, with the metric's name; a metric that one side lacks differs infinitely."""
    rows = [(math.inf, key) for key in ours.keys() ^ theirs.keys()]
    for key in ours.keys() & theirs.keys():
        both_nan = math.isnan(ours[key]) and math.isnan(theirs[key])
        rows.append((0.0 if both_nan else abs(ours[key] - theirs[key]), key))
    return max(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    quiet()
    logging.disable(logging.WARNING)
    torch.set_num_threads(args.threads)
    queries, documents, own = vectors(args.queries, args.documents)
    data = judged(own, args.documents)

    start = time.perf_counter()
    measured = measure(data, queries, documents, DIMS, k=max(K_VALUES), k_values=K_VALUES, normalize=True)
    ours = {dim: one.score_dict(K_VALUES) for dim, one in measured.items()}
    seconds = time.perf_counter() - start
    theirs = {dim: mtebs(data, queries, documents, dim) for dim in DIMS}

    rows, total = [], sum(took for took, _ in theirs.values())
    for dim, (took, scores) in theirs.items():
        rows.append([dim, took, None, None, ours[dim]["ndcg_at_10"], *largest_difference(ours[dim], scores)])
    worst = max(row[5] for row in rows)
    rows.append(["all", total, seconds, total / seconds, None, worst, None])
    print(f"{args.queries:,} queries, {args.documents:,} documents, {args.threads} threads\n")
    columns = ["dim", "mteb (s)", "ours (s)", "ratio", "ndcg_at_10", "largest difference", "in"]
    print(tabulate(rows, columns, floatfmt=("", ".1f", ".1f", ".1f", ".5f", ".1e", "")))
    if args.check and (total < FASTER * seconds or not worst <= CLOSE):
        sys.exit(1)


if __name__ == "__main__":
    main()
