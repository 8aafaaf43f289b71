"""A sweep over all eight dimensions of the miniature: encoding and evaluating, compared with the published procedure.

encode: sentence-transformers in slices of 128 texts, batches of 32, every text of every task once per dimension, as the
published script does, except for its process starts; compared with our encode stage, which plans, tokenises, encodes
and writes the store, with a started worker pool. Both sides have their model loaded, in float32, without token
prepending, which sentence-transformers does not support. Measured once.

evaluate: mteb's own evaluation in this process, with tasks loaded and vectors in memory, default threads; compared with
our evaluate stage, which reads the store and writes results, in a worker pool of the default size that has already
imported mteb. Measured in turn, three times; medians. A finished miniature is made if there is none (a minute or two).

A difference is the largest of a component of the unit vectors (encode) or of a metric (evaluate).

    python perf/sweep.py [--output_dir D] [--check]
"""

import argparse
import json
import logging
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from mteb.abstasks import AbsTask
from mteb.models import ModelMeta
from mteb.results import TaskResult
from mteb.similarity_functions import cos_sim, pairwise_cos_sim
from sentence_transformers import SentenceTransformer
from tabulate import tabulate

from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.evaluate.mteb_adapter import v2
from qzhou_eval.evaluate.mteb_adapter.data_loading import quiet
from qzhou_eval.evaluate.mteb_adapter.stored_vectors import TaskVectors
from qzhou_eval.miniature.__main__ import CHECKPOINT, config
from qzhou_eval.protocol.matryoshka import cut_and_normalize
from qzhou_eval.protocol.prompts import prompts_of
from qzhou_eval.run.pipeline import execute
from qzhou_eval.run.plan import plan_task
from qzhou_eval.run.prepare import Run, prepare_run
from qzhou_eval.run.processes import process_pool, worker_count

REPEATS = 3
EVALUATE_RATIO, ENCODE_RATIO = 3, 7.5
SLICE, BATCH = 128, 32  # the published script's slices, sentence-transformers' default batch
SAME_VECTOR = 1e-5
SEARCH = ("Retrieval", "Reranking")
TOLERANCE = 1e-5  # for the metrics of these two; all others must be equal as written
OPTIONS = {"batch_size": 1024, "show_progress_bar": False}


class PlainEncoder:
    """mteb's encoder protocol over vectors in memory: looks each text up when asked, cuts, normalises."""

    def __init__(self, vectors: dict[tuple[str | None, str], np.ndarray], dim: int) -> None:
        self.mteb_model_meta = ModelMeta.create_empty(overwrites={"name": "plain/plain", "revision": "1"})
        self._vectors = vectors
        self._dim = dim

    def encode(self, inputs, *, prompt_type=None, **kwargs):
        side = getattr(prompt_type, "value", None)
        cut = np.stack([self._vectors[side, text][: self._dim] for batch in inputs for text in batch["text"]])
        return cut / np.linalg.norm(cut, axis=1, keepdims=True)

    def similarity(self, one, two):
        return cos_sim(one, two)

    def similarity_pairwise(self, one, two):
        return pairwise_cos_sim(one, two)


def in_memory(run: Run) -> list[tuple[AbsTask, dict[tuple[str | None, str], np.ndarray]]]:
    """Each task, loaded, and its vectors at full width by side and text."""
    store = Store(run.store_dir, run.subject.readings[0].fingerprint)
    store.refresh()
    found = []
    for task in run.tasks:
        source = run.sources[task.name]
        stored = TaskVectors(store, task, run.subject.profile, use_instruction=run.use_instruction)
        vectors = {}
        for call in v2.calls(v2.load(task, source), task, source):
            vectors |= zip(((call.side, text) for text in call.texts), stored.of(call.texts, call.side), strict=True)
        found.append((v2.load(task, source), vectors))
    return found


def by_mteb(run: Run, loaded: list[tuple[AbsTask, dict]], folder: Path) -> float:
    """Seconds of mteb's evaluation, one dimension after the other; it writes results below ``folder``, untimed."""
    results, start = [], time.perf_counter()
    for variant in run.variants:
        for mteb_task, vectors in loaded:
            encoder = PlainEncoder(vectors, variant.dim)
            scores = {s: mteb_task.evaluate(encoder, s, encode_kwargs=OPTIONS) for s in mteb_task.eval_splits}
            results.append((folder / variant.folder / f"{mteb_task.metadata.name}.json", mteb_task, scores))
    seconds = time.perf_counter() - start
    for path, mteb_task, scores in results:
        path.parent.mkdir(parents=True, exist_ok=True)
        TaskResult.from_task_results(mteb_task, scores, evaluation_time=0).to_disk(path)
    return seconds


def by_us(run: Run, pool: ProcessPoolExecutor, folder: Path) -> float:
    """Seconds of our evaluate stage; it writes results below ``folder``."""
    todo = {task.name: run.variants for task in run.tasks}
    start = time.perf_counter()
    outcome = execute(replace(run, output_dir=folder), todo, pool, stages=("evaluate",))
    seconds = time.perf_counter() - start
    if outcome.failed:
        sys.exit("a task failed; nothing is measured")
    return seconds


