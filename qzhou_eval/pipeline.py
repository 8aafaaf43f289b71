"""plan -> encode -> evaluate for one run. Workers read data and score; this process holds the model.

Only encode needs the model. A task is scored, in another process, as soon as its prompts are in the
store, while the next one is encoded; its scores are noted the moment they are there.
"""

import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import cache

from qzhou_eval.config import Run
from qzhou_eval.encode import EncodeCounts, EncodeError, Prompts, encode, tokenize
from qzhou_eval.environment import SCORING_LIBRARIES, versions
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate import EvaluateJob, evaluate
from qzhou_eval.model.batches import ahead
from qzhou_eval.plan import TaskPlan, plan_task
from qzhou_eval.results import Manifest, Variant, record_for
from qzhou_eval.store import Store
from qzhou_eval.tasks import Task

log = logging.getLogger(__name__)

STAGES = ("encode", "evaluate")
PLANS_AHEAD = 3
MTEB_SEED = 42  # of every task, in both generations


@dataclass
class Outcome:
    """What became of a run: finished results, results kept from before, and failed tasks with their reason."""

    finished: int = 0
    kept: int = 0
    failed: dict[str, BaseException] = field(default_factory=dict)

    def fail(self, task: Task, error: BaseException) -> None:
        self.failed[task.name] = error
        log.error("failed: %s", error if isinstance(error, BadInput) else f"{task.name}: {error!r}")


def wanted(run: Run) -> dict[str, list[Variant]]:
    """Per task the variants that have no result made from exactly the same data, settings and libraries."""
    manifest = Manifest(run.output_dir)
    todo, stale = {}, 0
    for task in run.tasks:
        record = record_for(task, run.sources[task.name].revision)
        new = [v for v in run.variants if not manifest.keeps(v, task.name, record)]
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
    open_encoder = cache(run.open_encoder)
    tokenizer = run.open_tokenizer() if "encode" in stages else None
    scoring: list[Future] = []
    plans = ahead(_tokenized(_plans(run, pool, [t for t in run.tasks if t.name in todo]), tokenizer), count=1)
    for number, (task, plan, prompts) in enumerate(plans, start=1):
        if isinstance(plan, BadInput):
            outcome.fail(task, plan)
            continue
        counts = {"texts": plan.texts, "samples": plan.samples, "instruction": _instruction(run, task)}
        if prompts is not None:
            try:
                done = encode(prompts, store, open_encoder, run.identity)
            except EncodeError as error:
                outcome.fail(task, error)
                continue
            counts |= asdict(done)
            log.info("[%d/%d] %s", number, len(todo), _encoded_line(plan, done))
        counts["encoded_with"] = store.made_with()
        if "evaluate" in stages:
            scoring.append(_score(run, pool, task, todo[task.name], counts=counts, outcome=outcome))
    for noted in scoring:
        noted.result()
    return outcome


def _instruction(run: Run, task: Task) -> dict | None:
    """The task's instruction and who gets it, as the manifest notes it."""
    prompt = run.profile.tasks.get(task.name) if run.use_instruction else None
    return prompt and prompt.model_dump()


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


def _tokenized(
    plans: Iterator[tuple[Task, Future]], tokenizer
) -> Iterator[tuple[Task, TaskPlan | BadInput, Prompts | None]]:
    """Plans as they are done, with their token ids if there is a tokenizer; or why a task has no plan."""
    for task, planned in plans:
        try:
            plan = planned.result()
        except BadInput as error:
            yield task, error, None
        else:
            yield task, plan, tokenizer and tokenize(plan.prompts, tokenizer)


def _score(run: Run, pool: Executor, task: Task, variants: list[Variant], *, counts: dict, outcome: Outcome) -> Future:
    """Submit a task for scoring; its results are noted in the manifest as soon as they are there."""
    job = EvaluateJob(
        task=task,
        source=run.sources[task.name],
        profile=run.profile,
        store_dir=run.store_dir.resolve(),
        output_dir=run.output_dir.resolve(),
        variants=tuple(variants),
        evaluators=run.evaluators,
    )

    noted: Future = Future()  # done when the note is written, which is later than the scoring itself

    def note(future: Future) -> None:
        try:
            _note(run, task, variants, future, counts=counts, outcome=outcome)
        except Exception as error:  # a callback's exception would be dropped; the caller of execute sees this one
            noted.set_exception(error)
        else:
            noted.set_result(None)

    pool.submit(evaluate, job).add_done_callback(note)  # all run in the pool's one thread, so notes do not race
    return noted


def _note(run: Run, task: Task, variants: list[Variant], future: Future, *, counts: dict, outcome: Outcome) -> None:
    """Note a finished scoring job in the manifest, or its failure in the outcome."""
    if future.cancelled():
        return
    if error := future.exception():
        if isinstance(error, BrokenProcessPool):
            raise error
        outcome.fail(task, error)
        return
    record = record_for(task, run.sources[task.name].revision)
    counts |= {"scored_with": versions(SCORING_LIBRARIES), "seed": MTEB_SEED, "code": run.code}
    Manifest(run.output_dir).add(variants, task.name, record, counts, run.provenance)
    outcome.finished += len(variants)
    shown = "  ".join(f"{dim}: {100 * score:.2f}" for dim, score in future.result().items())
    log.info("%s, %s by dimension  %s", task.name, record.metric, shown)


def _encoded_line(plan: TaskPlan, done: EncodeCounts) -> str:
    line = (
        f"{plan.task.name}: {plan.texts:,} texts, {done.prompts:,} distinct prompts, "
        f"{done.tokens:,} tokens, {done.cut:,} cut by the limit"
    )
    if not done.encoded:
        return f"{line}; all in the store"
    line = f"{line}; encoded {done.encoded:,} at {done.encoded_tokens / max(done.seconds, 1e-3):,.0f} tokens/s"
    return line if done.share_of_ceiling is None else f"{line}, {done.share_of_ceiling:.0%} of the ceiling"
