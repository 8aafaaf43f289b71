"""Work that dimensions have in common is done once and changes no score, compared with mteb alone at each dimension."""

import math

import numpy as np
import pytest
from datasets import Column, Dataset
from layouts import read_rows, write_rows
from plain_texts import DIMS, REVIEWS, PlainEncoder, stored
from stored import variant

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.evaluate.mteb_adapter import v2
from qzhou_eval.evaluate.mteb_adapter.v2_shared_work import CallOrder, columns_read_once
from qzhou_eval.results.variant import MTEB, SHARED

TASKS = ("MiniClassification", "MiniClustering", "MiniPairClassification", "MiniSTS")
OFFICIAL = ("Waimai", "CLSClusteringS2S", "Ocnli", "STSB")


def scores(task, source, vectors, evaluators=SHARED) -> dict[int, dict]:
    variants = [variant(dim) for dim in DIMS]
    scored = v2.score(v2.load(task, source), task, source, vectors, variants, evaluators=evaluators)
    return {one.dim: result.scores for one, result, _ in scored}


def same(one, two) -> bool:
    """Whether two results are bitwise equal; NaN (a metric that a task does not have) equals NaN."""
    if isinstance(two, dict):
        return two.keys() <= one.keys() and all(same(one[key], value) for key, value in two.items())
    if isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two or (isinstance(two, float) and math.isnan(two) and math.isnan(one))


def assert_scores_are_mtebs(tmp_path, task, source) -> None:
    found = scores(task, source, stored(tmp_path / "store", task, source))
    for dim in DIMS:
        mteb_task = v2.load(task, source)
        for split in task.splits:
            (expected,) = mteb_task.evaluate(PlainEncoder(dim), split, encode_kwargs={"batch_size": 1024}).values()
            assert len(expected) > 3
            assert same(found[dim][split][0], expected), (task.name, dim, split)
    assert not same(found[DIMS[0]], found[DIMS[1]])


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_scores_of_the_miniature_are_bitwise_mtebs(tmp_path, name):
    task = packaged_tasks()[name]
    assert_scores_are_mtebs(tmp_path, task, locate(task, None))


@pytest.mark.slow
@pytest.mark.parametrize("name", OFFICIAL)
def test_scores_of_the_benchmarks_own_tasks_are_bitwise_mtebs(tmp_path, official, name):
    task = packaged_tasks()[name]
    assert_scores_are_mtebs(tmp_path, task, locate(task, official))


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["坏好平", (0, 1, 2)], ids=["strings", "numbers"])
def test_three_labels_by_name_or_number(tmp_path, labels):
    task = packaged_tasks()["Waimai"]
    for path in REVIEWS.iterdir():
        rows = read_rows(path)
        for number, row in enumerate(rows):
            row["label"] = labels[row["label"] if number % 3 else 2]
        write_rows(tmp_path / "data" / task.path / "data" / path.name, rows)
    assert_scores_are_mtebs(tmp_path, task, locate(task, tmp_path / "data"))


@pytest.mark.slow
def test_two_splits_of_one_task_share_draws_but_no_texts(tmp_path):
    task = packaged_tasks()["MultilingualSentiment"]
    folder = tmp_path / "data" / task.path / "data"
    rows = read_rows(REVIEWS / "test.jsonl")
    write_rows(folder / "train.jsonl", read_rows(REVIEWS / "train.jsonl"))
    write_rows(folder / "validation.jsonl", rows[:120])
    write_rows(folder / "test.jsonl", rows[120:])
    assert_scores_are_mtebs(tmp_path, task, locate(task, tmp_path / "data"))


@pytest.mark.slow
@pytest.mark.parametrize(("evaluators", "times"), [(SHARED, 1), (MTEB, len(DIMS))])
def test_texts_are_read_and_samples_drawn_at_the_first_dimension_only(tmp_path, monkeypatch, evaluators, times):
    task = packaged_tasks()["MiniClassification"]
    source = locate(task, None)
    vectors = stored(tmp_path, task, source)
    mteb_task = v2.load(task, source)
    seen = {"texts": 0, "draws": 0}

    def counted(name, function):
        def count(*args, **kwargs):
            seen[name] += 1
            return function(*args, **kwargs)

        return count

    monkeypatch.setattr(v2, "text_list", counted("texts", v2.text_list))
    monkeypatch.setattr(mteb_task, "_undersample_data", counted("draws", mteb_task._undersample_data))
    variants = [variant(dim) for dim in DIMS]
    assert len(list(v2.score(mteb_task, task, source, vectors, variants, evaluators=evaluators))) == len(DIMS)
    assert seen == {"texts": 2 * times, "draws": mteb_task.n_experiments * times}


def test_a_column_read_once_is_the_same_column(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [{"label": one, "more": {"deep": one}} for one in "abcab"])
    data = Dataset.from_json(str(tmp_path / "rows.jsonl"), cache_dir=str(tmp_path)).class_encode_column("label")
    plain = data["label"]
    with columns_read_once():
        once = data["label"]
        assert type(once) is not Column
        assert list(once) == list(plain) == [0, 1, 2, 0, 1]
        assert (once[1], once[-1], once[1:3], once[[0, 2]]) == (plain[1], plain[-1], plain[1:3], plain[[0, 2]])
        assert list(data["more"]["deep"]) == list("abcab")
        assert len(once) == 5
    assert type(data["label"]) is Column


class Rows:
    """Replaces a task's vectors: a text is its own row number."""

    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)

    def rows(self, texts, side):
        return np.array([int(text) for text in texts])

    def take(self, rows, dim):
        return self.matrix[rows, :dim]


def first_dimension() -> CallOrder:
    order = CallOrder(Rows()).start()
    order.of(None, "test", 2, lambda: ["3", "1"], 3)
    order.of("query", "test", 1, lambda: ["2"], 3)
    return order


def unread():
    pytest.fail("the texts were read again")


def test_calls_are_answered_in_order_without_their_texts():
    order = first_dimension().start()
    assert order.of(None, "test", 2, unread, 2).tolist() == [[9, 10], [3, 4]]
    assert order.of("query", "test", 1, unread, 2).tolist() == [[6, 7]]
    assert order.start().of(None, "test", 2, unread, 1).tolist() == [[9], [3]]


@pytest.mark.parametrize("call", [("query", "test", 2), (None, "dev", 2), (None, "test", 3)])
def test_another_call_than_the_first_dimensions_raises(call):
    with pytest.raises(RuntimeError, match="encode call 1 is not"):
        first_dimension().start().of(*call, unread, 2)


def test_more_or_fewer_calls_than_at_the_first_dimension_raise():
    order = first_dimension().start()
    order.of(None, "test", 2, unread, 2)
    with pytest.raises(RuntimeError, match="1 encode calls at one dimension, 2 at another"):
        order.start()
    order.of("query", "test", 1, unread, 2)
    with pytest.raises(RuntimeError, match="encode call 3 is not"):
        order.of("query", "test", 1, unread, 2)
