"""The index of keys, compared with a dictionary."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from qzhou_eval.encode.key_index import KeyIndex, key_table

ABSENT = (-1, -1)


def key(number: int) -> bytes:
    """Sixteen bytes with zeros at the start, in the middle and at the end, where text would end."""
    return bytes([number % 3, 0, number // 3 % 5, *[0] * 11, number // 15 % 2, number % 2])


def by_dictionary(shards: list[tuple[int, list[bytes]]]) -> tuple[dict, dict]:
    """Each key's place in its latest round and in the one before; within a round the first place counts."""
    places: dict[bytes, dict[int, tuple[int, int]]] = {}
    for number, (round, keys) in enumerate(shards):
        for row, one in enumerate(keys):
            places.setdefault(one, {}).setdefault(round, (number, row))
    ordered = {one: [of[round] for round in sorted(of, reverse=True)] for one, of in places.items()}
    return {one: of[0] for one, of in ordered.items()}, {one: of[1] for one, of in ordered.items() if len(of) > 1}


@pytest.mark.parametrize("seed", range(30))
def test_places_are_those_of_a_dictionary(seed):
    rng = random.Random(seed)
    every = sorted({key(number) for number in range(60)})
    shards = [(rng.choice([0, 0, 1, 2, 10**9 - 1]), rng.sample(every, rng.randrange(20))) for _ in range(12)]
    index = KeyIndex()
    for number, (round, keys) in enumerate(shards):
        index.add(key_table(keys), number, round)
        if rng.random() < 0.5:  # sorted in at once, or together with the next shard
            index.latest(every[:1])
    latest, earlier = by_dictionary(shards)
    asked = rng.choices(every, k=100)
    assert [tuple(place) for place in index.latest(asked).tolist()] == [latest.get(one, ABSENT) for one in asked]
    assert [tuple(place) for place in index.earlier(asked).tolist()] == [earlier.get(one, ABSENT) for one in asked]
    assert index.keys() == sorted(latest)


def test_nothing_is_in_an_empty_index():
    assert KeyIndex().latest([key(1)]).tolist() == [[-1, -1]] and KeyIndex().keys() == []
    assert KeyIndex().latest([]).shape == (0, 2)


def test_what_one_thread_adds_while_another_asks_is_there():
    tables = np.random.default_rng(0).integers(0, 256, (200, 50, 16), np.uint8)
    index = KeyIndex()

    def add(first: int) -> None:
        for number in range(first, 200, 4):
            index.add(tables[number], number, 0)

    with ThreadPoolExecutor(5) as threads:
        done = [threads.submit(add, first) for first in range(4)]
        while not all(one.done() for one in done):
            index.latest([bytes(tables[0, 0])])
        for one in done:
            one.result()
    for number, table in enumerate(tables):
        assert index.latest([row.tobytes() for row in table]).tolist() == [[number, row] for row in range(50)]


def test_a_key_is_new_once():
    index = KeyIndex()
    assert index.first_seen([key(1), key(2)]).tolist() == [0, 1]
    assert index.first_seen([key(2), key(3), key(1), key(4)]).tolist() == [1, 3]
    assert index.first_seen([key(4)]).tolist() == [] and index.first_seen([]).tolist() == []
