"""A dress rehearsal: the benchmark at its official size with the real command, on synthetic data and a tiny model.

Measures the cost of everything but the model: reading, rendering, tokenising, the store, scoring, memory. The model has
two layers, token prepending on the second, and a projection to 1,792 dimensions as published; texts are random
characters in the official numbers and lengths (synthetic.py). All eight dimensions, a store in bfloat16.

    python perf/full_size.py                              # all of it: an hour or two, 15 GB of disk
    python perf/full_size.py --tasks STSB T2Retrieval --share 0.01
    python perf/full_size.py --kills 3                    # killed three times and resumed: the same scores
    python perf/full_size.py --against_mteb T2Retrieval   # also scored by mteb's own evaluators

Memory is PSS, sampled twice a second. Linux.
"""

import argparse
import itertools
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from synthetic import Synthetic
from tabulate import tabulate
from transformers import Qwen3Config, Qwen3Model
from watched import Watched, watch

from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.encode.store import Store
from qzhou_eval.miniature.train import byte_level_bpe
from qzhou_eval.protocol.profile_files import load_profile

WIDTH = 1792
VOCABULARY = 24_000  # gives 0.7 tokens per character, like Qwen's on Chinese
SAMPLE = 3_000  # texts that the tokenizer is trained on
SHAPE = dict(
    hidden_size=32,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=1,
    num_key_value_heads=1,
    head_dim=16,
    max_position_embeddings=2048,
    initializer_range=0.1,
)


def write_model(folder: Path, writer: Synthetic) -> None:
    """Write a random model of :data:`SHAPE` in sentence-transformers' layout, its tokenizer trained on such texts."""
    if folder.exists():
        return
    profile = load_profile("qzhou-zh")
    tokenizer = byte_level_bpe([*writer.sample(SAMPLE), *profile.templates[0].split("{text}")], VOCABULARY)
    torch.manual_seed(0)
    decoder = Qwen3Model(Qwen3Config(vocab_size=len(tokenizer), pad_token_id=0, eos_token_id=2, **SHAPE))
    with tempfile.TemporaryDirectory() as bare:
        decoder.save_pretrained(bare)
        tokenizer.save_pretrained(bare)
        modules = [
            Transformer(bare),
            Pooling(SHAPE["hidden_size"], pooling_mode="lasttoken"),
            Dense(SHAPE["hidden_size"], WIDTH, bias=True, activation_function=torch.nn.Identity()),
        ]
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)


