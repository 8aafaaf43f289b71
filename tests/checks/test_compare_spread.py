"""``compare`` shows the interval of each difference between two runs, as scipy's paired bootstrap gives it."""

import json
import re
from typing import NamedTuple

import numpy as np
import pytest
import scipy.stats
from commands import run_command
from comparing import compared, edited

from qzhou_eval import cli
from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.statistics.bootstrap import rng_for
from qzhou_eval.statistics.item_scores import read_items
from qzhou_eval.system.paths import data_folder

LINE = re.compile(r"^(mean of these 2 tasks|\S+) .* ([+-][\d.]+) to ([+-][\d.]+)( ≈)?  ", re.MULTILINE)


class Bounds(NamedTuple):
    low: float
    high: float


@pytest.fixture(scope="module")
def without(tiny, official, tmp_path_factory):
    """A run like ``finished``, at full width and without token prepending."""
    output = tmp_path_factory.mktemp("off") / "out"
    assert cli.main(run_command(tiny, official, output, "--dim", "96", "--token_prepending", "off")) == 0
    return output


def shown(out: str) -> dict[str, tuple[float, float, bool]]:
    return {name: (float(low), float(high), bool(mark)) for name, low, high, mark in LINE.findall(out)}


def of_task(output, task: str) -> np.ndarray:
    """The items of a run at full width."""
    (path,) = [p for p in output.glob(f"results/**/{task}.items.safetensors") if "dim_" not in p.parent.name]
    return next(iter(read_items(path).splits.values())).astype(float)


def test_differences_of_two_runs_have_scipys_intervals(finished, without, official, capsys):
    code, out, err = compared(capsys, without, "--to", finished)
    assert (code, err) == (0, "")
    found, expected, drawn = shown(out), {}, []
    for task, statistic in (
        ("STSB", lambda rows, x: scipy.stats.spearmanr(x[0, rows], x[1, rows])[0]),
        ("T2Reranking", lambda rows, x: x[0, rows].mean()),
    ):
        data = locate(packaged_tasks()[task], official).revision
        off, on = of_task(without, task), of_task(finished, task)
        resampled = scipy.stats.bootstrap(
            (np.arange(off.shape[1]),),
            lambda r, s=statistic, a=off, b=on: 100 * (s(r.astype(int), a) - s(r.astype(int), b)),
            vectorized=False,
            n_resamples=2000,
            method="percentile",
            rng=rng_for(f"{task} {data}", packaged_tasks()[task].splits[0]),
        )
        expected[task] = resampled.confidence_interval
        drawn.append(resampled.bootstrap_distribution)
    expected["mean of these 2 tasks"] = Bounds(*np.quantile(np.mean(drawn, axis=0), [0.025, 0.975]))
    assert found.keys() == expected.keys()
    for task, (low, high, mark) in found.items():
        assert (low, high) == pytest.approx(expected[task], abs=0.0051)
        assert mark == (expected[task].low <= 0 <= expected[task].high)


def test_other_data_have_no_common_items(finished, without, tmp_path, capsys):
    def other_data(entry):
        entry["tasks"]["STSB"]["record"]["data"] = entry["tasks"]["STSB"]["data_files"] = "local-other"

    copy = edited(finished, tmp_path / "copy", other_data)
    _, out, _ = compared(capsys, without, "--to", copy, "--allow-mismatch")
    assert shown(out).keys() == {"T2Reranking"}
    assert "not significant" in out and "of 1 tasks" in out


def test_against_published_scores_the_runs_own_spread_counts(finished, capsys):
    """Another model's published scores are fixed numbers: scipy's bootstrap of our items alone, minus that number."""
    code, out, err = compared(capsys, finished, "--to", "published:QZhou-Embedding-Zh")
    assert (code, err) == (0, "")
    assert "verdict" not in out and "OFF" not in out and "published scores have no items" in out
    published = json.loads((data_folder("results/published") / "published_scores.json").read_text("utf-8"))["models"]
    scores = next(m["scores"] for m in published if m["model"].endswith("/QZhou-Embedding-Zh"))
    x = of_task(finished, "T2Reranking")
    (made,) = {entry["tasks"]["T2Reranking"]["record"]["data"] for entry in manifest(finished).values()}
    bounds = scipy.stats.bootstrap(
        (np.arange(x.shape[1]),),
        lambda rows: x[0, rows.astype(int)].mean(),
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=rng_for(f"T2Reranking {made}", "dev"),
    ).confidence_interval
    theirs = 100 * scores["T2Reranking"]["dev"]
    low, high, _ = shown(out)["T2Reranking"]
    assert (low, high) == pytest.approx((100 * bounds.low - theirs, 100 * bounds.high - theirs), abs=0.0051)


def manifest(output) -> dict:
    return json.loads((output / "manifest.json").read_text())["variants"]
