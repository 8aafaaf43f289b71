"""What a whole CMTEB run sends to the model, estimated from the statistics that mteb ships; nothing is downloaded.

    python benchmarks/full_size.py

Texts and characters are mteb's own counts. Tokens are estimated from them, so they are an upper bound where long texts
are cut (the average document of T2Retrieval has 874 characters, some have many more than the limit takes).
"""

import mteb
from tabulate import tabulate

from qzhou_eval.profile import Profile, load_profile
from qzhou_eval.prompts import instruction_for, render
from qzhou_eval.tasks import Task, all_tasks

CHINESE = 0.68  # Qwen tokens per character: 0.59 to 0.74 over nineteen of CMTEB's data sets and look-alikes
ENGLISH = 0.22  # the same for template and instructions
WEIGHTS = 6.95e9  # of Qwen3-8B's 36 layers; two operations for each weight and token
WIDTH = 1792
RATES = {"H100, bfloat16, 65 % of 700 TFLOP/s": 0.65 * 700e12, "A100, bfloat16, 65 % of 250 TFLOP/s": 0.65 * 250e12}
SIDES = {"documents_text_statistics": "document", "queries_text_statistics": "query"}


def size(task: Task, profile: Profile) -> tuple[int, int]:
    """Distinct texts and estimated tokens of one task: over all splits and both sides."""
    shipped = mteb.get_task(task.name).metadata.descriptive_stats
    texts = tokens = 0
    for split in task.splits:
        for name, counts in shipped[split].items():
            if not name.endswith("_statistics") or not isinstance(counts, dict) or "unique_texts" not in counts:
                continue
            overhead = len(render(profile, "x", instruction_for(profile, task.name, SIDES.get(name))))
            distinct = counts["unique_texts"]
            texts += distinct
            tokens += round(distinct * (counts["average_text_length"] * CHINESE + overhead * ENGLISH))
    return texts, tokens


def main() -> None:
    """Print texts, tokens, arithmetic and bytes, by type and in all."""
    profile = load_profile("qzhou-zh")
    rows: dict[str, list[int]] = {}
    for task in all_tasks().values():
        if task.benchmark == "cmteb":
            texts, tokens = size(task, profile)
            sums = rows.setdefault(task.type, [0, 0, 0])
            rows[task.type] = [sums[0] + 1, sums[1] + texts, sums[2] + tokens]
    total = [sum(column) for column in zip(*rows.values(), strict=True)]
    table = [[kind, *sums, f"{sums[2] * 2 * WEIGHTS / 1e18:.3f}"] for kind, sums in {**rows, "all": total}.items()]
    print(tabulate(table, ["type", "tasks", "distinct texts", "tokens", "EFLOP"], intfmt=","))
    print(f"\nstore: {total[1] * WIDTH * 2 / 1e9:.1f} GB in bfloat16")
    for name, rate in RATES.items():
        hours = total[2] * 2 * WEIGHTS / rate / 3600
        print(f"{name}: {hours:.1f} h on one, {60 * hours / 8:.0f} min on 8, {60 * hours / 64:.1f} min on 64")


if __name__ == "__main__":
    main()
