"""plan -> encode -> evaluate for one run. Workers read data and score; this process holds the model.

Only encode needs the model. A task is scored, in another process, as soon as its prompts are in the
store, while the next one is encoded; its scores are noted the moment they are there.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from functools import cache, partial

from qzhou_eval.backlog import follow
from qzhou_eval.config import Run
from qzhou_eval.encode import EncodeCounts, InProcess, Prompts, Writer, encode, tokenize
from qzhou_eval.environment import SCORING_LIBRARIES, versions
from qzhou_eval.errors import BadInput, UnusableScore
from qzhou_eval.evaluate import EvaluateJob, evaluate
from qzhou_eval.model.batches import ahead
from qzhou_eval.plan import TaskPlan, plan_task
from qzhou_eval.progress import Progress, Score, shown
from qzhou_eval.results import Manifest, Variant, record_for
from qzhou_eval.shards import EncodeError
from qzhou_eval.store import Store
from qzhou_eval.tasks import Task
from qzhou_eval.workers import worker_count

log = logging.getLogger(__name__)

STAGES = ("encode", "evaluate")
MTEB_SEED = 42  # of every task, in both generations


@dataclass
class Outcome:
    """What became of a run: finished results, results kept from before, and failed tasks with their reason."""

    finished: int = 0
    kept: int = 0
    failed: dict[str, BaseException] = field(default_factory=dict)

    def fail(self, task: Task, error: BaseException) -> None:
        self.failed[task.name] = error
        log.error("failed: %s", self.reasons()[-1])

    def reasons(self) -> list[str]:
        """A line for each failed task, with its name."""
        return [_reason(name, error) for name, error in self.failed.items()]


def _reason(task: str, error: BaseException) -> str:
    if isinstance(error, BadInput | UnusableScore):
        return str(error)  # names the task
    return f"{task}: {error if isinstance(error, EncodeError) else repr(error)}"


def execute(run: Run, todo: dict[str, list[Variant]], pool: Executor, *, stages: tuple[str, ...] = STAGES) -> Outcome:
    """Run the given stages over the tasks in ``todo``. A task that fails does not stop the others.

    Args:
        todo: per task the variants to score, as :func:`~qzhou_eval.kept.wanted` gives them.

    Raises:
        BadInput: the model cannot be loaded, or the store not be written: no task could go on.
    """
    outcome = Outcome(kept=len(run.tasks) * len(run.variants) - sum(map(len, todo.values())))
    tasks = [task for task in run.tasks if task.name in todo]
    store = Store(run.store_dir, run.fingerprint)
    store.refresh()
    progress = _progress(run, len(tasks)) if "encode" in stages else Progress()
    scoring: list[Future] = []
    with shown(progress), closing(_ready(run, pool, store, tasks, outcome, progress=progress, stages=stages)) as ready:
        for task, counts in ready:
            if "evaluate" in stages:
                counts |= {"instruction": _instruction(run, task), "encoded_with": store.made_with()}
                scoring += _score(run, pool, task, todo[task.name], counts=counts, outcome=outcome, progress=progress)
        for noted in scoring:
            noted.result()
    return outcome


def _progress(run: Run, tasks: int) -> Progress:
    """Of an encoding; its time goes by the prompts' arithmetic or, where that is not known, by their tokens."""
    cost = run.open_cost()
    return Progress(tasks, cost.effort if cost else sum)


def _ready(
    run: Run,
    pool: Executor,
    store: Store,
    tasks: list[Task],
    outcome: Outcome,
    *,
    progress: Progress,
    stages: tuple[str, ...],
) -> Iterator[tuple[Task, dict[str, float]]]:
    """Each task as soon as its vectors are in the store, with the counts of its prompts; failed ones are left out."""
    if "encode" not in stages:
        yield from ((task, {}) for task in tasks)
        return
    tokenizer = run.open_tokenizer()
    plans = _plans(run, pool, tasks)
    follow([(task.name, plan) for task, plan in plans], store, tokenizer, progress)
    tokenized = ahead(_tokenized(plans, tokenizer), count=1)
    with ExitStack() as ended, closing(tokenized):
        open_writer = cache(partial(_open_writer, run, ended))
        for number, (task, plan, prompts) in enumerate(tokenized, start=1):
            if isinstance(plan, BadInput):
                outcome.fail(task, plan)
                progress.end(task.name)
                continue
            try:
                done = encode(prompts, store, open_writer, run.identity, task=task.name, progress=progress)
            except EncodeError as error:
                outcome.fail(task, error)
                continue
            finally:
                progress.end(task.name)
            log.info("[%d/%d] %s", number, len(tasks), _encoded_line(plan, done))
            yield task, asdict(done)


