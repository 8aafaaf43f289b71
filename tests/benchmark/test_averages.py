"""Means as the card and the leaderboard count them; a missing score makes the mean missing."""

import json

import pytest

from qzhou_eval.benchmark.averages import column_names, table_row
from qzhou_eval.benchmark.packaged import cmteb, packaged_tasks
from qzhou_eval.system.paths import data_folder

TYPES = cmteb().types

PUBLISHED = data_folder("results/published")
CMTEB = list(cmteb().names)


def read(name):
    return json.loads((PUBLISHED / name).read_text("utf-8"))


CARD = read("card_tables.json")
MODELS = {model["model"].split("/")[-1]: model["scores"] for model in read("published_scores.json")["models"]}


@pytest.mark.parametrize("name", [name for name in CARD["leaderboard"]["rows"] if name in MODELS])
def test_published_task_scores_give_the_cards_leaderboard_to_the_second_decimal(name):
    scores = {task: 100 * cmteb().by_name[task].score(splits, "card") for task, splits in MODELS[name].items()}
    row = table_row(scores, cmteb())
    columns = CARD["leaderboard"]["columns"]
    assert [round(row[column], 2) for column in columns] == CARD["leaderboard"]["rows"][name]


def test_qzhou_embedding_zh_gives_its_row_of_table_1_in_full():
    scores = {t: 100 * cmteb().by_name[t].score(s, "card") for t, s in MODELS["QZhou-Embedding-Zh"].items()}
    row = table_row(scores, cmteb())
    assert [round(row[column], 2) for column in CARD["columns"]] == CARD["table_1"]["rows"]["QZhou-Embedding-Zh"]


def test_means_worked_out_by_hand():
    scores = {task.name: 10.0 * (1 + TYPES.index(task.type)) for task in packaged_tasks().values()}
    row = table_row(scores, cmteb())
    assert [row[kind] for kind in TYPES] == [10, 20, 30, 40, 50, 60]
    assert row["Mean(TaskType)"] == 35
    assert row["Mean(Task)"] == pytest.approx((6 * 10 + 4 * 20 + 2 * 30 + 4 * 40 + 8 * 50 + 7 * 60) / 31)
    assert tuple(row) == column_names(cmteb())


@pytest.mark.parametrize("hole", [None, "absent"])
def test_a_missing_task_makes_its_means_missing_and_no_other(hole):
    scores = {name: 50.0 for name in CMTEB}
    if hole is None:
        scores["STSB"] = None
    else:
        del scores["STSB"]
    row = table_row(scores, cmteb())
    missing = {column for column, value in row.items() if value is None}
    assert missing == {"STS", "Mean(Task)", "Mean(TaskType)"}


def test_score_profiles_differ_in_multilingual_sentiment_alone():
    splits = {"validation": 0.8, "test": 0.6}
    assert cmteb().by_name["MultilingualSentiment"].score(splits, "card") == 0.8
    assert cmteb().by_name["MultilingualSentiment"].score(splits, "mteb2") == pytest.approx(0.7)
    assert cmteb().by_name["MultilingualSentiment"].score({"validation": 0.8}, "mteb2") is None
    for profile in ("card", "mteb2"):
        assert cmteb().by_name["STSB"].score({"validation": 0.9, "test": 0.5}, profile) == 0.5
