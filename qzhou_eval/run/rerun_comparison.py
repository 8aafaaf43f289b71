"""Compares vectors and scores that are made again with the earlier ones."""

import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from torch.nn.functional import normalize

from qzhou_eval.encode.store import Store

Scores: TypeAlias = dict[str, list[dict[str, object]]]  # of mteb's TaskResult: rows by split

BLOCK = 4096  # vectors compared at once


def vectors_line(store: Store, keys: list[bytes]) -> str:
    """A line that says how far L2-normalised vectors made again are from the earlier ones."""
    count, difference, cosine = 0, 0.0, 1.0
    for start in range(0, len(keys), BLOCK):
        twice, before = store.earlier(keys[start : start + BLOCK])
        if twice:
            before, now = normalize(before.double()), normalize(store.get(twice).double())
            count += len(twice)
            difference = max(difference, float((now - before).abs().max()))
            cosine = min(cosine, float((now * before).sum(dim=1).min()))
    if not count:
        return "these vectors are new to the store; there is nothing to compare them with"
    return f"{count:,} vectors made again: largest difference {difference:.1e}, lowest cosine {cosine:.7f}"


def scores_line(before: Mapping[int, Scores], now: Mapping[int, Scores]) -> str:
    """A line that says how far scores evaluated again are from the earlier ones.

    Args:
        before: by dimension, the earlier scores.
        now: the same for the new scores, with at least these dimensions.
    """
    main, other = 0.0, 0.0
    for dim, scores in before.items():
        found = dict(_numbers(now[dim]))
        for path, value in _numbers(scores):
            difference = _apart(value, found.get(path, math.inf))
            other = max(other, difference)
            if path[-1] == "main_score":
                main = max(main, difference)
    dims = ", ".join(map(str, sorted(before)))
    return f"scored again at {dims}: the score differs by at most {100 * main:.4f} points, any metric by {other:.1e}"


def _numbers(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """Every number in nested rows, with its path."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _numbers(one, (*path, key))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _numbers(one, (*path, place))
    elif isinstance(value, int | float):
        yield path, float(value)


def _apart(one: float, two: float) -> float:
    """The difference of two numbers: 0 between NaN and NaN, infinite between NaN and any other number."""
    if math.isnan(one) or math.isnan(two):
        return 0.0 if math.isnan(one) and math.isnan(two) else math.inf
    return abs(one - two)
