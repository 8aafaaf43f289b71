"""The paired bootstrap: what a task's scores would have been with other items drawn from where its items came from.

All settings of a task are scored on the same resamples, so differences of their rows are paired. Resamples are drawn
within each split, and depend on the seed, the task's name and the split alone.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from qzhou_eval.items import Items
from qzhou_eval.statistics.scores import counted

RESAMPLES = 2000
_CHUNK = 2**20  # items drawn at once: a few arrays of that size fit the memory of any machine


def draws(
    several: Sequence[Items], splits: Sequence[str], *, seed_for: str, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray | None:
    """Scores of resamples.

    Args:
        several: items of one task under different settings, the same number in each split.
        splits: the splits that count; each is resampled on its own, and they are averaged.
        seed_for: what the items are (task and data): equal names draw equal resamples.
        resamples: how many.
        seed: another seed gives other resamples.

    Returns:
        float64 (settings, resamples), 0 to 1; None where a split has fewer than two items, which say nothing of spread.
    """
    sizes = {split: several[0].splits[split].shape[1] for split in splits}
    if min(sizes.values()) < 2:
        return None
    return np.mean([_of_split(several, split, rng_for(seed_for, split, seed), resamples) for split in splits], axis=0)


def rng_for(seed_for: str, split: str, seed: int = 0) -> np.random.Generator:
    """The random numbers of one task's split."""
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
