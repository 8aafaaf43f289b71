"""Tasks of other benchmarks: every subset and split is scored, at every dimension, as mteb scores a task on its own."""

import json

import numpy as np
import pytest
from other_tasks import MAKERS, other_task
from plain_texts import DIMS, PROFILE, PlainEncoder, stored
from stored import variant

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.evaluate.mteb_adapter import v2
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.results.variant import MTEB, SHARED
from qzhou_eval.statistics.item_scores import read_items
from qzhou_eval.statistics.resampled_scores import value
from qzhou_eval.system.paths import items_path

DRAWN = ("MassiveIntentClassification", "XPQARetrieval", "TwentyNewsgroupsClustering.v2", "CEDRClassification")
WITHOUT_ITEMS = {  # their main scores are no statistic over items
    *("Tatoeba", "SummEvalFrSummarization.v2", "CEDRClassification", "TwentyNewsgroupsClustering.v2"),
    *("Core17InstructionRetrieval", "RuSciBenchYearPublRegression"),
}


def by_subset(scores: dict) -> dict[tuple[str, str], float]:
    return {(split, row["hf_subset"]): row["main_score"] for split, rows in scores.items() for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "evaluators"), [*((name, SHARED) for name in MAKERS), *((name, MTEB) for name in DRAWN)]
)
def test_every_part_has_the_score_that_mteb_gives_a_fresh_task(tmp_path, name, evaluators):
    task = other_task(name, tmp_path / "data")
    source = locate(task, tmp_path / "data")
    vectors = stored(tmp_path / "store", task, source)
    variants = tuple(variant(dim) for dim in DIMS)
    evaluated = evaluate(
        EvaluateJob(task, source, PROFILE, tmp_path / "store", tmp_path, variants, evaluators=evaluators)
    )
    for one in variants:
        path = tmp_path / one.folder / f"{name}.json"
        ours = by_subset(json.loads(path.read_text("utf-8"))["scores"])
        fresh = v2.load(task, source)
        expected = {}
        for split in fresh.eval_splits:
            found = fresh.evaluate(PlainEncoder(one.dim), split, encode_kwargs={"batch_size": 1024})
            expected |= {(split, subset): scores["main_score"] for subset, scores in found.items()}
        assert ours.keys() == expected.keys() and len(ours) == len(task.parts)
        for part, score in expected.items():
            assert ours[part] == pytest.approx(score, abs=1e-5), part
        assert evaluated.scores[one.dim] == pytest.approx(np.mean(list(expected.values())), abs=1e-5)
        _check_items(items_path(path), task, ours, there=name not in WITHOUT_ITEMS)
    assert vectors.texts == 0  # nothing was asked for beyond what planning had found


def _check_items(path, task, ours, *, there: bool) -> None:
    assert path.exists() == there
    if there:
        items = read_items(path)
        assert set(items.splits) == set(task.parts)
        for (split, subset), score in ours.items():
            assert value(items, [task.part(split, subset)]) == pytest.approx(score, abs=1e-5)
