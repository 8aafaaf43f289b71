"""plan -> encode -> evaluate for one run. Workers read data and score; this process holds the model.

Only encode needs the model, and it never waits for an evaluator: a task is scored, in another
process, as soon as its prompts are in the store, while the next one is encoded.
"""

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, field
from functools import cache

from qzhou_eval.config import Run
from qzhou_eval.encode import EncodeCounts, EncodeError, encode
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate import EvaluateJob, evaluate
from qzhou_eval.plan import TaskPlan, plan_task
from qzhou_eval.results import Manifest, Variant, record_for
from qzhou_eval.store import Store
from qzhou_eval.tasks import Task

log = logging.getLogger(__name__)

STAGES = ("encode", "evaluate")
PLANS_AHEAD = 3


@dataclass
class Outcome:
    """What became of a run: finished results, results kept from before, and failed tasks with their reason."""

    finished: int = 0
    kept: int = 0
    failed: dict[str, Exception] = field(default_factory=dict)

    def fail(self, task: Task, error: Exception) -> None:
        self.failed[task.name] = error
        log.error("failed: %s", error)


def wanted(run: Run) -> dict[str, list[Variant]]:
    """Per task the variants that have no result made from exactly the same data, settings and libraries."""
    manifest = Manifest(run.output_dir)
    todo, stale = {}, 0
    for task in run.tasks:
        record = record_for(task, run.sources[task.name].revision)
        new = [v for v in run.variants if not manifest.keeps(run.output_dir, v, task.name, record)]
        stale += sum(manifest.has(v, task.name) for v in new)
        if new:
            todo[task.name] = new
    if stale:
        log.warning("%d earlier results were made from other data, settings or libraries; evaluated again", stale)
    return todo


def execute(run: Run, todo: dict[str, list[Variant]], pool: Executor, *, stages: tuple[str, ...] = STAGES) -> Outcome:
    """Run the given stages over the tasks in ``todo``. A task that fails does not stop the others.

    Args:
        todo: per task the variants to score, as :func:`wanted` gives them.

    Raises:
        BadInput: the model cannot be loaded, or the store not be written: no task could go on.
    """
    outcome = Outcome(kept=len(run.tasks) * len(run.variants) - sum(map(len, todo.values())))
    store = Store(run.store_dir, run.fingerprint)
    store.refresh()
    open_tokenizer, open_encoder = cache(run.open_tokenizer), cache(run.open_encoder)
    if "encode" in stages:
        open_tokenizer()
    scoring: list[_Scoring] = []
    plans = _plans(run, pool, [task for task in run.tasks if task.name in todo])
    for number, (task, planned) in enumerate(plans, start=1):
        try:
            plan = planned.result()
        except BadInput as error:
            outcome.fail(task, error)
            continue
        counts = {"texts": plan.texts, "samples": plan.samples}
        if "encode" in stages:
            try:
                done = encode(plan.prompts, store, open_tokenizer, open_encoder, run.identity)
            except EncodeError as error:
                outcome.fail(task, error)
                continue
            counts |= asdict(done)
            log.info("[%d/%d] %s", number, len(todo), _encoded_line(plan, done))
        if "evaluate" in stages:
            scoring.append(_score(run, pool, task, todo[task.name], counts))
        scoring = _collect(run, scoring, outcome, wait=False)
    _collect(run, scoring, outcome, wait=True)
    return outcome


def _plans(run: Run, pool: Executor, tasks: list[Task]) -> Iterator[tuple[Task, Future]]:
    """Plans in order, a few ahead of the model so that it does not wait and memory stays bounded."""
    ahead: deque[tuple[Task, Future]] = deque()
    for task in tasks:
        source = run.sources[task.name]
        future = pool.submit(plan_task, task, source, run.profile, use_instruction=run.use_instruction)
        ahead.append((task, future))
        if len(ahead) >= PLANS_AHEAD:
            yield ahead.popleft()
    yield from ahead


@dataclass(frozen=True)
class _Scoring:
    """A task being scored by a worker."""

    future: Future
    task: Task
    variants: list[Variant]
    counts: dict


def _score(run: Run, pool: Executor, task: Task, variants: list[Variant], counts: dict) -> _Scoring:
    job = EvaluateJob(
        task=task,
        source=run.sources[task.name],
        profile=run.profile,
        store_dir=run.store_dir.resolve(),
        output_dir=run.output_dir.resolve(),
        variants=tuple(variants),
    )
    return _Scoring(pool.submit(evaluate, job), task, variants, counts)


def _collect(run: Run, scoring: list[_Scoring], outcome: Outcome, *, wait: bool) -> list[_Scoring]:
    """Note finished scoring (with ``wait``, all of it) in the manifest; return what still runs."""
    still_running = []
    for item in scoring:
        if not wait and not item.future.done():
            still_running.append(item)
            continue
        try:
            scores = item.future.result()
        except BadInput as error:
            outcome.fail(item.task, error)
            continue
        record = record_for(item.task, run.sources[item.task.name].revision)
        Manifest(run.output_dir).add(item.variants, item.task.name, record, item.counts)
        outcome.finished += len(item.variants)
        shown = "  ".join(f"{dim}: {100 * score:.2f}" for dim, score in scores.items())
        log.info("%s, %s by dimension  %s", item.task.name, item.task.metric, shown)
    return still_running


def _encoded_line(plan: TaskPlan, done: EncodeCounts) -> str:
    line = (
        f"{plan.task.name}: {plan.texts:,} texts, {done.prompts:,} distinct prompts, "
        f"{done.tokens:,} tokens, {done.cut:,} cut by the limit"
    )
    if not done.encoded:
        return f"{line}; all in the store"
    return f"{line}; encoded {done.encoded:,} at {done.encoded_tokens / done.seconds:,.0f} tokens/s"
