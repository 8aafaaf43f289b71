"""Unusable data: one line with file, split, row and column. Odd data that mteb can handle are scored as mteb does.

The tasks are the benchmark's own, the rows the miniature's; one thing is spoilt at a time.
"""

import errno
import json
from pathlib import Path

import datasets
import mteb
import pytest
from data_folders import FILES, copied, plan, refusal
from layouts import read_rows, write_rows
from ranking import Letters
from stored import PROFILE, variant

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter import v2
from qzhou_eval.evaluate.mteb_adapter.data_errors import readable_errors
from qzhou_eval.evaluate.mteb_adapter.v2_item_scores import Listener
from qzhou_eval.run.plan import plan_task


def changed(row: int | None = None, **fields):
    """Replace values in one row, or in every row."""
    return lambda rows: [one | fields if row in (None, number) else one for number, one in enumerate(rows)]


def without(column: str):
    return lambda rows: [{key: value for key, value in row.items() if key != column} for row in rows]


def of_the_set(column: str, change):
    """Change the list in the first row."""
    return lambda rows: [rows[0] | {column: change(list(rows[0][column]))}, *rows[1:]]


ROWS = [
    ("STSB", None, changed(3, sentence1=None), "data/test.jsonl, split test: row 3 (from 0), column sentence1 is null"),
    ("STSB", None, changed(4, sentence2=7), "row 4 (from 0), column sentence2 holds 7, which is not text"),
    ("STSB", None, changed(sentence2=7), "row 0 (from 0), column sentence2 holds 7, which is not text"),
    ("STSB", None, without("score"), "there is no column score, only sentence1, sentence2"),
    ("STSB", None, changed(5, score=None), "row 5 (from 0), column score is null"),
    ("STSB", None, changed(6, score=float("nan")), "row 6 (from 0), column score holds nan, which is not a finite"),
    ("STSB", None, changed(2, score=float("inf")), "row 2 (from 0), column score holds inf"),
    ("STSB", None, changed(score="4"), "row 0 (from 0), column score holds '4', which is not a finite number"),
    ("STSB", None, changed(score=2), "column score holds 2 in all "),
    ("Waimai", None, changed(9, text=None), "data/train.jsonl, split train: row 9 (from 0), column text is null"),
    ("Waimai", None, changed(9, label=None), "row 9 (from 0), column label is null"),
    ("Waimai", None, changed(9, label=float("nan")), "row 9 (from 0), column label holds nan, which is not a label"),
    ("Waimai", None, changed(label=1), "column label holds only 1: a classifier needs two labels"),
    ("Waimai", None, without("label"), "its columns are text, those of test.jsonl are label, text"),
    ("CLSClusteringS2S", None, of_the_set("labels", lambda one: one[1:]), "row 0 (from 0), column labels has "),
    ("CLSClusteringS2S", None, of_the_set("sentences", lambda one: [None, *one[1:]]), "column sentences is null"),
    ("CLSClusteringS2S", None, of_the_set("labels", lambda one: [None, *one[1:]]), "column labels holds None"),
    ("CLSClusteringS2S", None, lambda rows: [{"sentences": t, "labels": 1} for t in "ab"], "not a list of a set's"),
    ("Ocnli", None, of_the_set("sent1", lambda one: one[1:]), "column sent1 is not a list as long as the others"),
    (
        "Ocnli",
        None,
        of_the_set("sent2", lambda one: [*one[:7], None, *one[8:]]),
        "row 7 (from 0), column sent2 is",
    ),
    ("Ocnli", None, of_the_set("labels", lambda one: [*one[:5], 2, *one[6:]]), "row 5 (from 0), column labels holds 2"),
    ("Ocnli", None, without("sent1"), "there is no column sent1, only "),
    (
        "EcomRetrieval",
        None,
        changed(3, title=None),
        "dev.jsonl, split dev: row 3 (from 0), column title is null",
    ),
    ("EcomRetrieval", None, changed(3, text=None), "row 3 (from 0), column text is null"),
    ("EcomRetrieval", None, changed(3, _id=None), "row 3 (from 0), column _id is null"),
    (
        "EcomRetrieval",
        "queries/dev.jsonl",
        changed(2, text=5),
        "queries/dev.jsonl, split dev: row 2 (from 0), column",
    ),
    (
        "EcomRetrieval",
        "data/dev.jsonl",
        changed(2, score=None),
        "data/dev.jsonl, split dev: row 2 (from 0), column",
    ),
    *(  # from mixed types mteb makes texts that differ from the ids, and finds no query
        ("EcomRetrieval", file, changed(2, **{column: value}), f"column {column} holds {value}; ids must be all text")
        for file, column in (
            *(("corpus/dev.jsonl", "_id"), ("queries/dev.jsonl", "_id")),
            *(("data/dev.jsonl", "query-id"), ("data/dev.jsonl", "corpus-id")),
        )
        for value in (7, 1e300)
    ),
    ("EcomRetrieval", "data/dev.jsonl", changed(2, score=0.5), "column score holds 0.5; a judgement must be a whole"),
    ("EcomRetrieval", "data/dev.jsonl", changed(**{"corpus-id": "GHOST"}), "none of its ids are documents"),
    ("EcomRetrieval", "data/dev.jsonl", changed(**{"query-id": "GHOST"}), "none of its ids are queries"),
    ("T2Reranking", None, changed(4, **{"corpus-ids": ["GHOST"]}), "row 4 (from 0), column corpus-ids names 'GHOST'"),
    ("T2Reranking", None, changed(**{"corpus-ids": []}), "no judged query has candidates"),
    *((name, None, lambda _: [], " is empty") for name in FILES),
]


