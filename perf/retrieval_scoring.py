"""Scoring retrieval at all dimensions, as in a real run: our shared scorer compared with mteb's own evaluator.

mteb's T2Retrieval, including its flag for identical ids, is given synthetic data and is scored by the ``score`` that
``qzhou-eval evaluate`` calls, once each for ``--evaluators shared`` and ``mteb``. Vectors are in memory, as a store
would give them; texts are short, and handling them counts on both sides. If the shared scorer does not support the
task, the script says so and fails, with or without --check.

    python perf/retrieval_scoring.py [--queries 1000] [--documents 100000] [--threads 2] [--only SIDE] [--check]

With --check, the exit code is 1 if ours is not 5 times faster or if a metric differs by more than 1e-5. With --only,
one side runs, and its process's peak memory is printed.
"""

import argparse
import logging
import math
import resource
import sys
import time

import mteb
import numpy as np
import torch
from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval
from tabulate import tabulate

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.evaluate.mteb_adapter import v2, v2_retrieval
from qzhou_eval.evaluate.mteb_adapter.data_loading import quiet
from qzhou_eval.results.variant import EVALUATORS, MTEB, SHARED, Variant

WIDTH = 1792
DIMS = (128, 256, 512, 768, 1024, 1280, 1536, WIDTH)
FASTER, CLOSE = 5, 1.001e-5  # mteb rounds to five decimals
TASK = cmteb().by_name["T2Retrieval"]


def vectors(queries: int, documents: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float32 queries and documents around 500 centres with fading components, and each query's document (as a row)."""
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


def loaded(own: np.ndarray, documents: int) -> AbsTaskRetrieval:
    """T2Retrieval with, for each query, its document and a few others, graded 1 to 3; each text is its row number."""
    rng = np.random.default_rng(1)
    ids = {"corpus": [f"d{n}" for n in range(documents)], "queries": [f"q{n}" for n in range(len(own))]}
    sides = {
        side: Dataset.from_dict({"id": names, "text": [*map(str, range(len(names)))]}) for side, names in ids.items()
    }
    relevant = {
        query: {f"d{one}": 3} | {f"d{n}": int(rng.integers(1, 4)) for n in rng.integers(documents, size=4)}
        for query, one in zip(ids["queries"], own, strict=True)
    }
    task = mteb.get_task(TASK.name, eval_splits=list(TASK.splits))
    task.dataset = {"default": {TASK.splits[0]: sides | {"relevant_docs": relevant, "top_ranked": None}}}
    task.data_loaded = True
    return task


class Arrays:
    """Takes the place of a task's stored vectors; a text is its row number."""

    def __init__(self, queries: np.ndarray, documents: np.ndarray) -> None:
        self._sides = {"query": queries, "document": documents}

    def of(self, texts: list[str], side: str) -> np.ndarray:
        rows, vectors = np.array([int(text) for text in texts]), self._sides[side]
        return vectors if np.array_equal(rows, np.arange(len(vectors))) else vectors[rows]

    def rows(self, texts: list[str], side: str) -> np.ndarray:
        raise NotImplementedError("only for tasks that are not ranked")


def variants() -> list[Variant]:
    """One setting at every dimension; its other fields do not affect the scores."""
    same = {"model": "synthetic/vectors", "revision": "1", "width": WIDTH, "profile": "plain", "profile_digest": ""}
    how = {"token_prepending": None, "normalize": True, "use_instruction": False, "max_length": 1, "truncate": "whole"}
    rest = {"fingerprint": "", "dtype": "float32"}
    return [Variant(**same, **how, **rest, dim=dim, experiment=(("dim", dim),)) for dim in DIMS]


def timed(task: AbsTaskRetrieval, arrays: Arrays, evaluators: str) -> tuple[float, dict[int, dict]]:
    """Seconds and, by dimension, the score dict."""
    start = time.perf_counter()
    results = v2.score(task, TASK, locate(TASK, None), arrays, variants(), evaluators=evaluators)
    scores = {variant.dim: result.scores[TASK.splits[0]][0] for variant, result, _ in results}
    return time.perf_counter() - start, scores


def largest_difference(ours: dict, theirs: dict) -> tuple[float, str]:
    """The largest difference over all metrics, and its metric; infinite for a metric that one side lacks."""
    numbers = [{key for key, value in one.items() if isinstance(value, float)} for one in (ours, theirs)]
    rows = [(math.inf, key) for key in numbers[0] ^ numbers[1]]
    for key in numbers[0] & numbers[1]:
        both_nan = math.isnan(ours[key]) and math.isnan(theirs[key])
        rows.append((0.0 if both_nan else abs(ours[key] - theirs[key]), key))
    return max(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=EVALUATORS)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    quiet()
    torch.set_num_threads(args.threads)
    queries, documents, own = vectors(args.queries, args.documents)
    task, arrays = loaded(own, args.documents), Arrays(queries, documents)
    if not v2_retrieval.reproduces(task):
        sys.exit(f"the shared scorer does not support {TASK.name}: nothing to measure")
    logging.disable(logging.WARNING)
    print(f"{args.queries:,} queries, {args.documents:,} documents, {args.threads} threads\n")
    if args.only:
        at_hand = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds, _ = timed(task, arrays, args.only)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        more = (peak - at_hand) / 2**20
        print(f"{args.only}: {seconds:.1f} s, peak {peak / 2**20:.2f} GiB, {more:.2f} GiB of it scoring")
        return
    seconds, ours = timed(task, arrays, SHARED)
    total, theirs = timed(task, arrays, MTEB)

    rows = [[dim, ours[dim]["ndcg_at_10"], *largest_difference(ours[dim], theirs[dim])] for dim in DIMS]
    print(tabulate(rows, ["dim", "ndcg_at_10", "largest difference", "in"], floatfmt=("", ".5f", ".1e", "")))
    print(f"\nall dimensions: mteb {total:.1f} s, ours {seconds:.1f} s, ratio {total / seconds:.1f}")
    if args.check and (total < FASTER * seconds or not max(row[2] for row in rows) <= CLOSE):
        sys.exit(1)


if __name__ == "__main__":
    main()
