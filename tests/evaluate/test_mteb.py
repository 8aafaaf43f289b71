"""Our plan and our scores, compared with mteb itself, which knows nothing of stores, dimensions or shortcuts."""

import json
import shutil

import mteb
import numpy as np
import pytest
from layouts import MINI
from mteb.cache import ResultCache
from mteb.models import ModelMeta
from mteb.similarity_functions import cos_sim, pairwise_cos_sim
from stored import PROFILE, WIDTH, fill_store, variant, vector

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import cmteb, cmteb_v2, miniature, packaged_tasks
from qzhou_eval.evaluate.mteb_adapter import v2
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.protocol.task_versions import first_version

TASKS = list(miniature().tasks)


class PlainEncoder:
    """What a user of mteb would write: render and embed each text when asked, then cut and normalise."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.mteb_model_meta = ModelMeta.create_empty(overwrites={"name": "test/plain", "revision": "1"})
        self.asked = []

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **kwargs):
        side = prompt_type.value if prompt_type else None
        texts = [text for batch in inputs for text in batch["text"]]
        self.asked.append((side, texts))
        task = PROFILE.tasks[task_metadata.name]
        line = "" if side == "document" and task.instruct == "queries" else f"Instruct: {task.instruction}\nQuery: "
        prompts = [f"This sentence: <|im_start|>“{line}{text}” means in one word: “" for text in texts]
        vectors = np.stack([vector(prompt) for prompt in prompts])[:, : self.dim]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def similarity(self, one, two):
        return cos_sim(one, two)

    def similarity_pairwise(self, one, two):
        return pairwise_cos_sim(one, two)


def record(task, source):
    return v2.calls(v2.load(task, source), task, source)


def test_the_task_table_is_mtebs_own():
    tasks = mteb.get_benchmark("MTEB(cmn, v1)").tasks
    theirs = {
        t.metadata.name: (
            str(t.metadata.type),
            t.metadata.dataset["path"],
            t.metadata.dataset["revision"],
            tuple(t.eval_splits),
            t.metadata.main_score,
        )
        for t in tasks
    }
    ours = {t.name: (t.type, t.path, t.revision, t.splits, t.metric) for t in cmteb().tasks}
    assert ours == theirs


def test_repaired_tasks_are_mtebs_in_the_place_of_their_first_versions():
    assert [first_version(name) for name in cmteb_v2().names] == list(cmteb().names)
    repaired = [task for task in cmteb_v2().tasks if task.name not in cmteb().by_name]
    assert len(repaired) == 9
    for task in repaired:
        theirs = mteb.get_task(task.name)
        about = theirs.metadata
        assert mteb.get_task(first_version(task.name)).superseded_by == task.name
        assert (task.type, task.path, task.revision) == (about.type, about.dataset["path"], about.dataset["revision"])
        assert (list(task.splits), task.metric) == (theirs.eval_splits, about.main_score)


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_recorded_texts_are_those_that_mteb_asks_for(task):
    encoder = PlainEncoder(WIDTH)
    mteb.evaluate(encoder, v2.load(task, locate(task, None)), cache=None, co2_tracker=False)
    recorded = [(call.side, call.texts) for call in record(task, locate(task, None))]
    if task.type in ("Retrieval", "Reranking"):  # the shortcut past the search asks for documents first
        recorded, encoder.asked = sorted(recorded), sorted(encoder.asked)
    assert recorded == encoder.asked


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_scores_from_the_store_are_mtebs_at_every_dimension(tmp_path, task):
    source = locate(task, None)
    fill_store(tmp_path, task, source)
    variants = (variant(4), variant(16), variant(WIDTH))
    scores = evaluate(EvaluateJob(task, source, PROFILE, tmp_path / "store", tmp_path, variants)).scores
    for one in variants:
        expected = mteb.evaluate(
            PlainEncoder(one.dim), v2.load(task, source), cache=None, co2_tracker=False
        ).task_results[0]
        found = json.loads((tmp_path / one.folder / f"{task.name}.json").read_text())
        for split in task.splits:
            theirs = {k: v for k, v in expected.scores[split][0].items() if k != "languages"}
            assert_close(found["scores"][split][0], theirs)
        assert scores[one.dim] == pytest.approx(expected.get_score(), abs=1e-6)


def assert_close(found, expected):
    """Check that two results are equal as written to disk: mteb rounds to six decimals."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert_close(found[key], value)
    elif isinstance(expected, list):
        for one, two in zip(found, expected, strict=True):
            assert_close(one, two)
    elif isinstance(expected, float) and not np.isnan(expected):
        assert found == pytest.approx(expected, abs=1e-6)


