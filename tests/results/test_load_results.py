"""``load_results``: every row compared with result file, manifest and scipy's bootstrap; the documented example."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from stored import WIDTH, variant
from written import result_json

from qzhou_eval import load_results
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.results.variant import record_for
from qzhou_eval.statistics.item_scores import read_items
from qzhou_eval.system.paths import items_path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/python.md"
COLUMNS = ["model", "dim", "tp", "task", "type", "split", "metric", "score", "low", "high", "setting", "revision"]
COLUMNS += ["label"]


def put(output, one, name, scores):
    """Write a finished result as an evaluation without items leaves it."""
    record = replace(record_for(packaged_tasks()[name], "local-1"), splits=tuple(scores))
    path = output / one.folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(result_json(name, record, scores))
    Manifest(output).add([one], name, record, {}, {})


def test_a_row_for_each_result_of_a_run(finished):
    frame = load_results(finished)
    assert list(frame.columns) == COLUMNS
    entries = json.loads((finished / "manifest.json").read_text())["variants"]
    assert len(frame) == sum(len(entry["tasks"]) for entry in entries.values()) == 6
    for place, entry in entries.items():
        for task, made in entry["tasks"].items():
            (row,) = frame[(frame.dim == entry["variant"]["dim"]) & (frame.task == task)].to_dict("records")
            (split,) = made["record"]["splits"]
            scores = json.loads((finished / place / f"{task}.json").read_text())["scores"]
            assert row["score"] == pytest.approx(100 * scores[split][0]["main_score"])
            assert (row["split"], row["metric"], row["type"]) == (
                split,
                *(made["record"][k] for k in ("metric", "type")),
            )
            assert (row["model"], row["revision"]) == ("local/tiny", entry["variant"]["revision"])
            assert (row["tp"], row["setting"]) == ("1-7", "")
            assert row["low"] <= row["score"] <= row["high"]


def test_intervals_are_scipys_within_what_resampling_leaves_open(finished):
    frame = load_results(finished, confidence=0.9).set_index(["task", "dim"])
    place = min(json.loads((finished / "manifest.json").read_text())["variants"], key=len)
    (queries,) = read_items(items_path(finished / place / "T2Reranking.json")).splits.values()
    (pairs,) = read_items(items_path(finished / place / "STSB.json")).splits.values()
    for task, columns, statistic in [
        ("T2Reranking", queries, np.mean),
        ("STSB", pairs, lambda gold, found: stats.spearmanr(gold, found).statistic),
    ]:
        theirs = stats.bootstrap(
            columns,
            statistic,
            paired=len(columns) == 2,
            n_resamples=2000,
            confidence_level=0.9,
            method="percentile",
            vectorized=False,
            rng=0,
        ).confidence_interval
        ours = frame.loc[(task, 96), ["low", "high"]].to_numpy(float)
        assert ours == pytest.approx(100 * np.array(theirs), abs=float(10 * (theirs.high - theirs.low)))


def test_without_resamples_there_are_no_intervals_and_a_seed_decides_them(finished):
    bare = load_results(finished, resamples=0)
    once, twice, other = (load_results(finished, seed=seed, resamples=300) for seed in (1, 1, 2))
    assert bare[["low", "high"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(bare.drop(columns=["low", "high"]), once.drop(columns=["low", "high"]))
    pd.testing.assert_frame_equal(once, twice)
    assert not once.low.equals(other.low)


def test_unlike_settings_are_never_mistaken_for_each_other(tmp_path):
    one = variant(WIDTH)
    for kind in (
        one,
        variant(8),
        replace(one, revision="def"),
        replace(one, token_prepending=(1, 7), experiment=(("token_prepending", "1-7"),)),
        replace(one, dtype="float16", experiment=(("dtype", "float16"), ("max_length", 512))),
        replace(one, dim=8, experiment=(("dim", 8), ("mteb", "1.38.30"))),
    ):
        put(tmp_path, kind, "MiniSTS", {"test": 0.5})
    frame = load_results(tmp_path)
    assert not frame.duplicated(["model", "revision", "dim", "tp", "setting", "task", "split"]).any()
    assert set(zip(frame.dim, frame.tp, frame.setting, frame.revision, strict=True)) == {
        (WIDTH, "off", "", "abc"),
        (8, "off", "profile qzhou-zh-mini", "abc"),
        (WIDTH, "off", "", "def"),
        (WIDTH, "1-7", "", "abc"),
        (WIDTH, "off", "dtype float16, max_length 512", "abc"),
        (8, "off", "mteb 1.38.30", "abc"),
    }
    assert frame[["low", "high"]].isna().all(axis=None)  # no items were stored


def test_the_score_profile_decides_which_splits_are_there(tmp_path):
    put(tmp_path, variant(WIDTH), "MultilingualSentiment", {"validation": 0.8, "test": 0.6})
    assert dict(load_results(tmp_path)[["split", "score"]].to_numpy()) == {"validation": 80.0}
    both = load_results(tmp_path, score_profile="mteb2")
    assert dict(both[["split", "score"]].to_numpy()) == {"validation": 80.0, "test": 60.0}
    with pytest.raises(BadInput, match="score_profile 'mteb3': give one of card, mteb2"):
        load_results(tmp_path, score_profile="mteb3")


@pytest.mark.parametrize("wrong", [{"confidence": 2}, {"confidence": 0}, {"resamples": -5}])
def test_settings_of_the_bootstrap_that_cannot_be(finished, wrong):
    with pytest.raises(BadInput, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}: give "):
        load_results(finished, **wrong)


def test_no_folder_and_no_counted_split(tmp_path):
    with pytest.raises(BadInput, match="give one output folder or more"):
        load_results()
    with pytest.raises(BadInput, match=r"is not a folder; give folders one by one: load_results\('one', 'two'\)"):
        load_results([tmp_path])
    put(tmp_path, variant(WIDTH), "MultilingualSentiment", {"test": 0.6})
    with pytest.raises(BadInput, match="no score on validation, which card counts"):
        load_results(tmp_path)


def test_several_folders_and_bad_ones(finished, tmp_path, caplog):
    put(tmp_path / "more", variant(WIDTH), "MiniSTS", {"test": 0.5})
    assert set(load_results(finished, str(tmp_path / "more"), resamples=0).model) == {"local/tiny", "test/stored"}
    with pytest.raises(BadInput, match="nowhere: no results there"):
        load_results(finished, tmp_path / "nowhere")
    copy = shutil.copytree(finished, tmp_path / "copy")
    next(copy.glob("results/*/*/STSB.items.safetensors")).write_bytes(b"")
    found = load_results(copy).set_index(["task", "dim"])
    assert "STSB.items.safetensors: missing or changed, so the score has no interval" in caplog.text
    assert np.isnan(found.low["STSB", 96]) and found.low.notna().sum() == 5


@pytest.mark.slow
def test_the_documented_example_runs_and_shows_the_reports_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "qzhou_eval.miniature"], env=env, capture_output=True, check=True)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL):
        exec(compile(block, DOCUMENT.name, "exec"), names)
    assert Path("mrl.svg").stat().st_size > 10_000
    table = pd.read_csv("results/miniature/report/mini_tasks.csv").set_index(["model", "task"])
    table = table[[column for column in table.columns if column.isdigit()]].rename(columns=int)
    on = table.loc["mini-qwen3"].loc[names["by_dim"].index, names["by_dim"].columns]
    off = table.loc["mini-qwen3 (TP off)"].loc[on.index, on.columns]
    np.testing.assert_allclose(names["by_dim"], on, atol=1e-4)
    gain = names["gain"].droplevel(["model", "revision", "setting", "split"]).loc[on.index, on.columns]
    np.testing.assert_allclose(gain, on - off, atol=2e-4)