def shown(value) -> str | None:
    """The part of a test's name that stands for a value: the same in every process. pytest numbers the functions."""
    return None if callable(value) else str(value)[-40:]


@pytest.mark.parametrize(("name", "file", "change", "message"), ROWS, ids=shown)
def test_a_row_that_cannot_be_used_is_named(official, tmp_path, *, name, file, change, message):
    path = copied(official, tmp_path, name) / (file or FILES[name])
    write_rows(path, change(read_rows(path)))
    assert message in refusal(tmp_path, name)


def test_of_several_files_the_folder_is_named(official, tmp_path):
    folder = copied(official, tmp_path, "STSB")
    rows = read_rows(folder / FILES["STSB"])
    (folder / FILES["STSB"]).unlink()
    rows[30]["sentence1"] = None
    for shard, part in enumerate((rows[:20], rows[20:])):
        write_rows(folder / f"data/test-0000{shard}-of-00002.jsonl", part)
    assert refusal(tmp_path, "STSB").startswith("/data, split test: row 30 (from 0), column sentence1 is null")


def test_a_missing_split_is_named_with_those_that_are_there(official, tmp_path):
    folder = copied(official, tmp_path, "STSB")
    (folder / "data/test.jsonl").rename(folder / "data/validation.jsonl")
    assert "there is no split test, only validation" in refusal(tmp_path, "STSB")
    folder = copied(official, tmp_path, "Waimai")
    (folder / "data/train.jsonl").unlink()
    assert "there is no split train, only test" in refusal(tmp_path, "Waimai")


# Odd data that mteb can handle


def with_ghosts(folder: Path) -> None:
    judged = read_rows(folder / "data/dev.jsonl")
    more = [judged[0] | {"corpus-id": "GHOST"}, judged[0] | {"query-id": "GHOST"}]
    write_rows(folder / "data/dev.jsonl", [*judged, *more])


