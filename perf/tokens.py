"""How many tokens go through the model: this project, the published procedure, and mteb's own embedding cache.

Counted, not timed: every task's texts as mteb asks for them, rendered and tokenised, then batched as each side does.

- published: each call in slices of 128 texts, each slice sorted by characters and padded in batches of 32, as
  sentence-transformers does; including duplicates; everything once for each of eight dimensions.
- mteb's cache (``CachedEmbeddingWrapper``): one pass, whose vectors are then cut; each call without the texts of the
  task's earlier calls, sorted as one, in batches of 32.
- ours: each distinct prompt of all tasks once, packed (no padding) or, in the fallback, padded.

mteb 2.26.24 asks for a classification task's training texts once; 1.38.30, which the published procedure used, asks ten
times for some tasks, which is not counted here. The miniature's count is also compared with a real run.

    python perf/tokens.py [--data_dir ROOT] [--model M] [--check]
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tabulate import tabulate

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import cmteb, miniature
from qzhou_eval.benchmark.task import Task
from qzhou_eval.cli.flags import existing_folder
from qzhou_eval.encode.stage import InProcess, encode, prepare
from qzhou_eval.encode.store import Store
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter.data_loading import quiet
from qzhou_eval.evaluate.mteb_adapter.installed import installed_adapter
from qzhou_eval.evaluate.mteb_adapter.stored_vectors import EncodeCall
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.model.batching.batches import PADDED, plan
from qzhou_eval.model.embedder import Embedder
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.tokenizer import PromptTokenizer
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.protocol.prompts import prompts_of

DIMENSIONS = 8
SLICE, BATCH = 128, 32  # the published script's slices, sentence-transformers' default batch
BUDGET = 16384  # tokens per batch here, the default on a GPU
GOAL_RATIO, GOAL_PADDING = 8.5, 0.015
ROOTS = ("cmteb", "cmteb-lookalike")


def padded(texts: list[str], length: dict[str, int], *, batch: int = BATCH) -> int:
    """Tokens, with padding, of one sentence-transformers ``encode``: sorted by characters, ``batch`` at a time."""
    order = [texts[i] for i in np.argsort([-len(text) for text in texts])]  # their own call: ties are ordered alike
    batches = (order[start : start + batch] for start in range(0, len(order), batch))
    return sum(len(some) * max(length[text] for text in some) for some in batches)


def published_pass(calls: Iterable[list[str]], length: dict[str, int]) -> int:
    """Tokens of one pass of the published procedure over the rendered prompts of each encode call."""
    slices = (call[start : start + SLICE] for call in calls for start in range(0, len(call), SLICE))
    return sum(padded(some, length) for some in slices)


def cached_pass(calls: Iterable[tuple[str | None, list[str]]], length: dict[str, int]) -> int:
    """Tokens of mteb's CachedEmbeddingWrapper over one task's calls; a call is a side and its rendered prompts."""
    seen: set[tuple[str | None, str]] = set()
    total = 0
    for side, prompts in calls:
        total += padded([prompt for prompt in prompts if (side, prompt) not in seen], length)
        seen |= {(side, prompt) for prompt in prompts}
    return total


def rendered(calls: list[EncodeCall], task: Task, profile: Profile) -> list[tuple[str | None, list[str]]]:
    """Each call's side and prompts."""
    return [(call.side, prompts_of(profile, task, call.side, call.texts, use_instruction=True)) for call in calls]


def local_tasks(root: Path | None) -> Iterator[tuple[Task, Path | None]]:
    """The miniature's tasks, and those of CMTEB with data in ``root/cmteb`` or ``root/cmteb-lookalike``."""
    yield from ((task, None) for task in miniature().tasks)
    for task in cmteb().tasks if root else ():
        for folder in (root / name for name in ROOTS):
            if (folder / task.path).is_dir():
                yield task, folder


def _check_root(root: Path | None) -> None:
    """Refuse a folder with none of the data; otherwise the count would silently cover only the miniature."""
    if root is not None and not any(folder is not None for _, folder in local_tasks(root)):
        raise BadInput(f"--data_dir {root}: no data set of CMTEB in {' or '.join(f'{root}/{name}' for name in ROOTS)}")


