"""Estimates what a whole CMTEB run sends to the model, from the statistics that mteb ships; downloads nothing.

    python perf/estimate.py

Texts and characters are mteb's own counts. Tokens are estimated from them, so they are an upper bound where long texts
are cut (the average document of T2Retrieval has 874 characters; some are far longer than the limit).
"""

import mteb
import torch
from gpu_encode import QWEN3_8B
from tabulate import tabulate
from transformers import Qwen3Config, Qwen3Model

from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.benchmark.task import Task
from qzhou_eval.model.speed.cost import Cost, cost_of
from qzhou_eval.model.speed.time_estimate import assumed
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.protocol.prompts import prompts_of

CHINESE = 0.68  # Qwen tokens per character: 0.59 to 0.74 over nineteen of CMTEB's data sets and look-alikes
ENGLISH = 0.22  # the same for template and instructions
GPUS = ("h100", "a100")
SIDES = {"documents_text_statistics": "document", "queries_text_statistics": "query"}


def cost_of_8b() -> Cost:
    """The cost of a prompt in Qwen3-8B with the model's projection; no weights are created."""
    with torch.device("meta"):
        model = Qwen3Model(Qwen3Config(**QWEN3_8B.config))
        projection = torch.nn.Linear(model.config.hidden_size, QWEN3_8B.width)
        return cost_of(model.layers, model.config, projection)


def size(task: Task, profile: Profile, cost: Cost) -> list[float]:
    """One task's distinct texts, estimated tokens, operations and effort, over all splits and both sides.

    The last two assume texts of average length, so they are a little too low.
    """
    shipped = mteb.get_task(task.name).metadata.descriptive_stats
    sums = [0, 0, 0.0, 0.0]
    for split in task.splits:
        for name, counts in shipped[split].items():
            if not name.endswith("_statistics") or not isinstance(counts, dict) or "unique_texts" not in counts:
                continue
            (prompt,) = prompts_of(profile, task, SIDES.get(name), ["x"], use_instruction=True)
            overhead = len(prompt)
            distinct = counts["unique_texts"]
            tokens = counts["average_text_length"] * CHINESE + overhead * ENGLISH
            found = [distinct, round(distinct * tokens), distinct * cost([tokens]), distinct * cost.effort([tokens])]
            sums = [one + other for one, other in zip(sums, found, strict=True)]
    return sums


def main() -> None:
    """Print texts, tokens, arithmetic and bytes, by type and in total."""
    profile, cost = load_profile("qzhou-zh"), cost_of_8b()
    rows: dict[str, list[float]] = {}
    for task in cmteb().tasks:
        found = [1, *size(task, profile, cost)]
        rows[task.type] = [a + b for a, b in zip(rows.get(task.type, [0] * len(found)), found, strict=True)]
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    table = [[kind, *counts, f"{work / 1e18:.3f}"] for kind, (*counts, work, _) in rows.items()]
    print(tabulate(table, ["type", "tasks", "distinct texts", "tokens", "EFLOP"], intfmt=","))
    _, texts, _, _, effort = rows["all"]
    print(f"\nstore: {texts * QWEN3_8B.width * 2 / 1e9:.1f} GB in bfloat16")
    for gpu in GPUS:
        speed = assumed(gpu)
        hours = effort / speed.rate / 3600
        print(f"{hours:.1f} h on 1 GPU, {60 * hours / 8:.0f} min on 8, {60 * hours / 64:.1f} min on 64; {speed.source}")


if __name__ == "__main__":
    main()
