"""Plans, encodes and evaluates the tasks of one run. Worker processes read data and score; this one holds the model.

Only encoding needs the model. A task is scored in another process as soon as its prompts are in the
store, while the next one is encoded.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cache, partial

import torch

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.task import Task
from qzhou_eval.encode.encoder import Prepare
from qzhou_eval.encode.progress import Progress, shown
from qzhou_eval.encode.readings import Reading, encoders
from qzhou_eval.encode.stage import EncodeCounts, InProcess, Prompts, Writer, encode, prepare
from qzhou_eval.encode.store import Store
from qzhou_eval.encode.workload import estimate_workload
from qzhou_eval.errors import BadInput
from qzhou_eval.model.batching.batches import prefetch
from qzhou_eval.model.made_with import flags_that_differ
from qzhou_eval.results.entries import Counts
from qzhou_eval.results.variant import Variant
from qzhou_eval.run.memory_estimate import scoring
from qzhou_eval.run.outcome import Outcome
from qzhou_eval.run.plan import Planner, WaitingPlan
from qzhou_eval.run.prepare import Run
from qzhou_eval.run.processes import ProcessPool
from qzhou_eval.run.rerun_comparison import vectors_line
from qzhou_eval.run.reuse import warn_of_flags
from qzhou_eval.run.score_jobs import SHARED_TYPES, Scoring

log = logging.getLogger(__name__)

STAGES = ("encode", "evaluate")


@dataclass(frozen=True)
class _Work:
    """A task, and the work to do in each reading, by its name in the progress display."""

    task: Task
    parts: dict[str, tuple[Reading, list[Variant]]]


def execute(
    run: Run, todo: dict[str, list[Variant]], pool: ProcessPool, *, stages: tuple[str, ...] = STAGES
) -> Outcome:
    """Run the given stages over the tasks in ``todo``. A task that fails does not stop the others.

    Args:
        todo: per task, the variants to score, as :func:`~qzhou_eval.run.reuse.missing_results` returns them.

    Raises:
        BadInput: the model cannot be loaded or the store cannot be written, so no task can go on.
    """
    outcome = Outcome(run.output_dir, kept=len(run.tasks) * len(run.variants) - sum(map(len, todo.values())))
    tasks = in_turn([task for task in run.tasks if task.name in todo], run.sources)
    work = [_Work(task, _parts(run, task, todo[task.name])) for task in tasks]
    progress = _progress(run, sum(len(one.parts) for one in work)) if "encode" in stages else Progress()
    jobs = Scoring(run, pool, outcome, progress)
    with shown(progress):
        if "encode" in stages:
            with closing(_encode_tasks(run, pool, work, outcome, progress)) as encoded:
                for one, name, counts, memory in encoded:
                    if "evaluate" in stages:
                        jobs.submit(name, one.task, *one.parts[name], counts=counts, memory=memory)
        else:
            for one in work:
                memory = scoring(one.task.texts, one.task.characters, run.variants[0].width)
                for name, part in one.parts.items():
                    jobs.submit(name, one.task, *part, counts={}, memory=memory)
        jobs.wait()
    return outcome


def in_turn(tasks: list[Task], sources: Mapping[str, DataSource]) -> list[Task]:
    """Tasks in the order in which they are encoded.

    First those whose scoring several processes share, the smallest first so that the model soon has work. Then those
    that one process scores, the largest first, so that it is scored while the others are encoded.
    """
    by_size = sorted(tasks, key=lambda task: sources[task.name].size)
    shared = [task for task in by_size if task.type in SHARED_TYPES]
    return shared + [task for task in reversed(by_size) if task.type not in SHARED_TYPES]


def _parts(run: Run, task: Task, todo: list[Variant]) -> dict[str, tuple[Reading, list[Variant]]]:
    """A task's work, by a name that includes the reading if the run has several."""
    found = {}
    for reading in run.subject.readings:
        if variants := [variant for variant in reading.variants if variant in todo]:
            found[task.name if len(run.subject.readings) == 1 else f"{task.name} ({reading.name})"] = reading, variants
    return found


def _progress(run: Run, parts: int) -> Progress:
    """Progress of encoding, which estimates time from the prompts' cost or, if that is unknown, from their tokens."""
    cost = run.subject.open_cost()
    return Progress(parts, cost.effort if cost else sum)