def count(root: Path | None, model: str, budget: int) -> tuple[list[list], dict[str, dict[str, int]]]:
    """A row of counts for each local task."""
    profiles = {
        True: load_profile("qzhou-zh-mini"),
        False: load_profile("qzhou-zh"),
    }  # of own data, that is the miniature's
    checkpoint = find_checkpoint(model)
    tokenizers = {
        name: PromptTokenizer(checkpoint, profile, max_length=profile.max_length, truncate="whole")
        for name, profile in profiles.items()
    }
    rows, seen = [], set()
    for task, folder in local_tasks(root):
        source = locate(task, folder)
        mteb = installed_adapter()
        calls = rendered(mteb.calls(mteb.load(task, source), task, source), task, profiles[task.own is not None])
        distinct = list(dict.fromkeys(prompt for _, prompts in calls for prompt in prompts))
        tokens = tokenizers[task.own is not None](distinct)
        length = {prompt: len(one.ids) for prompt, one in zip(distinct, tokens, strict=True)}
        new = [length[prompt] for prompt in distinct if prompt not in seen]
        seen |= set(distinct)
        fallback = sum(len(batch) * new[batch[0]] for batch in plan(new, budget, PADDED))
        rows.append(
            {
                "task": task.name,
                "group": "miniature" if folder is None else folder.name,
                "texts": sum(len(prompts) for _, prompts in calls),
                "distinct": len(new),
                "packed": sum(new),
                "padded": fallback,
                "published": DIMENSIONS * published_pass((prompts for _, prompts in calls), length),
                "mteb's cache": cached_pass(calls, length),
            }
        )
    return rows


def forwarded_in_fact(folder: Path) -> list[int]:
    """Tokens that actually go through the packaged checkpoint in two runs of the miniature, padding included."""
    profile = load_profile("qzhou-zh-mini")
    embedder = Embedder.from_pretrained(str(CHECKPOINT), profile="qzhou-zh-mini", device="cpu")
    identity = embedder.settings.identity(embedder.checkpoint, profile)
    fingerprint = embedder.settings.fingerprint(embedder.checkpoint, profile)
    writer = InProcess({fingerprint: embedder})
    totals = []
    for _ in range(2):
        store = Store(folder, fingerprint)
        store.refresh()
        total = 0
        for task, _folder in local_tasks(None):
            source, mteb = locate(task, None), installed_adapter()
            calls = rendered(mteb.calls(mteb.load(task, source), task, source), task, profile)
            prompts = list(dict.fromkeys(prompt for _, some in calls for prompt in some))
            done = encode(prepare(prompts, embedder.tokenize), store, lambda: writer, identity)
            total += done.encoded_tokens + done.padding_tokens
        totals.append(total)
    return totals


def _summary(name: str, rows: list[dict]) -> list:
    sums = {key: sum(row[key] for row in rows) for key in rows[0] if key not in ("task", "group")}
    padding = sums["padded"] / sums["packed"] - 1
    return [
        name,
        *sums.values(),
        f"{padding:.2%}",
        *(sums[one] / sums["packed"] for one in ("published", "mteb's cache")),
    ]


def main() -> int:
    """Print the table; with ``--check``, 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description="Count the tokens that go through the model.")
    parser.add_argument("--data_dir", type=existing_folder, metavar="ROOT", help="has cmteb/ and cmteb-lookalike/")
    parser.add_argument("--model", default=str(CHECKPOINT), help="whose tokenizer is used (default: the packaged one)")
    parser.add_argument("--batch_tokens", type=int, default=BUDGET, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    args = parser.parse_args()
    quiet()
    logging.getLogger("qzhou_eval").setLevel(logging.ERROR)
    try:
        _check_root(args.data_dir)
        rows = count(args.data_dir, args.model, args.batch_tokens)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    groups = dict.fromkeys(row["group"] for row in rows)
    lines = [_summary(row["task"], [row]) for row in rows]
    lines += [_summary(f"all of {group}", [row for row in rows if row["group"] == group]) for group in groups]
    lines.append(_summary("all", rows))
    titles = ["texts", "distinct", "ours, packed", "ours, padded", "published x 8", "mteb's cache"]
    ratios = ["published / ours", "mteb's cache / ours"]
    print(tabulate(lines, ["task", *titles, "padding", *ratios], intfmt=",", floatfmt=".2f"))
    with tempfile.TemporaryDirectory() as folder:
        first, second = forwarded_in_fact(Path(folder))
    miniature = sum(row["packed"] for row in rows if row["group"] == "miniature")
    print(f"\nactually forwarded by the miniature: {first:,} tokens ({miniature:,} counted), {second:,} by a second")
    total = {key: sum(row[key] for row in rows) for key in ("packed", "padded", "published")}
    missed = {
        f"published / ours below {GOAL_RATIO}": total["published"] < GOAL_RATIO * total["packed"],
        f"padding above {GOAL_PADDING:.1%}": total["padded"] > (1 + GOAL_PADDING) * total["packed"],
        "the miniature's run does not forward the counted tokens": (first, second) != (miniature, 0),
    }
    for goal in (name for name, is_missed in missed.items() if is_missed):
        print(f"missed: {goal}", file=sys.stderr)
    return int(args.check and any(missed.values()))


if __name__ == "__main__":
    sys.exit(main())
