"""``plan`` and ``run --dry_run``: what would be encoded per task, and how long it takes. Scores and writes nothing."""

import logging
import random
from array import array
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from tabulate import tabulate

from qzhou_eval.benchmark.data_sources import fetch_command
from qzhou_eval.benchmark.task import Task
from qzhou_eval.encode.encoder import Prepare, Prepared
from qzhou_eval.encode.key_index import KeyIndex
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.errors import EXIT_FAILED_TASKS, BadInput
from qzhou_eval.model.speed.cost import Cost
from qzhou_eval.model.speed.time_estimate import PEAKS, PROBE_SECONDS, Speed, assumed, is_here, measured
from qzhou_eval.model.tokenizer import Tokenized
from qzhou_eval.run.plan import Planner, WaitingPlan
from qzhou_eval.run.prepare import Run
from qzhou_eval.run.processes import ProcessPool
from qzhou_eval.system.digests import cache_home
from qzhou_eval.system.fault_log import reason
from qzhou_eval.system.formatting import duration, scaled

log = logging.getLogger(__name__)

COLUMNS = ["task", "texts", "distinct", "in store", "to encode", "tokens", "cut", "FLOP"]
CHEAP_WEIGHTS = 2**30  # bytes: up to this size a model is loaded to measure the speed even without --gpu
CHEAP_SECONDS = 3.0  # seconds of that probe
DRAWN = 20_000  # prompts drawn to measure the speed


@dataclass(frozen=True)
class _Row:
    """One task's counts. ``distinct`` leaves out prompts of earlier tasks; ``stored`` counts prompts in the store, once
    per reading, and ``lengths`` holds the token counts of the others; ``cut`` counts all prompts that the limit cuts.
    """

    name: str
    texts: int
    distinct: int
    stored: int
    lengths: array
    cut: int


class _Counter:
    """Counts prompts task by task, in every reading.

    Attributes:
        drawn: a uniform random sample of the prompts to encode that have a token, to measure the speed with.
    """

    def __init__(self, prepare: Prepare, stores: Sequence[Store]) -> None:
        self._prepare, self._stores = prepare, stores
        self._seen = KeyIndex()
        self._random, self._offered = random.Random(0), 0
        self.drawn: list[Prepared] = []

    def row(self, plan: WaitingPlan, *, again: bool) -> _Row:
        """Count a task's prompts that no earlier task has; ``again``: prompts in the store are encoded, too."""
        prompts = plan.read()
        keys = [prompt_key(prompt) for prompt in prompts]
        new = self._seen.first_seen(keys)
        prompts, keys = [prompts[position] for position in new], [keys[position] for position in new]
        prepared = self._prepare(prompts)
        lengths = array("I")
        for store in self._stores:
            for position in range(len(keys)) if again else store.missing(keys):
                lengths.append(prepared[position].size)
                self._offer(prepared[position])
        stored = len(keys) * len(self._stores) - len(lengths)
        return _Row(plan.task.name, plan.texts, len(keys), stored, lengths, sum(prompt.cut for prompt in prepared))

    def _offer(self, prompt: Prepared) -> None:
        if not prompt.size:
            return
        self._offered += 1
        if len(self.drawn) < DRAWN:
            self.drawn.append(prompt)
        elif (place := self._random.randrange(self._offered)) < DRAWN:
            self.drawn[place] = prompt


def print_plan(run: Run, pool: ProcessPool, gpu: str | None, devices: int = 1) -> int:
    """Print the plan. Tokens, operations and time cover the prompts to encode; the cut count covers all prompts.

    Args:
        gpu: the device to estimate the time for: ``cpu``, one of
            :data:`~qzhou_eval.model.speed.time_estimate.PEAKS`, or None for this machine's if its speed is known or
            cheap to measure.
        devices: how many GPUs share the prompts.

    Returns:
        0, or the code for failed tasks if some could not be planned.

    Raises:
        BadInput: no task's data can be read, or the requested time cannot be estimated.
    """
    prepare = run.subject.open_tokenizer()
    cost = run.subject.open_cost()
    _check_gpu(run, gpu, cost)
    stores = [Store(run.store_dir, reading.fingerprint) for reading in run.subject.readings]
    for store in stores:
        store.refresh(verify=False)
    counter = _Counter(prepare, stores)
    with closing(Planner(pool, run.subject.profile, use_instruction=run.use_instruction)) as planner:
        plans = {task: planner.submit(task, run.sources[task.name]) for task in run.tasks}
        rows, failed = _rows(plans, counter, run.reencode)
    lengths = array("I")
    for row in rows:
        lengths.extend(row.lengths)
    texts, distinct, stored, cut = (
        sum(getattr(row, name) for row in rows) for name in ("texts", "distinct", "stored", "cut")
    )
    total = _Row("total", texts, distinct, stored, lengths, cut)
    speed = _speed(run, gpu, devices, counter.drawn, cost)
    columns = COLUMNS if speed is None else [*COLUMNS, "time"]
    align = ["left", *["right"] * (len(columns) - 1)]
    cells = [_cells(row, len(stores), cost, speed) for row in [*rows, total]]
    print(tabulate(cells, columns, colalign=align, disable_numparse=True))
    print(f"\n{_passes(run)}")
    if speed is not None:
        print(f"time: {speed.source}; encoding only")
    for line in run.subject.plan_lines(lengths):
        print(line)
    _name_the_rest(run, failed)
    return EXIT_FAILED_TASKS if run.without_data or failed else 0


