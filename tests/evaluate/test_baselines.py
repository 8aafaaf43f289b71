"""Chance and character n-grams, compared with every possible order, plain loops, the data's own labels and mteb."""

import itertools
import json
import shutil
import zlib
from collections import Counter
from importlib.metadata import version

import numpy as np
import pytest
from commands import run_command
from layouts import MINI
from reporting import ITEMS, values_of, write_results
from scipy.stats import spearmanr

from qzhou_eval import cli
from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.encode.char_ngrams import WIDTH, vectors
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.baseline import measure
from qzhou_eval.evaluate.chance_levels import majority, random_average_precision, random_ndcg, random_v_measure
from qzhou_eval.report.content.build import contents
from qzhou_eval.report.formats.language import words
from qzhou_eval.results.baselines import Baseline, keep, place, read
from qzhou_eval.statistics.item_scores import Items

MTEB = version("mteb")


def one_vector(text: str) -> np.ndarray:
    letters = "".join(text.split())
    result = np.zeros(WIDTH)
    for n in (1, 2, 3):
        for start in range(len(letters) - n + 1):
            code = zlib.crc32(letters[start : start + n].encode())
            result[code % WIDTH] += 1 if code >> 16 & 1 else -1
    return result if result.any() else np.eye(1, WIDTH)[0]


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_ngram_vectors_are_those_of_plain_loops(count):
    rng = np.random.default_rng(0)
    letters = ["中", "文", "a", " ", "\n", "😀", "\U0010ffff", "é"]
    texts = ["", "a", " ", "ab", *("".join(rng.choice(letters, rng.integers(0, 9))) for _ in range(count))][-count:]
    texts = texts if count else []
    np.testing.assert_array_equal(vectors(texts), np.array([one_vector(text) for text in texts]).reshape(-1, WIDTH))


def orders(size: int):
    """The ranks, from 0, of ``size`` documents in every order."""
    return itertools.permutations(range(size))


@pytest.mark.parametrize(
    ("found", "lost", "size", "k"), [([1], [], 6, 10), ([3, 1, 1], [2], 6, 3), ([2, 1], [1], 2, 10)]
)
def test_the_ndcg_of_chance_is_the_mean_over_all_orders(found, lost, size, k):
    best = sum(g / np.log2(i + 2) for i, g in enumerate(sorted([*found, *lost], reverse=True)[:k]))
    every = [
        sum(g / np.log2(at + 2) for g, at in zip(found, order, strict=False) if at < k) / best for order in orders(size)
    ]
    assert random_ndcg(found, [*found, *lost], size, k) == pytest.approx(np.mean(every))


@pytest.mark.parametrize(
    ("found", "lost", "size", "k"), [(1, 0, 6, 1000), (3, 1, 6, 1000), (2, 0, 6, 3), (2, 0, 2, 10)]
)
def test_the_average_precision_of_chance_is_the_mean_over_all_orders(found, lost, size, k):
    every = []
    for order in orders(size):
        at = sorted(order[:found])
        every.append(sum((nth + 1) / (a + 1) for nth, a in enumerate(at) if a < k) / (found + lost))
    assert random_average_precision(found, found + lost, size, k) == pytest.approx(np.mean(every))


def test_chance_without_anything_to_find():
    assert random_ndcg([], [1], 5, 10) == random_ndcg([], [1], 0, 10) == random_average_precision(0, 2, 5, 10) == 0
    assert majority("abbb") == 0.75
    assert random_v_measure(["one"] * 5) == 1
    assert 0 < random_v_measure(np.arange(2000) % 10) < 0.02


def rows(name: str) -> list[dict]:
    (file,) = (path for path in (MINI / name / "data").iterdir() if path.stem != "train")
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("baselines")
    found = {}
    for name in ("MiniClassification", "MiniPairClassification", "MiniReranking", "MiniRetrieval", "MiniSTS"):
        source = locate(packaged_tasks()[name], None)
        measure(packaged_tasks()[name], source, folder)
        found[name] = read(folder, name, source.revision, MTEB)
    return found


def test_accuracies_of_chance_are_the_share_of_the_datas_most_frequent_label(measured):
    for name in ("MiniClassification", "MiniPairClassification"):
        labels = [label for row in rows(name) for label in np.atleast_1d(row["label" if "label" in row else "labels"])]
        (by_chance,) = measured[name][0].chance.values()
        assert by_chance == max(Counter(labels).values()) / len(labels)


def test_rank_metrics_of_chance_are_those_of_two_answers_among_the_candidates(measured):
    """Reranking has two relevant documents among eight candidates, retrieval two among all documents."""
    (reranking,), (retrieval,) = (measured[name][0].chance.values() for name in ("MiniReranking", "MiniRetrieval"))
    assert reranking == pytest.approx(random_average_precision(2, 2, 8, 1000))
    documents = sum(1 for _ in (MINI / "MiniRetrieval" / "corpus").rglob("*.jsonl").__next__().open())
    assert retrieval == pytest.approx(random_ndcg([1, 1], [1, 1], documents, 10))


