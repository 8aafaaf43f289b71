"""The paired bootstrap: what a task's scores would have been with other items drawn from the same population.

All settings of a task are scored on the same resamples, so differences of their rows are paired. Resamples are drawn
within each split, and depend only on the seed, the task's name and the split.

Resamples of few sets (of clustering) underestimate the spread, so their draws are widened by Student's t (the expanded
percentile interval: Hesterberg 2015, The American Statistician 69:371). A V-measure over texts grows, and varies less,
in resamples, in which texts are repeated; so its draws get the score as their mean and the jackknife's standard error.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from qzhou_eval.statistics.intervals import CONFIDENCE
from qzhou_eval.statistics.item_scores import V_MEASURE, Items
from qzhou_eval.statistics.jackknife import standard_error
from qzhou_eval.statistics.resampled_scores import counted

RESAMPLES = 2000
_CHUNK = 2**20  # items drawn at once: a few arrays of that size fit in memory on any machine


def resample_scores(
    several: Sequence[Items],
    splits: Sequence[str],
    *,
    seed_for: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
    corrected: bool = True,
) -> np.ndarray | None:
    """Scores of one task's resamples, under one or several settings.

    Args:
        several: items of one task under different settings, the same number in each split.
        splits: the splits that count; each is resampled on its own, and they are averaged.
        seed_for: identifies the items (task and data): equal names draw equal resamples.
        resamples: how many.
        seed: another seed gives other resamples.
        corrected: widen few sets, for intervals; if False, scores are plain resamples, and their standard deviation is
            the standard error.

    Returns:
        float64 (settings, resamples); None if a split has fewer than two items, which give no spread, or if a resample
        has no score (a rank correlation of values that are all equal).
    """
    sizes = {split: several[0].splits[split].shape[1] for split in splits}
    if min(sizes.values()) < 2:
        return None
    parts = []
    for split in splits:
        drawn = _of_split(several, split, rng_for(seed_for, split, seed), resamples)
        if several[0].statistic == V_MEASURE:
            drawn = _by_jackknife(several, split, drawn)
        parts.append(_spread(several, split, drawn) if corrected and several[0].unit == "sets" else drawn)
    mean = np.mean(parts, axis=0)
    return None if np.isnan(mean).any() else mean


def resample_together(
    task: str, several: Sequence[tuple[str | None, Items | None]], splits: Sequence[str], **how
) -> list[np.ndarray | None]:
    """Resampled scores of one task under several settings, paired if they have the same items.

    Args:
        several: for each setting, its data revision and its items, None if none were stored.
        splits, how: as in :func:`resample_scores`.

    Returns:
        For each setting float64 (resamples,); None as there, and if a split has no items.
    """
    found: list[np.ndarray | None] = [None] * len(several)
    alike: dict[tuple[str | None, str, tuple[int, ...]], list[tuple[int, Items]]] = {}
    for at, (data, items) in enumerate(several):
        if items is not None and all(split in items.splits for split in splits):
            shape = tuple(items.splits[split].shape[1] for split in splits)
            alike.setdefault((data, items.statistic, shape), []).append((at, items))
    for (data, *_), members in alike.items():
        drawn = resample_scores([items for _, items in members], splits, seed_for=f"{task} {data}", **how)
        for (at, _), one in zip(members, () if drawn is None else drawn, strict=drawn is not None):
            found[at] = one
    return found


def rng_for(seed_for: str, split: str, seed: int = 0) -> np.random.Generator:
    """The random number generator for one task's split."""
    return np.random.default_rng([seed, zlib.crc32(seed_for.encode()), zlib.crc32(split.encode())])


def _of_split(several: Sequence[Items], split: str, rng: np.random.Generator, resamples: int) -> np.ndarray:
    number = several[0].splits[split].shape[1]
    step = max(1, _CHUNK // number)
    parts = []
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, number, (rows, number))
        drawn += number * np.arange(rows)[:, None]
        counts = np.bincount(drawn.reshape(-1), minlength=rows * number).reshape(rows, number)
        parts.append(counted(several, split, counts))
    return np.concatenate(parts, axis=1)


def _by_jackknife(several: Sequence[Items], split: str, drawn: np.ndarray) -> np.ndarray:
    """Draws (settings, resamples) with the score as their mean and the jackknife's standard error."""
    scores = counted(several, split, np.ones((1, several[0].splits[split].shape[1])))
    errors = np.array([[standard_error(items, split)] for items in several])
    spread = drawn.std(axis=1, keepdims=True)
    apart = (drawn - drawn.mean(axis=1, keepdims=True)) * np.divide(errors, spread, where=spread > 0, out=spread * 0)
    return np.clip(scores + apart, 0, 1)


def _spread(several: Sequence[Items], split: str, drawn: np.ndarray) -> np.ndarray:
    """Draws (settings, resamples) of one split's sets, widened as described at the top of this file."""
    from scipy.special import ndtri, stdtrit  # takes a quarter of a second, and only results with sets need it

    number = several[0].splits[split].shape[1]
    scores = counted(several, split, np.ones((1, number)))
    end = (1 + CONFIDENCE) / 2
    wider = stdtrit(number - 1, end) / ndtri(end) * np.sqrt(number / (number - 1))
    return np.clip(scores + wider * (drawn - scores), 0, 1)  # the range of a V-measure
