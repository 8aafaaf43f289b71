"""The run among the published models, compared with mteb's own leaderboard code, the card's picture and hand counts."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from mteb.benchmarks._create_table import _borda_rank_from_long, _create_summary_table, _get_borda_rank

from qzhou_eval.benchmark.averages import MEANS
from qzhou_eval.benchmark.find import find_benchmark
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.benchmark.published import card_tables, scores_of
from qzhou_eval.report.content.ranking import BORDA, borda_ranks, place, task_points

TYPES = cmteb().types

COUNTED = {"card": 48, "mteb2": 51}  # published models, of 51, that have a split of each task that the profile counts
PUBLISHED = scores_of(cmteb())
CARD = "Kingsoft-LLM/QZhou-Embedding-Zh"


def points(model: str, profile: str = "card", shift: float = 0.0) -> dict[str, float]:
    """The scores of a run that equals a published model, plus ``shift``."""
    return (task_points(PUBLISHED, cmteb(), profile, partly=True).loc[model] + shift).to_dict()


def long_form(frame: pd.DataFrame) -> pl.DataFrame:
    """One row per score, as mteb's leaderboard expects them."""
    rows = frame.rename_axis(index="model_name", columns="task_name").stack().rename("score")
    return pl.from_pandas(rows.reset_index()).with_columns(subset=pl.lit("default"), split=pl.lit("test"))