def _open_writer(run: Run, ended: ExitStack) -> Writer:
    """The model in this process, or workers that are ended with the stage."""
    if run.open_crew is None:
        return InProcess(run.open_encoder())
    return ended.enter_context(closing(run.open_crew(run)))


def _instruction(run: Run, task: Task) -> dict | None:
    """The task's instruction and who gets it, as the manifest notes it."""
    prompt = run.profile.tasks.get(task.name) if run.use_instruction else None
    return prompt and prompt.model_dump()


def _plans(run: Run, pool: Executor, tasks: list[Task]) -> deque[tuple[Task, Future]]:
    """Plans of all tasks, in order: how much there is to do is known early.

    The prompts of the whole benchmark wait in memory for their turn, one to two gigabytes.
    """
    return deque(
        (task, pool.submit(plan_task, task, run.sources[task.name], run.profile, use_instruction=run.use_instruction))
        for task in tasks
    )


def _tokenized(
    plans: deque[tuple[Task, Future]], tokenizer: Callable
) -> Iterator[tuple[Task, TaskPlan | BadInput, Prompts | None]]:
    """Plans as they are done, with their token ids; or why a task has no plan. Used ones are let go."""
    while plans:
        task, planned = plans.popleft()
        try:
            plan = planned.result()
        except BadInput as error:
            yield task, error, None
        else:
            yield task, plan, tokenize(plan.prompts, tokenizer)


def parts(task: Task, variants: list[Variant], workers: int) -> list[list[Variant]]:
    """A task's variants, divided into the jobs that score them.

    Classification and clustering fit models at each dimension, so several workers share these; the other types have
    most of their work in common at all dimensions.
    """
    count = min(workers, len(variants)) if task.type in ("Classification", "Clustering") else 1
    return [variants[start::count] for start in range(count)]


def _score(
    run: Run,
    pool: Executor,
    task: Task,
    variants: list[Variant],
    *,
    counts: dict,
    outcome: Outcome,
    progress: Progress,
) -> list[Future]:
    """Submit a task for scoring; each future ends when a part's results are noted in the manifest."""
    scores: dict[int, float] = {}

    def note(part: list[Variant], future: Future) -> None:
        if future.cancelled():
            return
        if error := future.exception():
            if isinstance(error, BrokenProcessPool):
                raise error
            if task.name not in outcome.failed:
                outcome.fail(task, error)
            return
        done = future.result()
        record = record_for(task, run.sources[task.name].revision)
        asked = {"texts": done.texts, "samples": done.samples}
        made = {
            "evaluators": run.evaluators,
            "scored_with": versions(SCORING_LIBRARIES),
            "seed": MTEB_SEED,
            "code": run.code,
        }
        Manifest(run.output_dir).add(part, task.name, record, asked | counts | made, run.provenance)
        outcome.finished += len(part)
        scores.update(done.scores)
        if len(scores) == len(variants):
            by_dim = "  ".join(f"{dim}: {100 * score:.2f}" for dim, score in sorted(scores.items()))
            log.info("%s, %s by dimension  %s", task.name, record.metric, by_dim)
            widest = max(scores)
            progress.landed(Score(task.name, widest, 100 * scores[widest]))

    jobs = [(part, _job(run, task, part)) for part in parts(task, variants, worker_count(run.eval_workers))]
    return [_then(pool.submit(evaluate, job), partial(note, part)) for part, job in jobs]


def _job(run: Run, task: Task, variants: list[Variant]) -> EvaluateJob:
    return EvaluateJob(
        task=task,
        source=run.sources[task.name],
        profile=run.profile,
        store_dir=run.store_dir.resolve(),
        output_dir=run.output_dir.resolve(),
        variants=tuple(variants),
        evaluators=run.evaluators,
    )


def _then(future: Future, act: Callable[[Future], None]) -> Future:
    """A future that ends when ``act`` has run on a finished one, and raises what ``act`` raised."""
    after: Future = Future()

    def run(finished: Future) -> None:  # callbacks run in the pool's one thread, so notes do not race
        try:
            act(finished)
        except Exception as error:
            after.set_exception(error)
        else:
            after.set_result(None)

    future.add_done_callback(run)
    return after


def _encoded_line(plan: TaskPlan, done: EncodeCounts) -> str:
    line = (
        f"{plan.task.name}: {plan.texts:,} texts, {done.prompts:,} distinct prompts, "
        f"{done.tokens:,} tokens, {done.cut:,} cut by the limit"
    )
    if not done.encoded:
        return f"{line}; all in the store"
    line = f"{line}; encoded {done.encoded:,} at {done.encoded_tokens / max(done.seconds, 1e-3):,.0f} tokens/s"
    return line if done.share_of_ceiling is None else f"{line}, {done.share_of_ceiling:.0%} of the ceiling"
