"""``plan`` and ``run --dry_run``: what would be encoded, per task, and how long it takes. Scores and writes nothing."""

from dataclasses import dataclass

from tabulate import tabulate

from qzhou_eval.config import Run
from qzhou_eval.errors import BadInput
from qzhou_eval.model.cost import Cost
from qzhou_eval.model.speed import Speed, assumed, is_here, measured
from qzhou_eval.model.tokens import Tokenized
from qzhou_eval.plan import TaskPlan, submit_plan
from qzhou_eval.store import Store, prompt_key
from qzhou_eval.units import duration, scaled
from qzhou_eval.workers import WorkerPool

COLUMNS = ["task", "texts", "distinct", "in store", "to encode", "tokens", "cut", "FLOP"]


@dataclass(frozen=True)
class _Row:
    """One task. ``distinct`` leaves out prompts of the tasks before it; ``todo`` those in the store, too;
    ``cut`` counts all that the limit cuts.
    """

    name: str
    texts: int
    distinct: int
    todo: list[Tokenized]
    cut: int


def print_plan(run: Run, pool: WorkerPool, gpu: str | None) -> None:
    """Print the plan. Tokens, operations and time are those of the prompts to encode; cut are those of all.

    Args:
        gpu: whose time is estimated: ``cpu``, one of :data:`~qzhou_eval.model.speed.PEAKS`, or None for no time.

    Raises:
        BadInput: a task's data cannot be read, or a time is asked for that cannot be known.
    """
    tokenize = run.open_tokenizer()
    cost = run.open_cost()
    if gpu is not None and cost is None:
        raise BadInput("--gpu: what this model computes cannot be counted (own code, experts or a state); drop --gpu")
    precision = run.variants[0].dtype
    if gpu is not None and not is_here(gpu) and precision != "bfloat16":
        raise BadInput(f"--gpu {gpu}: without that hardware its speed is known in bfloat16 alone, not in {precision}")
    store = Store(run.store_dir, run.fingerprint)
    store.refresh(verify=False)
    how = {"use_instruction": run.use_instruction}
    futures = [submit_plan(pool, task, run.sources[task.name], run.profile, **how) for task in run.tasks]
    seen: set[bytes] = set()
    rows = [
        _row(future.result(), tokenize, store, seen, again=task.name in run.reencode)
        for task, future in zip(run.tasks, futures, strict=True)
    ]
    todo = [prompt for row in rows for prompt in row.todo]
    texts, distinct, cut = (sum(getattr(row, name) for row in rows) for name in ("texts", "distinct", "cut"))
    total = _Row("total", texts, distinct, todo, cut)
    speed = _speed(run, gpu, todo, cost)
    columns = COLUMNS if speed is None else [*COLUMNS, "time"]
    align = ["left", *["right"] * (len(columns) - 1)]
    print(
        tabulate([_cells(row, cost, speed) for row in [*rows, total]], columns, colalign=align, disable_numparse=True)
    )
    dims = ", ".join(str(variant.dim) for variant in run.variants)
    print(f"\none pass at full width {run.variants[0].width} gives dimensions {dims}")
    if speed is not None:
        print(f"time: {speed.source}; encoding alone")


def _row(plan: TaskPlan, tokenize, store: Store, seen: set[bytes], *, again: bool) -> _Row:
    """Count a task; ``again``: what is in the store is encoded, too."""
    keys = {prompt_key(prompt): prompt for prompt in plan.prompts}
    new = {key: prompt for key, prompt in keys.items() if key not in seen}
    seen |= new.keys()
    tokenized = dict(zip(new, tokenize(list(new.values())), strict=True))
    todo = [prompt for key, prompt in tokenized.items() if again or key not in store]
    return _Row(plan.task.name, plan.texts, len(new), todo, sum(prompt.cut for prompt in tokenized.values()))


def _speed(run: Run, gpu: str | None, todo: list[Tokenized], cost: Cost | None) -> Speed | None:
    if gpu is None or not any(prompt.ids for prompt in todo):
        return None
    if is_here(gpu):
        return measured(run.open_encoder(), todo, cost)
    return assumed(gpu)


def _cells(row: _Row, cost: Cost | None, speed: Speed | None) -> list[str]:
    stored = (row.distinct - len(row.todo)) / row.distinct if row.distinct else 0
    lengths = [len(prompt.ids) for prompt in row.todo]
    counts = [row.texts, row.distinct, f"{stored:.0%}", len(row.todo), sum(lengths), row.cut]
    cells = [row.name, *(cell if isinstance(cell, str) else f"{cell:,}" for cell in counts)]
    cells.append("-" if cost is None else scaled(cost(lengths)))
    return cells if speed is None else [*cells, duration(cost.effort(lengths) / speed.rate)]