def test_scores_of_ngrams_are_what_scipy_makes_of_their_vectors(measured):
    baseline, items = measured["MiniSTS"]
    pairs = rows("MiniSTS")
    one, two = (np.array([one_vector(pair[side]) for pair in pairs]) for side in ("sentence1", "sentence2"))
    cosine = (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    expected = spearmanr(cosine, [pair["score"] for pair in pairs]).statistic
    near = pytest.approx(expected, abs=2e-3)  # many cosines are equal except for rounding, which differs in float32
    assert baseline.char_ngrams == {"test": near}
    assert baseline.chance == {"test": 0} and items.splits["test"].shape == (2, len(pairs))


def test_a_run_keeps_them_by_the_datas_digest(finished):
    records = [entry["tasks"] for entry in json.loads((finished / "manifest.json").read_text())["variants"].values()]
    for name in ("STSB", "T2Reranking"):
        baseline, items = read(finished, name, records[0][name]["record"]["data"], MTEB)
        assert baseline.task == name and items is not None
    assert len(list((finished / "baselines").glob("*.json"))) == 2


def test_a_file_of_other_data_is_refused_and_never_used(tmp_path):
    scores = {"metric": "cosine_spearman", "mteb": MTEB, "chance": {"test": 0.0}, "char_ngrams": {"test": 0.5}}
    keep(tmp_path, Baseline("STSB", "local-1", **scores), None)
    assert read(tmp_path, "STSB", "local-2", MTEB) is None and read(tmp_path, "STSB", "local-1", "2.0") is None
    shutil.copy(place(tmp_path, "STSB", "local-1", MTEB), place(tmp_path, "STSB", "local-2", MTEB))
    with pytest.raises(BadInput, match="other data"):
        read(tmp_path, "STSB", "local-2", MTEB)


def floor(folder, task: str, char_ngrams: np.ndarray, chance: float) -> None:
    """Store a baseline with the given n-gram score of each item."""
    (split,) = packaged_tasks()[task].splits
    about = {"metric": packaged_tasks()[task].metric, "mteb": MTEB, "chance": {split: chance}}
    scores = {split: float(char_ngrams.astype(np.float32).astype(np.float64).mean())}
    items = Items("mean", "queries", {split: char_ngrams[None].astype(np.float32)}, {})
    keep(folder, Baseline(task, "local-1", **about, char_ngrams=scores), items)


def test_what_is_not_significantly_better_than_chance_or_ngrams_is_named(tmp_path, capsys):
    """STSB is better than n-grams on as many items as worse, BQ worse on each; Ocnli is close to chance."""
    write_results(tmp_path, tasks=["Ocnli", "BQ", "STSB"], tps=[True])
    swaps = np.where(np.arange(ITEMS) % 2, 0.1, -0.1)
    floor(tmp_path, "STSB", values_of("STSB", 24, tp=True) + swaps, chance=0.0)
    ocnli = values_of("Ocnli", 24, tp=True)
    floor(tmp_path, "BQ", values_of("BQ", 24, tp=True) + 0.05, chance=0.0)
    floor(tmp_path, "Ocnli", ocnli - 0.02, chance=float(ocnli.mean()) - 0.001)
    (part,) = contents([tmp_path], "card").parts
    said = [words("en").render(text) for text in part.findings[0].text]
    assert said[-3:] == [
        "Not significantly better than chance: Ocnli.",
        "Worse than character n-grams: BQ.",
        "Not significantly better than character n-grams: STSB.",
    ]
    (table,) = part.of("tasks")
    assert table.columns[-2:] == ("chance", "char_ngrams")
    cells = {row.name: row.cells[-2:] for row in table.rows}
    assert cells["STSB"][0].value == 0 and cells["STSB"][0].bounds is None
    assert cells["STSB"][1].value == pytest.approx(100 * values_of("STSB", 24, tp=True).mean(), abs=1e-3)
    low, high = cells["STSB"][1].bounds
    assert low < cells["STSB"][1].value < high
    assert cli.main(["report", str(tmp_path), "--lang", "zh"]) == 0
    assert "未显著优于字符 n-gram：STSB。" in capsys.readouterr().out


def test_a_damaged_one_is_one_line(tmp_path, capsys):
    write_results(tmp_path, tasks=["STSB"], tps=[True])
    path = place(tmp_path, "STSB", "local-1", MTEB)
    path.parent.mkdir()
    path.write_text("{")
    assert cli.main(["report", str(tmp_path)]) == 2
    assert f"{path}: not a complete baseline" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_kept_is_not_made_again(finished, tmp_path, tiny, official):
    output = tmp_path / "out"
    shutil.copytree(finished, output)
    before = {path: path.stat().st_mtime_ns for path in (output / "baselines").iterdir()}
    assert cli.main(run_command(tiny, official, output, "--reevaluate", "STSB")) == 0
    assert {path: path.stat().st_mtime_ns for path in (output / "baselines").iterdir()} == before


def test_one_that_fails_costs_no_result(tiny, official, tmp_path, caplog):
    output = tmp_path / "out"
    output.mkdir()
    (output / "baselines").write_text("a file where the folder should be")
    assert cli.main(run_command(tiny, official, output, "--tasks", "STSB", "--dim", "16")) == 0
    assert list(output.glob("results/**/STSB.json"))
    assert "STSB: chance and character n-grams are not scored on its data" in caplog.text