def differences(run: Run, ours: Path, theirs: Path) -> dict[bool, float]:
    """The largest difference of any metric at any dimension: of search tasks (True), and of all others (False)."""
    largest = {True: 0.0, False: 0.0}
    for variant in run.variants:
        for task in run.tasks:
            one, two = (json.loads((f / variant.folder / f"{task.name}.json").read_text()) for f in (ours, theirs))
            expected = dict(numbers(two["scores"]))
            found = dict(numbers(one["scores"]))
            if found.keys() != expected.keys():
                sys.exit(f"{task.name}: not the same metrics as mteb's")
            apart = [abs(found[key] - expected[key]) for key in expected]
            search = task.type in SEARCH
            largest[search] = max(largest[search], *apart)
    return largest


def numbers(value: object, place: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a result's scores, with its place; metrics that a task does not have (NaN) are left out."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, f"{place}/{key}")
    elif isinstance(value, int | float) and not math.isnan(value):
        yield place, float(value)


def by_sentence_transformers(run: Run, loaded: list[list[str]], model: SentenceTransformer) -> tuple[float, dict]:
    """Seconds to encode each call's prompts once per dimension, and the last pass's vectors by prompt."""
    vectors: dict[str, np.ndarray] = {}
    start = time.perf_counter()
    for _ in run.variants:
        for prompts in loaded:
            for first in range(0, len(prompts), SLICE):
                some = prompts[first : first + SLICE]
                vectors |= zip(some, model.encode(some, batch_size=BATCH, show_progress_bar=False), strict=True)
    return time.perf_counter() - start, vectors


def encode_half(run: Run) -> dict:
    """Measure the encode stage into a new store; one row of the table. ``run`` is without token prepending."""
    tokenizer, encoder = run.subject.open_tokenizer(), run.subject.open_encoder()
    model = SentenceTransformer(str(CHECKPOINT), device="cpu", model_kwargs={"dtype": "float32"})
    calls = []
    for task in run.tasks:
        source = run.sources[task.name]
        for call in v2.calls(v2.load(task, source), task, source):
            calls.append(prompts_of(run.subject.profile, task, call.side, call.texts, use_instruction=True))
    with tempfile.TemporaryDirectory() as folder, process_pool() as pool:
        _warm(run, pool)
        opened = replace(run.subject, open_tokenizer=lambda: tokenizer, open_encoder=lambda: encoder)
        new = replace(run, store_dir=Path(folder), subject=opened)
        start = time.perf_counter()
        execute(new, {task.name: run.variants for task in run.tasks}, pool, stages=("encode",))
        ours = time.perf_counter() - start
        theirs, expected = by_sentence_transformers(run, calls, model)
        store = Store(new.store_dir, run.subject.readings[0].fingerprint)
        store.refresh()
        found = store.get([prompt_key(prompt) for prompt in expected]).numpy()
    apart = np.abs(cut_and_normalize(found) - cut_and_normalize(np.stack(list(expected.values())))).max()
    same = apart <= SAME_VECTOR
    return _row("encode", theirs, ours, ENCODE_RATIO, same=same, difference=float(apart), difference_of_search=None)


def _row(half: str, theirs: float, ours: float, goal: float, *, same: bool, **differences: float | None) -> dict:
    """A row of the table."""
    row = {"half": half, "theirs, s": theirs, "ours, s": ours, "ratio": theirs / ours, "goal": goal}
    return row | differences | {"met": "yes" if same and theirs >= goal * ours else "NO"}


def _warm(run: Run, pool: ProcessPoolExecutor) -> None:
    """Let every worker start and import mteb."""
    started = [
        pool.submit(plan_task, task, run.sources[task.name], run.subject.profile, use_instruction=run.use_instruction)
        for task in run.tasks * worker_count()
    ]
    for plan in started:
        plan.result()


def evaluate_half(run: Run) -> dict:
    """Measure the evaluate stage on a finished run's store; one row of the table."""
    seconds = {"mteb": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder, process_pool() as pool:
        ours, theirs = Path(folder) / "ours", Path(folder) / "theirs"
        _warm(run, pool)
        loaded = in_memory(run)
        for repeat in range(REPEATS):
            seconds["mteb"].append(by_mteb(run, loaded, theirs))
            seconds["ours"].append(by_us(run, pool, ours / str(repeat)))
        largest = differences(run, ours / "0", theirs)
    mteb, our = (statistics.median(seconds[side]) for side in ("mteb", "ours"))
    same = largest[False] == 0 and largest[True] <= TOLERANCE
    differ = {"difference": largest[False], "difference_of_search": largest[True]}
    return _row("evaluate", mteb, our, EVALUATE_RATIO, same=same, **differ)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, help="the miniature's output; made there if it is not finished")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a goal is missed")
    args = parser.parse_args()
    quiet()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        output_dir = args.output_dir or Path(folder)
        miniature = [sys.executable, "-m", "qzhou_eval.miniature", "--output_dir", str(output_dir.resolve())]
        subprocess.run(miniature, cwd=Path(__file__).resolve().parents[1], capture_output=True, check=True)
        on = config(output_dir)
        off = replace(on, options=replace(on.options, token_prepending="off"))
        rows = [evaluate_half(prepare_run(on)), encode_half(prepare_run(off))]
    print(tabulate(rows, "keys", floatfmt=("", ".2f", ".2f", ".1f", ".1f", ".1e", ".1e")))
    if args.check and any(row["met"] == "NO" for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
