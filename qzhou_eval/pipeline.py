"""plan -> encode -> evaluate for one run. Workers read data and score; this process holds the model.

Only encode needs the model. A task is scored, in another process, as soon as its prompts are in the
store, while the next one is encoded.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import cache, partial

import torch

from qzhou_eval.again import vectors_line
from qzhou_eval.backlog import follow
from qzhou_eval.config import Run
from qzhou_eval.encode import EncodeCounts, InProcess, Prompts, Writer, encode, tokenize
from qzhou_eval.errors import BadInput
from qzhou_eval.kept import warn_of_flags
from qzhou_eval.memory import scoring
from qzhou_eval.model.batches import ahead
from qzhou_eval.model.made_with import flags_that_differ
from qzhou_eval.outcome import Outcome
from qzhou_eval.plan import TaskPlan, submit_plan
from qzhou_eval.progress import Progress, shown
from qzhou_eval.results import Variant
from qzhou_eval.score_jobs import Scoring
from qzhou_eval.store import Store
from qzhou_eval.tasks import Task
from qzhou_eval.workers import WorkerPool

log = logging.getLogger(__name__)

STAGES = ("encode", "evaluate")


def execute(run: Run, todo: dict[str, list[Variant]], pool: WorkerPool, *, stages: tuple[str, ...] = STAGES) -> Outcome:
    """Run the given stages over the tasks in ``todo``. A task that fails does not stop the others.

    Args:
        todo: per task the variants to score, as :func:`~qzhou_eval.kept.wanted` gives them.

    Raises:
        BadInput: the model cannot be loaded, or the store not be written: no task could go on.
    """
    outcome = Outcome(run.output_dir, kept=len(run.tasks) * len(run.variants) - sum(map(len, todo.values())))
    tasks = [task for task in run.tasks if task.name in todo]
    progress = _progress(run, len(tasks)) if "encode" in stages else Progress()
    jobs = Scoring(run, pool, outcome, progress)
    with shown(progress):
        if "encode" in stages:
            with closing(_encoded(run, pool, tasks, outcome, progress)) as encoded:
                for task, counts, memory in encoded:
                    if "evaluate" in stages:
                        jobs.submit(task, todo[task.name], counts, memory)
        else:
            for task in tasks:
                jobs.submit(task, todo[task.name], {}, scoring(task.texts, task.characters, run.variants[0].width))
        jobs.wait()
    return outcome


def _progress(run: Run, tasks: int) -> Progress:
    """Of an encoding; its time goes by the prompts' arithmetic or, where that is not known, by their tokens."""
    cost = run.open_cost()
    return Progress(tasks, cost.effort if cost else sum)


def _encoded(
    run: Run, pool: WorkerPool, tasks: list[Task], outcome: Outcome, progress: Progress
) -> Iterator[tuple[Task, dict, int]]:
    """Each task as soon as its vectors are in the store: the counts of its prompts, and the bytes to score it.

    Tasks that fail are left out.
    """
    store = Store(run.store_dir, run.fingerprint)
    store.refresh()
    again = store.again() if run.reencode else store
    differing: dict[str, list[str]] = {}
    tokenizer = run.open_tokenizer()
    plans = _plans(run, pool, tasks)
    follow([(task.name, plan) for task, plan in plans], store, tokenizer, progress)
    tokenized = ahead(_tokenized(plans, tokenizer), count=1)
    with ExitStack() as ended, closing(tokenized):
        open_writer = cache(partial(_open_writer, run, ended))
        for number, (task, plan, prompts) in enumerate(tokenized, start=1):
            target = again if task.name in run.reencode else store
            try:
                if isinstance(plan, Exception):
                    raise plan
                done = encode(prompts, target, open_writer, run.identity, task=task.name, progress=progress)
            except torch.AcceleratorError:
                raise  # a broken device breaks every task, and is no fault of this project
            except Exception as error:
                if prompts is not None and (isinstance(error, BadInput) or not open_writer.cache_info().currsize):
                    raise  # the store cannot be written, or there is no model: no task could go on
                outcome.fail(task.name, error)
                continue
            finally:
                progress.end(task.name)
            log.info("[%d/%d] %s", number, len(tasks), _encoded_line(plan, done))
            if target is not store:
                log.warning("%s: %s", task.name, vectors_line(target, prompts.keys))
            differing[task.name] = flags_that_differ(run.asked, store.made_with(prompts.keys))
            memory = scoring(done.prompts, sum(map(len, plan.prompts)), run.variants[0].width)
            yield task, asdict(done), memory
    warn_of_flags(differing)
    if again is not store and not run.reencode & outcome.failed.keys():
        again.end_round()


def _open_writer(run: Run, ended: ExitStack) -> Writer:
    """The model in this process, or workers that are ended with the stage."""
    if run.open_crew is None:
        return InProcess(run.open_encoder())
    return ended.enter_context(closing(run.open_crew(run)))


def _plans(run: Run, pool: WorkerPool, tasks: list[Task]) -> deque[tuple[Task, Future]]:
    """Plans of all tasks, in order: how much there is to do is known early.

    The prompts of the whole benchmark wait in memory for their turn, one to two gigabytes.
    """
    how = {"use_instruction": run.use_instruction}
    return deque((task, submit_plan(pool, task, run.sources[task.name], run.profile, **how)) for task in tasks)


def _tokenized(
    plans: deque[tuple[Task, Future]], tokenizer: Callable
) -> Iterator[tuple[Task, TaskPlan | Exception, Prompts | None]]:
    """Plans as they are done, with their token ids; or why a task has none. Used ones are let go."""
    while plans:
        task, planned = plans.popleft()
        try:
            plan = planned.result()
            prompts = tokenize(plan.prompts, tokenizer)
        except Exception as error:
            yield task, error, None
        else:
            yield task, plan, prompts


def _encoded_line(plan: TaskPlan, done: EncodeCounts) -> str:
    line = (
        f"{plan.task.name}: {plan.texts:,} texts, {done.prompts:,} distinct prompts, "
        f"{done.tokens:,} tokens, {done.cut:,} cut by the limit"
    )
    if not done.encoded:
        return f"{line}; all in the store"
    line = f"{line}; encoded {done.encoded:,} at {done.encoded_tokens / max(done.seconds, 1e-3):,.0f} tokens/s"
    return line if done.share_of_ceiling is None else f"{line}, {done.share_of_ceiling:.0%} of the ceiling"