def _encode_tasks(
    run: Run, pool: ProcessPool, work: list[_Work], outcome: Outcome, progress: Progress
) -> Generator[tuple[_Work, str, Counts, int], None, None]:
    """Yield each part of a task once its vectors are stored, with its prompts' counts and the bytes to score it.

    Parts that fail are left out.
    """
    vectors = {reading.fingerprint: _Vectors(run, reading) for reading in run.subject.readings}
    preparer = run.subject.open_tokenizer()
    stores = [{name: vectors[part[0].fingerprint].store for name, part in one.parts.items()} for one in work]
    with ExitStack() as ended:
        planner = ended.enter_context(closing(Planner(pool, run.subject.profile, use_instruction=run.use_instruction)))
        plans = [planner.submit(one.task, run.sources[one.task.name]) for one in work]
        estimate_workload(list(zip(plans, stores, strict=True)), preparer, progress)
        prepared = ended.enter_context(closing(prefetch(_prepared(plans, preparer), count=1)))
        open_writer = cache(partial(_open_writer, run, ended))
        for number, (one, ready) in enumerate(zip(work, prepared, strict=True), start=1):
            for name, (reading, _) in one.parts.items():
                try:
                    if isinstance(ready, Exception):
                        raise ready
                    plan, prompts = ready
                    done = vectors[reading.fingerprint].fill(one.task.name, name, prompts, open_writer, progress)
                except torch.AcceleratorError:
                    raise  # a broken device breaks every task and is not a fault of this project
                except Exception as error:
                    planned = not isinstance(ready, Exception)
                    if planned and (isinstance(error, BadInput) or not open_writer.cache_info().currsize):
                        raise  # the store cannot be written or the model cannot be loaded: no task can go on
                    outcome.fail(one.task.name, error)
                    continue
                finally:
                    progress.end(name)
                log.info(
                    "[%d/%d] %s", number, len(work), _encoded_line(name, plan, done, counted=run.subject.counts_tokens)
                )
                memory = scoring(plan.distinct, plan.characters, run.variants[0].width)
                yield one, name, done.recorded, memory
    differing: dict[str, list[str]] = {}
    for of_reading in vectors.values():
        of_reading.end(outcome)
        for task, flags in of_reading.differing.items():
            differing.setdefault(task, []).extend(flags)
    warn_of_flags(differing)


class _Vectors:
    """One reading's vectors: the store, and the round that encodes the tasks of ``--reencode`` again.

    Attributes:
        differing: by task, flags that differ from how its vectors were made.
    """

    def __init__(self, run: Run, reading: Reading) -> None:
        self._run, self._reading = run, reading
        self.store = Store(run.store_dir, reading.fingerprint)
        self.store.refresh()
        self._again = self.store.again() if run.reencode else self.store
        self.differing: dict[str, list[str]] = {}

    def fill(
        self, task: str, name: str, prompts: Prompts, open_writer: Callable[[], Writer], progress: Progress
    ) -> EncodeCounts:
        """Encode a task's missing vectors into the store, under ``name`` in ``progress``."""
        target = self._again if task in self._run.reencode else self.store
        done = encode(prompts, target, open_writer, self._reading.identity, task=name, progress=progress)
        if target is not self.store:
            log.warning("%s: %s", name, vectors_line(target, prompts.keys))
        self.differing[task] = flags_that_differ(self._run.subject.asked, self.store.made_with(prompts.keys))
        return done

    def end(self, outcome: Outcome) -> None:
        """End the round after the last task, unless one that was to be encoded again failed."""
        if self._again is not self.store and not self._run.reencode & outcome.failed.keys():
            self._again.end_round()


def _open_writer(run: Run, ended: ExitStack) -> Writer:
    """Load the model in this process, or start workers that end with the stage."""
    if run.subject.open_workers is None:
        return InProcess(encoders(run.subject.open_encoder(), run.subject.readings))
    return ended.enter_context(
        closing(run.subject.open_workers(readings=run.subject.readings, store_dir=run.store_dir))
    )


def _prepared(plans: list[Future[WaitingPlan]], preparer: Prepare) -> Iterator[tuple[WaitingPlan, Prompts] | Exception]:
    """Yield plans in order, each with its prompts prepared, or the error if a task has none."""
    for planned in plans:
        try:
            plan = planned.result()
            prompts = prepare(plan.read(), preparer)
        except Exception as error:
            yield error
        else:
            yield plan, prompts


def _encoded_line(name: str, plan: WaitingPlan, done: EncodeCounts, *, counted: bool) -> str:
    tokens = f"{done.tokens:,} tokens, {done.cut:,} cut by the limit" if counted else f"about {done.tokens:,} tokens"
    line = f"{name}: {plan.texts:,} texts, {done.prompts:,} distinct prompts, {tokens}"
    if not done.encoded:
        return f"{line}; all in the store"
    line = f"{line}; encoded {done.encoded:,} at {done.encoded_tokens / max(done.seconds, 1e-3):,.0f} tokens/s"
    return line if done.share_of_ceiling is None else f"{line}, {done.share_of_ceiling:.0%} of the ceiling"
