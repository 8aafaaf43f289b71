"""A model that gives all texts one vector: no score that is not a number is written, and a message always says so."""

import json

import numpy as np
import pytest
import torch
from stored import PROFILE, WIDTH, variant, vector

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import miniature, packaged_tasks
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.errors import EXIT_FAILED_TASKS, UnusableScore
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.results.variant import MTEB, SHARED
from qzhou_eval.run.outcome import Outcome
from qzhou_eval.run.plan import plan_task

MINI = list(miniature().names)
DIMS = (4, WIDTH)


def job(folder, name: str, give, evaluators: str = "shared") -> EvaluateJob:
    """A job for a task whose store holds ``give(prompt)`` for each prompt."""
    task = packaged_tasks()[name]
    source = locate(task, None)
    prompts = plan_task(task, source, PROFILE, use_instruction=True).prompts
    store = Store(folder / "store", variant(WIDTH).fingerprint)
    store.create({})
    vectors = np.stack([give(prompt) for prompt in prompts])
    store.add([prompt_key(prompt) for prompt in prompts], torch.from_numpy(vectors))
    return EvaluateJob(task, source, PROFILE, folder / "store", folder / "out", tuple(map(variant, DIMS)), evaluators)


def same(_prompt: str) -> np.ndarray:
    return np.arange(1, WIDTH + 1, dtype=np.float32)


def nearly_same(prompt: str) -> np.ndarray:
    """The same vector as a model gives it that rounds differently from batch to batch."""
    return same(prompt) * np.float32(1 + 2e-7 * (len(prompt) % 3))


def zero_at_four(prompt: str) -> np.ndarray:
    whole = vector(prompt)
    whole[:4] = 0
    return whole


def written(folder) -> list[str]:
    return [path.name for path in (folder / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "evaluators"), [*((name, SHARED) for name in MINI), ("MiniSTS", MTEB), ("MiniRetrieval", MTEB)]
)
def test_one_vector_for_all_texts_is_noticed_in_every_type(tmp_path, caplog, name, evaluators):
    work = job(tmp_path, name, same, evaluators)
    if name == "MiniSTS":
        with pytest.raises(UnusableScore) as raised:
            evaluate(work)
        said = str(raised.value)
        assert said.startswith("its score at dimension 4 on test is nan: the model gives the same vector for all ")
        assert not written(tmp_path) and not caplog.messages
        return
    done = evaluate(work)
    assert all(0 <= score <= 1 for score in done.scores.values())
    (said,) = [line for line in caplog.messages if "same vector" in line]
    assert said == f"{name}: the model gives the same vector for all {done.texts:,} texts, at dimension 4, {WIDTH}"
    for path in (tmp_path / "out").rglob(f"{name}.json"):
        assert np.isfinite(json.loads(path.read_text())["scores"][work.task.splits[0]][0]["main_score"])


@pytest.mark.slow
@pytest.mark.parametrize("name", MINI)
def test_vectors_that_are_zero_when_cut_are_noticed_at_that_dimension_alone(tmp_path, caplog, name):
    work = job(tmp_path, name, zero_at_four)
    if name == "MiniSTS":
        with pytest.raises(UnusableScore, match="at dimension 4 on test is nan: the model gives the same vector"):
            evaluate(work)
        assert not written(tmp_path)
        return
    evaluate(work)
    (said,) = [line for line in caplog.messages if "same vector" in line]
    assert said.endswith("texts, at dimension 4")


@pytest.mark.slow
def test_rounding_does_not_hide_it_and_a_good_model_is_left_alone(tmp_path, caplog):
    evaluate(job(tmp_path / "near", "MiniRetrieval", nearly_same))
    assert "same vector for all" in caplog.text
    caplog.clear()
    evaluate(job(tmp_path / "good", "MiniRetrieval", vector))
    assert not caplog.messages


@pytest.mark.slow
@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.2, 1.3])
def test_a_score_that_cannot_be_is_not_written_whatever_the_cause(tmp_path, monkeypatch, score):
    work = job(tmp_path, "MiniPairClassification", vector)
    monkeypatch.setattr(
        "mteb.abstasks.AbsTaskPairClassification._add_main_score", lambda _, d: d.update(main_score=score)
    )
    with pytest.raises(UnusableScore, match=rf"^its score at dimension 4 on \w+ is {score}$"):
        evaluate(work)
    assert not written(tmp_path)


def test_it_is_a_failed_task_and_neither_bad_input_nor_a_fault_of_ours(tmp_path):
    outcome = Outcome(tmp_path)
    outcome.fail("MiniSTS", UnusableScore("its score is nan"))
    assert outcome.reasons == {"MiniSTS": "MiniSTS: its score is nan"}
    assert outcome.exit_code(tasks=1) == EXIT_FAILED_TASKS
    assert not list(tmp_path.iterdir())
