"""The bootstrap compared with scipy's on the same random numbers, and each statistic with scipy's own code."""

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import v_measure_score

from qzhou_eval.benchmark.averages import table_row
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.statistics.bootstrap import resample_scores, rng_for
from qzhou_eval.statistics.intervals import interval, separable
from qzhou_eval.statistics.item_scores import MEAN, SPEARMAN, V_MEASURE, Items, dense_ranks, read_items, write_items
from qzhou_eval.statistics.jackknife import standard_error
from qzhou_eval.statistics.resampled_scores import counted, value
from qzhou_eval.system.paths import items_path

TYPES = cmteb().types

N = 57


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def mean_items(rng, number=N):
    return Items(MEAN, "queries", {"test": rng.random((1, number), np.float32)}, {})


def ranked(gold, found):
    rows = [dense_ranks(gold), dense_ranks(found)]
    return Items(SPEARMAN, "pairs", {"test": np.stack(rows).astype(np.uint32)}, {})


def scipy_draws(statistic, split="test", *, seed_for="a task", n=N, resamples=300):
    """What scipy draws and scores with our random numbers; ``statistic`` takes the drawn row numbers."""
    done = scipy.stats.bootstrap(
        (np.arange(n),),
        statistic,
        vectorized=False,
        n_resamples=resamples,
        method="percentile",
        rng=rng_for(seed_for, split),
    )
    return done.bootstrap_distribution, done.confidence_interval


@pytest.mark.parametrize("digits", [0, 1, 6])  # with few digits many values are equal
def test_resampled_rank_correlations_are_scipys(rng, digits):
    gold, found = rng.integers(0, 6, N), rng.random(N).round(digits) + rng.integers(0, 3, N)
    theirs, limits = scipy_draws(lambda rows: scipy.stats.spearmanr(gold[rows.astype(int)], found[rows.astype(int)])[0])
    ours = resample_scores([ranked(gold, found)], ["test"], seed_for="a task", resamples=300)
    np.testing.assert_allclose(ours[0], theirs, atol=1e-12)
    np.testing.assert_allclose(interval(ours[0]), limits, atol=1e-12)


def test_resampled_means_and_their_differences_are_scipys(rng):
    one, other = mean_items(rng), mean_items(rng)
    a, b = (items.splits["test"][0].astype(float) for items in (one, other))
    ours = resample_scores([one, other], ["test"], seed_for="a task", resamples=300)
    theirs, limits = scipy_draws(lambda rows: np.mean(a[rows.astype(int)] - b[rows.astype(int)]))
    np.testing.assert_allclose(ours[0] - ours[1], theirs, atol=1e-12)  # paired: one resample for both
    np.testing.assert_allclose(interval(ours[0] - ours[1]), limits, atol=1e-12)


def test_splits_are_resampled_on_their_own_and_averaged(rng):
    splits = {name: rng.random((1, n), np.float32) for name, n in (("validation", 20), ("test", N))}
    ours = resample_scores([Items(MEAN, "texts", splits, {})], list(splits), seed_for="a task", resamples=300)
    parts = [
        scipy_draws(lambda rows, v=values[0]: v[rows.astype(int)].mean(), name, n=values.shape[1])[0]
        for name, values in splits.items()
    ]
    np.testing.assert_allclose(ours[0], np.mean(parts, axis=0), atol=1e-7)
    assert value(Items(MEAN, "texts", splits, {}), ["test"]) == pytest.approx(splits["test"].mean())


def test_the_chunks_that_are_drawn_at_once_make_no_difference(rng, monkeypatch):
    items = [mean_items(rng)]
    at_once = resample_scores(items, ["test"], seed_for="x", resamples=100)
    monkeypatch.setattr("qzhou_eval.statistics.bootstrap._CHUNK", 3 * N)
    np.testing.assert_array_equal(resample_scores(items, ["test"], seed_for="x", resamples=100), at_once)


def test_the_seed_and_the_items_name_decide_on_resamples(rng):
    items = [mean_items(rng)]
    first = resample_scores(items, ["test"], seed_for="x")
    np.testing.assert_array_equal(resample_scores(items, ["test"], seed_for="x"), first)
    assert (resample_scores(items, ["test"], seed_for="y") != first).any()
    assert (resample_scores(items, ["test"], seed_for="x", seed=1) != first).any()


def test_one_item_says_nothing_of_spread(rng):
    assert resample_scores([mean_items(rng, 1)], ["test"], seed_for="x") is None


def test_scores_of_items_as_they_are(rng):
    gold, found = rng.integers(0, 6, N), rng.random(N)
    assert value(ranked(gold, found), ["test"]) == pytest.approx(scipy.stats.spearmanr(gold, found)[0])
    assert np.isnan(counted([ranked(gold, np.ones(N))], "test", np.ones((1, N))))


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for run in range(400):
        ours = resample_scores(
            [Items(MEAN, "queries", {"test": rng.random((1, 200), np.float32)}, {})], ["test"], seed_for=f"{run}"
        )
        low, high = interval(ours[0])
        covered += low <= 0.5 <= high
    assert 0.92 < covered / 400 < 0.98


@pytest.mark.parametrize("sets", [2, 4, 10])
def test_few_sets_do_not_make_noise_a_difference(sets):
    rng = np.random.default_rng(0)
    called = 0
    for trial in range(300):
        both = [Items(MEAN, "sets", {"test": rng.normal(0.5, 0.05, (1, sets)).astype(np.float32)}, {}) for _ in "ab"]
        one, other = resample_scores(both, ["test"], seed_for=f"{trial}", resamples=500)
        called += separable(one - other)
    assert called / 300 < 0.09