def test_mtebs_own_loader_reads_each_dimensions_score(tmp_path):
    task = packaged_tasks()["MiniSTS"]
    source = locate(task, None)
    fill_store(tmp_path, task, source)
    variants = (variant(8), variant(WIDTH))
    scores = evaluate(EvaluateJob(task, source, PROFILE, tmp_path / "store", tmp_path, variants)).scores
    assert scores[8] != scores[WIDTH]
    cache = ResultCache(tmp_path)
    for one in variants:
        meta = v2.model_meta(one)
        assert cache.get_task_result_path("MiniSTS", meta) == tmp_path / one.folder / "MiniSTS.json"
        assert cache.load_task_result("MiniSTS", meta).get_score() == pytest.approx(scores[one.dim], abs=1e-6)
    loaded = cache.load_results(models=["test/stored"], tasks=["MiniSTS"], load_experiments="match_name")
    found = {r.model_meta.experiment_kwargs and 8: r.task_results[0].get_score() for r in loaded.model_results}
    assert found == {8: pytest.approx(scores[8], abs=1e-6), None: pytest.approx(scores[WIDTH], abs=1e-6)}


def test_two_data_roots_with_the_same_names_and_headers_never_share_a_cache(tmp_path):
    """datasets keys its cache by folder name and header; an edited copy must still be noticed."""
    task = packaged_tasks()["EcomRetrieval"]
    for root in ("one", "two"):
        shutil.copytree(MINI / "MiniRetrieval", tmp_path / root / task.path)
    corpus = tmp_path / "two" / task.path / "corpus" / "dev.jsonl"
    corpus.write_text(corpus.read_text("utf-8").replace("。", "！"), "utf-8")
    texts = {}
    for root in ("one", "two"):
        source = locate(task, tmp_path / root)
        texts[root] = {text for call in record(task, source) for text in call.texts if call.side == "document"}
    assert texts["one"].isdisjoint(texts["two"])
    assert {text.replace("。", "！") for text in texts["one"]} == texts["two"]
    assert locate(task, tmp_path / "one").revision != locate(task, tmp_path / "two").revision


def test_both_splits_of_multilingual_sentiment_are_scored_and_the_score_profiles_count_them_apart(tmp_path):
    task = packaged_tasks()["MultilingualSentiment"]
    folder = tmp_path / "data" / task.path / "data"
    shutil.copytree(MINI / "MiniClassification" / "data", folder)
    rows = (folder / "test.jsonl").read_text("utf-8").splitlines()
    (folder / "validation.jsonl").write_text("\n".join(rows[:90]), "utf-8")
    (folder / "test.jsonl").write_text("\n".join(rows[90:]), "utf-8")
    source = locate(task, tmp_path / "data")
    fill_store(tmp_path, task, source)
    evaluate(EvaluateJob(task, source, PROFILE, tmp_path / "store", tmp_path, (variant(WIDTH),)))
    found = json.loads((tmp_path / variant(WIDTH).folder / f"{task.name}.json").read_text())["scores"]
    splits = {split: rows[0]["main_score"] for split, rows in found.items()}
    assert splits.keys() == {"validation", "test"}
    assert splits["validation"] != splits["test"]
    assert task.score(splits, "card") == splits["validation"]
    assert task.score(splits, "mteb2") == pytest.approx(sum(splits.values()) / 2)