def _check_gpu(run: Run, gpu: str | None, cost: Cost | None) -> None:
    """Refuse a ``--gpu`` for which no time can be estimated."""
    if gpu is not None and cost is None:
        raise BadInput("--gpu: this model's operations cannot be counted (own code, experts or a state); drop --gpu")
    precision = run.variants[0].dtype
    if gpu is not None and not is_here(gpu) and precision != "bfloat16":
        raise BadInput(f"--gpu {gpu}: without that hardware its speed is known only in bfloat16, not in {precision}")


def _rows(
    plans: Mapping[Task, Future[WaitingPlan]], counter: _Counter, again: Set[str]
) -> tuple[list[_Row], dict[Task, Exception]]:
    """The counts of each task, and the errors of tasks that cannot be planned.

    Raises:
        BadInput: no task can be planned.
    """
    rows, failed = [], {}
    for task, future in plans.items():
        try:
            plan = future.result()
        except Exception as error:
            failed[task] = error
        else:
            rows.append(counter.row(plan, again=task.name in again))
    if not rows:
        raise next(iter(failed.values()))
    return rows, failed


def _speed(run: Run, gpu: str | None, devices: int, drawn: list[Prepared], cost: Cost | None) -> Speed | None:
    """The speed of the requested hardware, or of this machine's if it is cheap to find out; None if unknown."""
    if cost is None or not drawn:
        return None
    seconds = PROBE_SECONDS
    if gpu is None:
        if run.subject.device is None or run.variants[0].dtype == "fp8":
            return None
        gpu = next((name for name in PEAKS if is_here(name)), None) if run.subject.device != "cpu" else "cpu"
        if run.subject.weights_bytes > CHEAP_WEIGHTS:
            return assumed(gpu, devices) if gpu in PEAKS and run.variants[0].dtype == "bfloat16" else None
        seconds = CHEAP_SECONDS
    elif not is_here(gpu):
        return assumed(gpu, devices)
    from qzhou_eval.model.embedder import Embedder

    encoder = run.subject.open_encoder()
    if not isinstance(encoder, Embedder):
        return None  # any other encoder has no cost either
    return measured(encoder, cast(list[Tokenized], drawn), cost, seconds=seconds, devices=devices)


def _cells(row: _Row, readings: int, cost: Cost | None, speed: Speed | None) -> list[str]:
    stored = row.stored / (row.distinct * readings) if row.distinct else 0
    lengths = row.lengths
    counts = [row.texts, row.distinct, f"{stored:.0%}", len(lengths), sum(lengths), row.cut]
    cells = [row.name, *(cell if isinstance(cell, str) else f"{cell:,}" for cell in counts)]
    cells.append("-" if cost is None else scaled(cost(lengths)))
    if cost is None or speed is None:
        return cells
    return [*cells, duration(cost.effort(lengths) / speed.rate)]


def _passes(run: Run) -> str:
    """A line that says which dimensions come from how many passes."""
    dims = ", ".join(str(variant.dim) for variant in run.subject.readings[0].variants)
    width = run.variants[0].width
    if len(run.subject.readings) == 1:
        return f"one pass at full width {width} gives dimensions {dims}"
    names = ", ".join(reading.name for reading in run.subject.readings)
    each = f"one pass at full width {width} for each of {names} gives dimensions {dims}"
    return f"{each}; to encode, tokens and FLOP cover all of them"


def _name_the_rest(run: Run, failed: Mapping[Task, Exception]) -> None:
    """Warn which tasks are not in the table, and say what to do."""
    if missing := run.without_data:
        names = ", ".join(task.name for task in missing)
        count = f"{len(missing)} of {len(missing) + len(run.tasks)} tasks"
        log.warning(
            "not planned, %s without data: %s; %s", count, names, fetch_command(missing, run.data_dir or "ROOT")
        )
    for task, error in failed.items():
        log.warning("not planned: %s", reason(error, task.name, cache_home()))
