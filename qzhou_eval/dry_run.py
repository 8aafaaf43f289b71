"""``plan`` and ``run --dry_run``: what would be encoded, per task. Computes nothing, writes nothing."""

from concurrent.futures import Executor

from tabulate import tabulate

from qzhou_eval.config import Run
from qzhou_eval.plan import TaskPlan, plan_task
from qzhou_eval.store import Store, prompt_key

COLUMNS = ["task", "texts", "distinct", "duplicates", "in store", "to encode", "tokens", "cut"]


def print_plan(run: Run, pool: Executor) -> None:
    """Print the plan. ``duplicates`` are texts that another text of the run already covers; ``tokens``
    and ``cut`` count the prompts to encode.

    Raises:
        BadInput: a task's data cannot be read.
    """
    tokenize = run.open_tokenizer()
    store = Store(run.store_dir, run.fingerprint)
    store.refresh(verify=False)
    futures = [
        pool.submit(plan_task, task, run.sources[task.name], run.profile, use_instruction=run.use_instruction)
        for task in run.tasks
    ]
    seen: set[bytes] = set()
    rows = [_row(future.result(), tokenize, store, seen) for future in futures]
    total = ["total", *(sum(column) for column in list(zip(*rows, strict=True))[1:])]
    print(tabulate([*rows, total], COLUMNS, intfmt=",", tablefmt="simple"))
    dims = ", ".join(str(variant.dim) for variant in run.variants)
    print(f"\none pass at full width {run.variants[0].width} gives dimensions {dims}")


def _row(plan: TaskPlan, tokenize, store: Store, seen: set[bytes]) -> list:
    keys = {prompt_key(prompt): prompt for prompt in plan.prompts}
    new = {key: prompt for key, prompt in keys.items() if key not in seen}
    seen |= new.keys()
    todo = [prompt for key, prompt in new.items() if key not in store]
    tokenized = tokenize(todo)
    return [
        plan.task.name,
        plan.texts,
        len(new),
        plan.texts - len(new),
        len(new) - len(todo),
        len(todo),
        sum(len(t.ids) for t in tokenized),
        sum(t.cut for t in tokenized),
    ]