@pytest.mark.parametrize("seed", range(20))
def test_borda_ranks_are_mtebs_with_many_equal_scores(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(2, 12, 2)
    scores = pd.DataFrame(rng.integers(0, 6, shape) / 4.0, index=[f"m{i}" for i in range(shape[0])])
    scores.columns = [f"t{i}" for i in range(shape[1])]
    theirs = dict(_borda_rank_from_long(long_form(scores)).iter_rows())
    assert borda_ranks(scores).to_dict() == theirs
    wide = pl.from_pandas(scores).select(_get_borda_rank(list(scores.columns))).to_series().to_list()
    assert borda_ranks(scores).to_list() == wide


@pytest.mark.parametrize("profile", COUNTED)
def test_the_whole_table_is_mtebs_own_leaderboard(profile):
    run = points("Qwen/Qwen3-Embedding-4B", profile, 0.5)
    ours = place("ours", "Qwen/Qwen3-Embedding-4B", run, cmteb(), profile)
    frame = task_points(PUBLISHED, cmteb(), profile, partly=True).dropna()
    frame.loc["Qwen/Qwen3-Embedding-4B"] = run
    theirs = _create_summary_table(long_form(frame / 100)).df.to_pandas().set_index("Model")
    theirs = theirs.rename(index={"Qwen/Qwen3-Embedding-4B": ours.run})
    theirs.columns = theirs.columns.str.replace(" (Task", "(Task")
    assert len(theirs) == len(ours.table) == ours.models == COUNTED[profile]
    assert ours.table[BORDA].to_dict() == theirs["Rank (Borda)"].to_dict()
    columns = [*MEANS, *TYPES]
    strict = task_points(PUBLISHED, cmteb(), profile).isna().any(axis=1)
    whole = [name for name in ours.table.index if not strict.get(name, False)]
    pd.testing.assert_frame_equal(
        ours.table.loc[whole, columns], 100 * theirs.loc[whole, columns], check_names=False, check_dtype=False
    )
    assert ours.table.loc[[name for name in ours.table.index if name not in whole], list(MEANS)].isna().all(axis=None)


def mtebs_summary(name: str) -> pd.DataFrame:
    """mteb 2.26.24's own summary table over the published models of a benchmark, made where its data are at hand."""
    rows = json.loads((Path(__file__).parent / "mteb_summaries.json").read_text("utf-8"))[name]
    table = pd.DataFrame(rows).set_index("Model")
    return table.rename(columns=lambda column: column.replace(" (Task", "(Task"))


@pytest.mark.parametrize("name", ["MTEB(eng, v2)", "MTEB(fra, v1)"])
def test_means_types_and_ranks_on_other_benchmarks_are_mtebs_own(name):
    """Subsets, summarisation, and a model that lacks splits, which has a rank and no mean."""
    benchmark, theirs = find_benchmark(name), mtebs_summary(name)
    ours = place("none", "local/none", {}, benchmark, "card").table.drop(index="none (this run)")
    assert ours[BORDA].to_dict() == theirs["Rank (Borda)"].to_dict()
    columns = [*MEANS, *benchmark.types]
    assert set(columns) == set(theirs.columns) - {"Rank (Borda)"}
    expected = 100 * theirs.loc[ours.index, columns].astype(float)
    pd.testing.assert_frame_equal(ours[columns], expected, check_names=False, rtol=0, atol=1e-7)


def test_the_cards_picture_to_the_second_decimal_for_the_eleven_that_are_published():
    picture = card_tables()["leaderboard"]
    table = place("none", "local/none", {}, cmteb(), "card").table.rename(index=lambda name: name.split("/")[-1])
    absent = [name for name in picture["rows"] if name not in table.index]
    assert absent == ["gte-Qwen2-7B-instruct"]
    for name in picture["rows"].keys() - set(absent):
        assert table.loc[name, picture["columns"]].round(2).tolist() == picture["rows"][name]


def swapped(order: list[str], ranks: dict[str, int]) -> set[tuple[str, str]]:
    """Pairs that are one way round in the order and the other way round by rank."""
    return {(one, two) for at, one in enumerate(order) for two in order[at + 1 :] if ranks[one] > ranks[two]}


def test_the_pictures_borda_order_holds_but_for_models_that_are_younger_than_it():
    """As docs/fidelity.md says. mteb 2.0 was released three weeks after the picture."""
    picture = [name for name in card_tables()["leaderboard"]["rows"] if name != "gte-Qwen2-7B-instruct"]
    frame = task_points(PUBLISHED, cmteb(), "card").dropna()
    by_mteb_2 = [
        name for name, one in PUBLISHED.items() if one.mteb_versions and all(v[:2] == "2." for v in one.mteb_versions)
    ]
    everyone, earlier = (
        frame.rename(index=lambda name: name.split("/")[-1])
        for frame in (frame, frame.drop(index=by_mteb_2, errors="ignore"))
    )
    assert swapped(picture, borda_ranks(everyone).to_dict()) == {
        ("ritrieve_zh_v1", "Conan-embedding-v2"),
        ("xiaobu-embedding-v2", "Qwen3-Embedding-8B"),
    }
    held = [name for name in picture if name in earlier.index]
    assert len(earlier) == 35 and swapped(held, borda_ranks(earlier).to_dict()) == set()


def test_a_published_model_run_again_takes_its_own_place():
    for model in (CARD, "local/QZhou-Embedding-Zh"):
        again = place("mine", model, points(CARD), cmteb(), "card")
        assert (again.replaces, again.models, again.run) == (CARD, 48, "mine (this run)")
        assert (again.borda_rank, again.mean_rank) == (1, 1)
        assert CARD not in again.table.index
    other = place("mine", "someone/QZhou-Embedding-Zh", points(CARD), cmteb(), "card")
    assert (other.replaces, other.models) == (None, 49)
    assert other.borda_rank == other.table.at[CARD, BORDA] == 1  # equal on every task


def test_a_missing_task_takes_rank_and_means_and_leaves_the_complete_types():
    scores = points(CARD) | {"STSB": None}
    found = place("mine", CARD, scores, cmteb(), "card")
    assert (found.replaces, found.models, found.borda_rank, found.mean_rank) == (None, 48, None, None)
    assert found.mean_rank_interval is None
    row = found.table.loc[found.run]
    assert found.table.index[-1] == found.run
    assert row.isna().to_dict() == {c: c in (BORDA, *MEANS, "STS") for c in found.table.columns}
    assert row["Retrieval"] == pytest.approx(80.24, abs=0.005)
    assert found.table.at[CARD, BORDA] == 1


def test_the_interval_of_the_rank_is_the_spread_of_ranks_over_the_draws():
    rng = np.random.default_rng(0)
    mine = points("Qwen/Qwen3-Embedding-8B")
    draws = {task: score + rng.normal(0, 8, 2000) for task, score in mine.items()}
    found = place("mine", "local/new", mine, cmteb(), "card", draws=draws)
    others = task_points(PUBLISHED, cmteb(), "card").dropna().mean(axis=1).to_numpy()
    ranks = [1 + (others > mean).sum() for mean in np.mean(list(draws.values()), axis=0)]
    spread = np.percentile(ranks, [2.5, 97.5], method="nearest")
    assert found.mean_rank_interval == tuple(spread)
    assert spread[0] < found.mean_rank < spread[1]
    narrow = place("mine", "local/new", mine, cmteb(), "card", draws=draws, confidence=0.5).mean_rank_interval
    assert spread[0] <= narrow[0] <= narrow[1] < spread[1]


@pytest.mark.parametrize("hole", [None, "absent"])
def test_a_task_without_draws_leaves_no_interval(hole):
    mine = points(CARD)
    draws = {task: np.full(10, score) for task, score in mine.items()}
    assert place("mine", CARD, mine, cmteb(), "card", draws=draws).mean_rank_interval == (1, 1)
    draws = {t: d for t, d in draws.items() if t != "STSB"} | ({} if hole else {"STSB": None})
    assert place("mine", CARD, mine, cmteb(), "card", draws=draws).mean_rank_interval is None


@pytest.mark.parametrize("profile", COUNTED)
def test_a_published_model_without_a_score_on_a_task_is_named_and_not_counted(profile):
    """Under mteb2 each has one of the two splits of MultilingualSentiment: it is ranked by that, without a mean."""
    counted = {"card": {"validation"}, "mteb2": {"validation", "test"}}[profile]
    lacking = {m for m, entry in PUBLISHED.items() if not counted & entry.scores["MultilingualSentiment"].keys()}
    found = place("mine", "local/new", points(CARD, profile), cmteb(), profile)
    assert set(found.left_out) == lacking == PUBLISHED.keys() - set(found.table.index)
    assert len(found.table) == found.models == 51 - len(lacking) + 1 == COUNTED[profile] + 1
    without = {m for m, entry in PUBLISHED.items() if counted - entry.scores["MultilingualSentiment"].keys()} - lacking
    assert {name for name, row in found.table.iterrows() if row.isna().any()} == without
    assert found.table[BORDA].notna().all()


def test_published_models_are_known_by_their_short_names():
    assert len({name.split("/")[-1] for name in PUBLISHED}) == len(PUBLISHED) == 51