def test_sets_are_spread_by_students_t(rng):
    values = rng.random((1, 5), np.float32)
    plain, sets = (
        resample_scores([Items(MEAN, unit, {"test": values}, {})], ["test"], seed_for="x")[0]
        for unit in ("texts", "sets")
    )
    wider = scipy.stats.t.ppf(0.975, 4) / scipy.stats.norm.ppf(0.975) * np.sqrt(5 / 4)
    np.testing.assert_allclose(sets, (values.mean() + wider * (plain - values.mean())).clip(0, 1), atol=1e-6)
    two = resample_scores([Items(MEAN, "sets", {"test": values[:, :2]}, {})], ["test"], seed_for="x")[0]
    assert two.min() >= 0 and two.max() <= 1  # Student's t with one degree of freedom reaches far beyond


def test_a_resample_without_a_score_leaves_no_interval():
    """Three pairs: a resample that repeats a single pair has no rank order."""
    assert resample_scores([ranked(np.arange(3), np.arange(3))], ["test"], seed_for="x") is None


def test_a_real_difference_is_told_from_none(rng):
    same, better = rng.standard_normal((2, 2000))
    assert not separable(same) and separable(better / 10 + 1) and separable(-better / 10 - 1)


def test_means_of_resampled_scores_are_means_of_each_resample(rng):
    tasks = list(cmteb().tasks)
    resampled = {task.name: rng.random(5) for task in tasks}
    row = table_row(resampled, cmteb())
    for number in range(5):
        one = table_row({name: values[number] for name, values in resampled.items()}, cmteb())
        assert {column: values[number] for column, values in row.items()} == pytest.approx(one)
    resampled["STSB"] = None
    row = table_row(resampled, cmteb())
    assert [kind for kind in TYPES if row[kind] is None] == ["STS"] and row["Mean(Task)"] is None


def test_items_come_back_from_their_file(rng, tmp_path):
    probe = {"query": rng.random((3, 8), np.float32), "document": rng.random((2, 8), np.float32)}
    items = Items(SPEARMAN, "pairs", ranked(rng.integers(0, 6, N), rng.random(N)).splits, probe)
    path = items_path(tmp_path / "STSB.json")
    write_items(path, items)
    back = read_items(path)
    assert (back.statistic, back.unit, path.name) == ("spearman", "pairs", "STSB.items.safetensors")
    for ours, theirs in ((back.splits, items.splits), (back.probe, probe)):
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            assert array.dtype == theirs[name].dtype
            np.testing.assert_array_equal(array, theirs[name])


def test_dense_ranks():
    ranks = dense_ranks([0.5, -1, 0.5, 3])
    assert ranks.tolist() == [1, 0, 1, 2] and ranks.dtype == np.uint8
    assert dense_ranks(np.arange(300.0)).dtype == np.uint16


def clustered(rng, number: int, labels: int, share: float) -> Items:
    """A set of texts, of which a share is in its label's cluster and the others are anywhere."""
    of = rng.integers(0, labels, number)
    clusters = np.where(rng.random(number) < share, of, rng.integers(0, labels, number))
    return Items(V_MEASURE, "texts", {"test": np.stack([dense_ranks(of), dense_ranks(clusters)])}, {})


@pytest.mark.parametrize("labels", [1, 2, 7, 40])
def test_a_v_measure_is_sklearns_on_the_items_and_on_each_resample(labels):
    rng = np.random.default_rng(labels)
    several = [clustered(rng, N, labels, share) for share in (0.3, 0.9)]
    several[1].splits["test"][0] = several[0].splits["test"][0]
    counts = rng.multinomial(N, np.full(N, 1 / N), 20)
    for items, found in zip(several, counted(several, "test", counts), strict=True):
        expected = [v_measure_score(*np.repeat(items.splits["test"], one, axis=1)) for one in counts]
        np.testing.assert_allclose(found, expected, atol=1e-9)
        assert value(items, ["test"]) == pytest.approx(v_measure_score(*items.splits["test"]), abs=1e-9)


def test_the_jackknife_leaves_out_each_item_in_turn():
    items = clustered(np.random.default_rng(0), N, 5, 0.6)
    rows = items.splits["test"]
    scores = [v_measure_score(*np.delete(rows, at, axis=1)) for at in range(N)]
    assert standard_error(items, "test") == pytest.approx(np.sqrt((N - 1) * np.var(scores)), abs=1e-9)


@pytest.mark.parametrize(("number", "labels"), [(60, 3), (60, 10), (150, 30)])
def test_a_v_measures_interval_covers_what_scores_of_that_many_texts_average(number, labels):
    """Plain resamples would cover it in 15 to 60 % of cases with many labels: repeated texts raise a V-measure."""
    several = [clustered(np.random.default_rng(seed), number, labels, 0.6) for seed in range(120)]
    average = np.mean([value(items, ["test"]) for items in several])
    covered = 0
    for seed, items in enumerate(several):
        drawn = resample_scores([items], ["test"], seed_for="one", resamples=300, seed=seed)
        low, high = interval(drawn[0])
        covered += low <= average <= high
    assert 0.88 <= covered / len(several) <= 1
