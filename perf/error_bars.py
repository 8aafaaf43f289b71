"""How long the error bars of a whole table take: 31 tasks at their official sizes, 8 dimensions, 2,000 resamples.

    python perf/error_bars.py [--settings 8] [--resamples 2000]

The items are random, in the official numbers (mteb's own counts; ten sets for clustering): the time does not depend on
their values. For comparison: scipy.stats.bootstrap on single tasks at one dimension, with a tenth of the resamples.
"""

import argparse
import time
from collections.abc import Callable

import mteb
import numpy as np
import scipy.stats
from tabulate import tabulate

from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.benchmark.task import Task
from qzhou_eval.evaluate.mteb_adapter.v2_item_scores import kind_of_items
from qzhou_eval.statistics.bootstrap import RESAMPLES, resample_scores
from qzhou_eval.statistics.item_scores import MEAN, SPEARMAN, Items, dense_ranks

SETS = 10
ORACLE = {"CovidRetrieval": MEAN, "STSB": SPEARMAN}


def sizes(task: Task) -> dict[str, int]:
    """The number of items by split."""
    if task.type == "Clustering":
        return dict.fromkeys(task.splits, SETS)
    shipped = mteb.get_task(task.name).metadata.descriptive_stats
    return {split: shipped[split].get("num_queries") or shipped[split]["num_samples"] for split in task.splits}


def random_items(task: Task, settings: int, rng: np.random.Generator) -> list[Items]:
    """Items of one task under several settings, all of one kind and size."""
    statistic, unit = kind_of_items(task) or ("", "")
    by_split = [{} for _ in range(settings)]
    for split, number in sizes(task).items():
        gold = rng.integers(0, 2, number)
        for one in by_split:
            if statistic == MEAN:
                one[split] = rng.random((1, number), np.float32)
                continue
            similar = dense_ranks(gold + rng.standard_normal(number))
            one[split] = np.stack([gold.astype(similar.dtype), similar])
    return [Items(statistic, unit, one, {}) for one in by_split]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def scipy_seconds(items: Items, resamples: int) -> float:
    """scipy's bootstrap of the first split."""
    rows = next(iter(items.splits.values()))
    if items.statistic == MEAN:
        return seconds(lambda: scipy.stats.bootstrap((rows[0],), np.mean, n_resamples=resamples, method="percentile"))

    def correlation(drawn):
        return scipy.stats.spearmanr(rows[0][drawn.astype(int)], rows[1][drawn.astype(int)])[0]

    whole = (np.arange(rows.shape[1]),)
    return seconds(
        lambda: scipy.stats.bootstrap(whole, correlation, vectorized=False, n_resamples=resamples, method="percentile")
    )


def main() -> None:
    """Print seconds by type and in total, and the ratio to scipy on single tasks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=int, default=8, help="dimensions times readings (TP on and off)")
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = {kind: [kind, 0, 0, 0.0] for kind in cmteb().types}
    ratios = []
    for task in cmteb().tasks:
        items = random_items(task, args.settings, rng)
        how = {"seed_for": task.name, "resamples": args.resamples}
        took = seconds(lambda items=items, task=task, how=how: resample_scores(items, task.splits, **how))
        row = rows[task.type]
        row[1:] = row[1] + 1, row[2] + sum(sizes(task).values()), row[3] + took
        if task.name in ORACLE:
            ours = seconds(lambda items=items, task=task, how=how: resample_scores(items[:1], task.splits, **how))
            theirs = scipy_seconds(items[0], args.resamples // 10) * 10
            ratios.append([task.name, items[0].statistic, sum(sizes(task).values()), ours, theirs, theirs / ours])
    total = ["all", *(sum(column) for column in list(zip(*rows.values(), strict=True))[1:])]
    print(f"{args.settings} settings, {args.resamples:,} resamples\n")
    print(tabulate([*rows.values(), total], ["type", "tasks", "items", "seconds"], floatfmt=".1f", intfmt=","))
    print("\none setting; scipy's time is ten times the time for a tenth of the resamples\n")
    print(tabulate(ratios, ["task", "statistic", "items", "seconds", "scipy", "ratio"], floatfmt=".2f", intfmt=","))


if __name__ == "__main__":
    main()
