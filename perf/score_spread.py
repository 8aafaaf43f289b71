"""How much a score changes when its vectors change as little as they do between two bfloat16 runs of one model.

Scores the drift data's vectors, then the same vectors with noise that leaves a given cosine to the original, under
several seeds, and prints per task the base score, the standard deviation and the largest difference (x 100). It also
prints the standard error of the score over the task's items (bootstrap), and the standard deviation as a share of it.
The tolerances of ``compare`` and ``check`` are based on this table.

    python perf/score_spread.py --drift_dir ROOT/drift [--cosine 0.9999] [--seeds 5]
"""

import argparse
import json
import logging
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support" / "scripts"))
from score_drift import PLAIN, VARIANT

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.cli.flags import existing_folder
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.evaluate.mteb_adapter.data_loading import quiet
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.statistics.bootstrap import resample_scores
from qzhou_eval.statistics.item_scores import read_items
from qzhou_eval.system.paths import items_path

TASKS = (
    *("TNews", "IFlyTek", "Waimai", "CLSClusteringS2S", "ThuNewsClusteringS2S", "Ocnli", "AFQMC", "STSB"),
    *("T2Reranking", "CMedQAv1-reranking", "T2Retrieval", "CovidRetrieval"),
)


def noisy(vectors: np.ndarray, cosine: float, seed: int) -> np.ndarray:
    """Unit vectors at the given cosine to unit ``vectors``, in random directions; float32."""
    noise = np.random.default_rng(seed).standard_normal(vectors.shape).astype(np.float32)
    noise -= (noise * vectors).sum(axis=1, keepdims=True) * vectors
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return cosine * vectors + np.sqrt(1 - cosine**2) * noise


def scores(drift: Path, texts: list[str], vectors: np.ndarray) -> dict[str, tuple[float, float]]:
    """Main score and its standard error over items, x 100, of every task from these vectors."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store", VARIANT.fingerprint)
        store.create({})
        store.add([prompt_key(text) for text in texts], torch.from_numpy(vectors))
        found = {}
        for name in TASKS:
            task = replace(cmteb().by_name[name], splits=cmteb().by_name[name].splits[:1])
            job = EvaluateJob(task, locate(task, drift / "data"), PLAIN, store.folder.parent, Path(folder), (VARIANT,))
            score = evaluate(job).scores[VARIANT.dim]
            items = read_items(items_path(Path(folder) / VARIANT.folder / f"{name}.json"))
            found[name] = 100 * score, 100 * resample_scores([items], task.splits, seed_for=name, corrected=False).std()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drift_dir", type=existing_folder, required=True)
    parser.add_argument("--cosine", type=float, default=0.9999)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    quiet()
    logging.disable(logging.WARNING)
    texts = json.loads((args.drift_dir / "texts.json").read_text("utf-8"))
    with np.load(args.drift_dir / "vectors.npz") as file:
        vectors = file[file.files[0]].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    base = scores(args.drift_dir, texts, vectors)
    runs = [scores(args.drift_dir, texts, noisy(vectors, args.cosine, seed)) for seed in range(args.seeds)]
    rows = []
    for name in TASKS:
        score, error = base[name]
        moved = np.array([run[name][0] - score for run in runs])
        deviation = moved.std(ddof=1)
        rows.append([cmteb().by_name[name].type, name, score, deviation, abs(moved).max(), error, deviation / error])
    print(f"cosine {args.cosine}, {args.seeds} seeds, vectors of {vectors.shape[1]} dimensions\n")
    print(tabulate(rows, ["type", "task", "score", "sd", "largest difference", "error", "share"], floatfmt=".3f"))


if __name__ == "__main__":
    main()