def without_candidates(folder: Path) -> None:
    ranked = read_rows(folder / "top_ranked/dev.jsonl")
    write_rows(folder / "top_ranked/dev.jsonl", [ranked[0] | {"corpus-ids": []}, *ranked[2:]])


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("EcomRetrieval", with_ghosts, ["'GHOST') name unknown queries", "'GHOST') name unknown documents"]),
        ("T2Reranking", without_candidates, ["2 judged queries", "have no candidates: mteb scores them 0"]),
    ],
)
def test_odd_data_score_as_mteb_scores_them_and_it_is_said_once(official, tmp_path, caplog, *, name, change, said):
    task = packaged_tasks()[name]
    change(copied(official, tmp_path, name))
    plan(tmp_path, name)
    assert all(words in caplog.text for words in said)
    caplog.clear()
    source = locate(task, tmp_path)
    scores = {}
    for which in ("shared", "mteb"):
        scored = v2.score(v2.load(task, source), task, source, Letters(), [variant(16)], evaluators=which)
        ((_, result, _),) = scored
        scores[which] = result.scores["dev"][0]["main_score"]
    assert scores["shared"] == pytest.approx(scores["mteb"], abs=1.001e-5)
    assert not [record for record in caplog.records if record.name.startswith("qzhou_eval")]


def test_sets_of_one_label_are_scored_as_mteb_scores_them_and_it_is_said(official, tmp_path, caplog):
    path = copied(official, tmp_path, "CLSClusteringS2S") / FILES["CLSClusteringS2S"]
    write_rows(path, of_the_set("labels", lambda one: [0] * len(one))(read_rows(path)))
    plan(tmp_path, "CLSClusteringS2S")
    assert "1 of " in caplog.text and "sets have only one label: mteb scores such a set 100" in caplog.text


# Faults that are not in the data


@pytest.mark.parametrize("evaluators", ["shared", "mteb"])
@pytest.mark.parametrize("name", ["MiniSTS", "MiniRetrieval"])
@pytest.mark.parametrize("fault", [IndexError, MemoryError, KeyError, ValueError])
def test_a_fault_while_scoring_comes_out_as_it_is(monkeypatch, name, evaluators, fault):
    task = packaged_tasks()[name]

    def fail(*args, **kwargs):
        raise fault("ours")

    if name == "MiniSTS":
        monkeypatch.setattr(Listener, "take", fail)
    else:
        monkeypatch.setattr(Letters, "of", fail)
    source = locate(task, None)
    scored = v2.score(v2.load(task, source), task, source, Letters(), [variant(8)], evaluators=evaluators)
    with pytest.raises(fault, match="ours") as raised:
        list(scored)
    assert not isinstance(raised.value, BadInput)


def test_a_fault_while_recording_comes_out_as_it_is(monkeypatch):
    monkeypatch.setattr("qzhou_eval.evaluate.mteb_adapter.stored_vectors.hashlib.md5", lambda *_, **__: [].pop())
    with pytest.raises(IndexError):
        plan_task(
            packaged_tasks()["MiniSTS"], locate(packaged_tasks()["MiniSTS"], None), PROFILE, use_instruction=False
        )


def test_a_fault_of_the_look_through_is_not_the_datas(official, monkeypatch):
    monkeypatch.setattr("qzhou_eval.evaluate.mteb_adapter.data_rows.Table.texts", lambda *_: [].pop())
    with pytest.raises(IndexError):
        plan(official, "STSB")


@pytest.mark.parametrize(
    "lack", [MemoryError("no room"), OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EMFILE, "files")]
)
def test_a_machine_without_room_is_not_the_datas_fault(official, tmp_path, monkeypatch, lack):
    """datasets wraps any error that occurs while it writes its cache."""
    folder = copied(official, tmp_path, "STSB")
    source = locate(packaged_tasks()["STSB"], tmp_path)

    def fail(*args, **kwargs):
        try:
            raise lack
        except type(lack) as error:
            raise datasets.exceptions.DatasetGenerationError("An error occurred") from error

    monkeypatch.setattr(mteb.abstasks.abstask, "load_dataset", fail)
    with pytest.raises(type(lack)) as raised:
        v2.load(packaged_tasks()["STSB"], source)
    assert raised.value is lack and folder.exists()


def test_an_error_of_reading_names_the_task_and_the_folder(official):
    task = packaged_tasks()["STSB"]
    said = r"STSB: mteb cannot use the data in .*STSB: KeyError: 'x'"
    with pytest.raises(BadInput, match=said), readable_errors(task, locate(task, official)):
        json.loads("{}")["x"]
