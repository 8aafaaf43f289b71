"""Retrieval and reranking data in mteb 1.x's layout under mteb 2.x: a user's older folder, the published run's data."""

import json
import shutil

import pytest
from huggingface_hub import constants
from layouts import old_layout, read_rows, write_rows
from plain_texts import DIMS, PROFILE, stored
from stored import variant

from qzhou_eval.benchmark.data_sources import NoData, locate, repositories
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.fetch.receipt import data_files, note_fetched
from qzhou_eval.run.plan import plan_task

ECOM, T2 = (cmteb().by_name[name] for name in ("EcomRetrieval", "T2Reranking"))


@pytest.fixture(scope="module")
def older(tmp_path_factory, official):
    return old_layout(tmp_path_factory.mktemp("older"), official)


@pytest.fixture
def spoiled(older, tmp_path):
    return shutil.copytree(older, tmp_path / "data")


def scores(task, root, place) -> dict[int, float]:
    source = locate(task, root)
    stored(place / "store", task, source)
    variants = tuple(variant(dim) for dim in DIMS)
    return evaluate(EvaluateJob(task, source, PROFILE, place / "store", place, variants)).scores


@pytest.mark.parametrize("task", [ECOM, T2], ids=lambda task: task.name)
def test_the_same_rows_in_either_layout_have_the_same_scores(official, older, tmp_path, task):
    new, old = (scores(task, root, tmp_path / name) for name, root in (("new", official), ("old", older)))
    assert old == pytest.approx(new, abs=1e-5) and len(set(old.values())) > 1
    texts = [plan_task(task, locate(task, root), PROFILE, use_instruction=False) for root in (official, older)]
    assert set(texts[0].prompts) == set(texts[1].prompts)


def fetched(root, task, *, card: bool) -> None:
    """Record the folders as ``fetch`` does after it has downloaded them."""
    for path, commit in repositories(task, card=card):
        names = [file.relative_to(root / path).as_posix() for file in data_files(root / path)]
        note_fetched(root, path, names, kind="dataset", revision=commit, endpoint="the hub")


def test_the_published_runs_upload_is_named_by_its_commit_until_a_file_changes(spoiled):
    for task in (ECOM, T2):
        assert locate(task, spoiled).revision.startswith("local-")
        fetched(spoiled, task, card=True)
        source = locate(task, spoiled)
        assert source.revision == task.card_revision and source.older
    assert locate(ECOM, spoiled).judgements == spoiled / "C-MTEB/EcomRetrieval-qrels"
    judged = spoiled / "C-MTEB/EcomRetrieval-qrels/dev.jsonl"
    write_rows(judged, read_rows(judged)[:-1])
    assert locate(ECOM, spoiled).revision.startswith("local-")


def test_of_both_uploads_in_one_folder_each_mteb_reads_its_own(official, spoiled, monkeypatch):
    shutil.copytree(official / ECOM.path, spoiled / ECOM.path)
    assert locate(ECOM, spoiled).folder == spoiled / ECOM.path
    monkeypatch.setattr("qzhou_eval.benchmark.data_sources.generation", lambda: "card")
    assert locate(ECOM, spoiled).folder == spoiled / ECOM.card_path


def test_judgements_that_are_missing_are_named(spoiled):
    shutil.rmtree(spoiled / "C-MTEB/EcomRetrieval-qrels")
    with pytest.raises(NoData, match=r"no data in \S*mteb/EcomRetrieval or \S*C-MTEB/EcomRetrieval-qrels; fetch it"):
        locate(ECOM, spoiled)


@pytest.mark.parametrize(
    ("task", "file", "change", "said"),
    [
        (
            ECOM,
            "EcomRetrieval/corpus.jsonl",
            {"text": None},
            "corpus.jsonl, split corpus: row 0 (from 0), column text is null",
        ),
        (
            ECOM,
            "EcomRetrieval/queries.jsonl",
            {"id": None},
            "queries.jsonl, split queries: row 0 (from 0), column id is null",
        ),
        (
            ECOM,
            "EcomRetrieval-qrels/dev.jsonl",
            {"score": 0.5},
            "dev.jsonl, split dev: row 0 (from 0), column score holds 0.5",
        ),
        (T2, "T2Reranking/dev.jsonl", {"query": 3}, "T2Reranking"),
        (T2, "T2Reranking/dev.jsonl", {"positive": "a"}, "T2Reranking"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused(spoiled, task, file, change, said):
    path = spoiled / "C-MTEB" / file
    first, *others = read_rows(path)
    write_rows(path, [first | change, *others])
    with pytest.raises(BadInput) as raised:
        plan_task(task, locate(task, spoiled), PROFILE, use_instruction=False)
    assert str(raised.value).startswith(f"{task.name}: {spoiled}/C-MTEB/") and said in str(raised.value)


def test_judgements_of_unknown_documents_are_said(spoiled, caplog):
    path = spoiled / "C-MTEB/EcomRetrieval-qrels/dev.jsonl"
    first, *others = read_rows(path)
    write_rows(path, [first | {"pid": "nowhere"}, *others])
    plan_task(ECOM, locate(ECOM, spoiled), PROFILE, use_instruction=False)
    assert "1 judgements (row 0: 'nowhere') name unknown documents, which count as not found" in caplog.text


@pytest.mark.parametrize("card", [False, True], ids=["of 2.x", "of 1.38.30"])
def test_offline_the_hubs_cache_is_read_at_the_commit(official, older, tmp_path, monkeypatch, card):
    """The cache's own layout, as the hub's client writes it; either upload will do."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("qzhou_eval.benchmark.data_sources.is_offline", lambda: True)
    with pytest.raises(NoData, match="EcomRetrieval: --offline needs its data on disk"):
        locate(ECOM, None)
    for path, commit in repositories(ECOM, card=card):
        place = tmp_path / "hub" / f"datasets--{path.replace('/', '--')}" / "snapshots" / commit
        shutil.copytree((older if card else official) / path, place)
    source = locate(ECOM, None)
    assert source.revision == (ECOM.card_revision if card else ECOM.revision)
    assert plan_task(ECOM, source, PROFILE, use_instruction=False).texts > 500


def test_the_published_runs_data_sets_are_the_fetched_ones():
    wanted = {path for task in cmteb().tasks for path, _ in repositories(task, card=True)}
    assert len(wanted) == 31 + 8 and all(path.startswith("C-MTEB/") for path in wanted)  # eight have judgements apart
    assert json.dumps(repositories(T2, card=False)) == json.dumps([[T2.path, T2.revision]])