class Rehearsal:
    """The stages, each run with the real command.

    Args:
        folder: for data, model, stores and results; existing data and an existing model are reused.
    """

    def __init__(self, folder: Path, tasks: list[str] | None, share: float) -> None:
        self.folder = folder
        self.tasks = cmteb().select(tasks, None)
        writer = Synthetic(folder / "data", share)
        start = time.monotonic()
        for task in self.tasks:
            writer.write(task)
        write_model(folder / "model", writer)
        self.rows = [["data", time.monotonic() - start]]

    def command(self, verb: str, output: str, *more: object) -> list:
        """The arguments of a run of all tasks at all dimensions; the store is that of ``run`` if none is given."""
        argv = [verb, "--model_name_or_path", self.folder / "model", "--data_dir", self.folder / "data"]
        argv += ["--output_dir", self.folder / output, "--store_dir", self.folder / "run/store", "--offline"]
        argv += ["--profile", "qzhou-zh", "--token_prepending", "1-1", "--dim", "all", "--device", "cpu"]
        argv += ["--batch_tokens", 16384]  # for so small a model, the fixed cost of a batch dominates
        return [*argv, "--dtype", "bfloat16", "--tasks", *(task.name for task in self.tasks), *more]

    def stage(self, name: str, argv: list) -> Watched:
        """Run a command to its end and add its row to the table.

        Raises:
            SystemExit: it failed.
        """
        seen = watch(argv)
        if seen.code != 0:
            sys.exit("\n".join([f"{name}: exit code {seen.code}", *seen.lines[-20:]]))
        self.rows.append([name, seen.seconds, *(size / 2**30 for size in seen.peaks)])
        print(f"{name}: {seen.seconds:,.0f} s", flush=True)
        return seen

    def scores(self, output: str) -> dict[str, str]:
        """The scores in each result file, as JSON text."""
        found = (self.folder / output / "results").rglob("*.json")
        paths = [path for path in found if path.name != "model_meta.json"]
        return {f"{p.parent.name}/{p.name}": json.dumps(json.loads(p.read_text("utf-8"))["scores"]) for p in paths}

    def kills(self, count: int, seconds: float) -> None:
        """Kill a separate run ``count`` times, then let it finish, and compare its scores with the uninterrupted run's.

        Raises:
            SystemExit: the scores differ.
        """
        draw = random.Random(count)
        argv = self.command("run", "killed", "--store_dir", self.folder / "killed/store")
        for moment in sorted(draw.uniform(0, seconds / count) for _ in range(count)):
            seen = watch(argv, kill_after=moment)
            print(f"killed after {seen.seconds:.0f} s, exit code {seen.code}", flush=True)
        self.stage("the rest of a killed run", argv)
        if self.scores("killed") != self.scores("run"):
            sys.exit("a killed run gave different scores")
        shutil.rmtree(self.folder / "killed")

    def keys(self) -> tuple[int, float, int, int]:
        """How many keys the store has, seconds to read them, its files and bytes."""
        (fingerprint,) = {entry["variant"]["fingerprint"] for entry in self.entries()}
        start, store = time.monotonic(), Store(self.folder / "run/store", fingerprint)
        store.refresh(verify=False)
        store.missing([])  # sorts the keys, as the first lookup of a process does
        seconds, files = time.monotonic() - start, [path for path in store.folder.iterdir() if path.is_file()]
        return len(store.keys()), seconds, len(files), sum(path.stat().st_size for path in files)

    def entries(self) -> list[dict]:
        """The entry of each dimension in the run's manifest."""
        return list(json.loads((self.folder / "run/manifest.json").read_text("utf-8"))["variants"].values())

    def print_tasks(self) -> None:
        """Print what the manifest and the results record of each task."""
        first, table = self.entries()[0], []
        for task in self.tasks:
            made = first["tasks"][task.name]
            files = (self.folder / "evaluated/results").rglob(f"{task.name}.json")
            scoring = sum(json.loads(file.read_text("utf-8"))["evaluation_time"] for file in files)
            counts = [made[name] for name in ("texts", "prompts", "tokens", "cut")]
            table.append([task.name, *counts, made["seconds"], scoring])
        table.append(["all", *(sum(column) for column in list(zip(*table, strict=True))[1:])])
        headers = ["task", "texts", "distinct", "tokens", "cut", "encoding, s", "scoring, s"]
        print(tabulate(table, headers, intfmt=",", floatfmt=",.0f"))

    def print_stages(self) -> None:
        """Print the stages' seconds and memory."""
        headers = ["stage", "seconds", "peak, GiB", "of the command's process", "of a worker"]
        print(tabulate(self.rows, headers, floatfmt=("", ",.0f", ".2f", ".2f", ".2f")))


def main() -> None:
    """Rehearse, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=cmteb().names)
    parser.add_argument("--share", type=float, default=1.0, help="share of the official numbers of texts")
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--against_mteb", nargs="+", metavar="TASK", default=[])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rehearse(Rehearsal(args.folder or Path(temporary), args.tasks, args.share), args)


def rehearse(one: Rehearsal, args: argparse.Namespace) -> None:
    """All stages, in turn."""
    run = one.stage("run", one.command("run", "run"))
    keys, seconds, files, size = one.keys()
    one.stage("evaluate, alone", one.command("evaluate", "evaluated"))
    one.stage("encode again: nothing to do", one.command("encode", "run"))
    one.stage("report", ["report", one.folder / "run"])
    if one.scores("run") != one.scores("evaluated"):
        sys.exit("a second evaluation gave different scores")
    if args.kills:
        one.kills(args.kills, run.seconds)
    for task in args.against_mteb:
        for evaluators in ("shared", "mteb"):
            argv = one.command("evaluate", f"{evaluators}-{task}", "--tasks", task, "--evaluators", evaluators)
            one.stage(f"{task}, evaluators {evaluators}", argv)
    print()
    one.print_tasks()
    print()
    one.print_stages()
    print(f"\nstore: {keys:,} keys, read in {seconds:.1f} s; {files:,} files, {size / 1e9:.2f} GB")
    quarters = [run.seconds * part / 4 for part in range(5)]
    for start, end in itertools.pairwise(quarters):
        within = [(total, main) for second, total, main, _ in run.samples if start <= second <= end]
        total, main = (max(column) / 2**30 for column in zip(*within, strict=True))
        print(f"run, {start:,.0f} to {end:,.0f} s: all {total:.2f} GiB, the command's own process {main:.2f} GiB")


if __name__ == "__main__":
    main()
