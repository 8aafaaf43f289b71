"""Runs scoring as jobs of the worker pool, and records results as they finish."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial

from qzhou_eval.benchmark.task import Task
from qzhou_eval.encode.progress import LatestScore, Progress
from qzhou_eval.encode.readings import Reading
from qzhou_eval.evaluate.stage import Evaluated, EvaluateJob, evaluate
from qzhou_eval.protocol.prompts import task_prompt
from qzhou_eval.results.baselines import place
from qzhou_eval.results.entries import Counts, Instruction, Made
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.results.variant import Variant, record_for
from qzhou_eval.run.outcome import Outcome
from qzhou_eval.run.prepare import Run
from qzhou_eval.run.processes import SCORE, ProcessPool, worker_count
from qzhou_eval.run.rerun_comparison import Scores, scores_line
from qzhou_eval.system.environment import SCORING_LIBRARIES, versions
from qzhou_eval.system.mteb_version import generation

log = logging.getLogger(__name__)

SHARED_TYPES = ("Classification", "Clustering")  # models are fitted at each dimension: processes share the work
MTEB_SEED = 42  # of every task in both generations of mteb


def parts(task: Task, variants: list[Variant], workers: int) -> list[list[Variant]]:
    """Divide a task's variants among the jobs that score them.

    Tasks of :data:`SHARED_TYPES` go to several workers; the other types do most of their work once for all dimensions.
    """
    count = min(workers, len(variants)) if task.type in SHARED_TYPES else 1
    return [variants[start::count] for start in range(count)]


@dataclass
class _Part:
    """Some variants of a task that one job scores.

    Attributes:
        name: the task's name, with the reading's if the run has several readings.
        counts: what the manifest records about the task's prompts.
        before: earlier scores by dimension, if they are evaluated again.
        scores: the task's main scores by dimension, shared by all its parts.
        dims: how many dimensions all its parts have together.
    """

    name: str
    task: Task
    reading: Reading
    variants: list[Variant]
    counts: Counts
    before: dict[int, Scores]
    scores: dict[int, float]
    dims: int


class Scoring:
    """Submits tasks for scoring, and records each result in the manifest as soon as it is finished."""

    def __init__(self, run: Run, pool: ProcessPool, outcome: Outcome, progress: Progress) -> None:
        self._run, self._pool, self._outcome, self._progress = run, pool, outcome, progress
        self._recorded: list[Future[None]] = []
        self._claimed: set[str] = set()

    def submit(
        self,
        name: str,
        task: Task,
        reading: Reading,
        variants: list[Variant],
        *,
        counts: Counts,
        memory: int,
    ) -> None:
        """Submit a task for scoring, in one reading.

        Args:
            name: its name in the log.
            counts: what the manifest records about its prompts.
            memory: bytes of memory that a process needs for it.
        """
        scores: dict[int, float] = {}
        for some in parts(task, variants, worker_count(self._run.eval_workers)):
            before = self._scores(task, some) if task.name in self._run.reevaluate else {}
            part = _Part(name, task, reading, some, counts, before, scores, len(variants))
            job = self._job(task, some, baseline=self._claim_baseline(task))
            done = self._pool.submit(evaluate, job, kind=SCORE, memory=memory)
            self._recorded.append(_then(done, partial(self._record, part)))

    def wait(self) -> None:
        """Wait until everything submitted is recorded.

        Raises:
            OSError: the manifest cannot be written.
        """
        for recorded in self._recorded:
            recorded.result()

    def _claim_baseline(self, task: Task) -> bool:
        """Whether the task's data has no stored baseline yet; True only once, for the job that makes it."""
        if task.name in self._claimed:
            return False
        self._claimed.add(task.name)
        record = record_for(task, self._run.sources[task.name].revision)
        kept = place(self._run.output_dir, task.name, record.data, record.mteb)
        return generation() == "current" and not kept.exists()

    def _job(self, task: Task, variants: list[Variant], *, baseline: bool) -> EvaluateJob:
        return EvaluateJob(
            task=task,
            source=self._run.sources[task.name],
            profile=self._run.subject.profile,
            store_dir=self._run.store_dir.resolve(),
            output_dir=self._run.output_dir.resolve(),
            variants=tuple(variants),
            evaluators=self._run.evaluators,
            score_profile=self._run.score_profile,
            baseline=baseline,
        )

    def _record(self, part: _Part, done: Future[Evaluated]) -> None:
        """Record a part's results, and log a task's scores when all its dimensions are finished."""
        if done.cancelled() or isinstance(done.exception(), CancelledError):
            return
        task = part.task
        if error := done.exception():
            self._outcome.fail(task.name, error)
            return
        evaluated = done.result()
        record = record_for(task, self._run.sources[task.name].revision)
        made: Made = {
            "texts": evaluated.texts,
            "samples": {} if self._run.no_samples else evaluated.samples,
            "encoded_with": evaluated.encoded_with,
            "instruction": self._instruction(task),
            "data_files": self._run.sources[task.name].content,
            "official_statistics": evaluated.official,
            "evaluators": self._run.evaluators,
            "scored_with": versions(SCORING_LIBRARIES),
            "seed": MTEB_SEED,
            "code": self._run.code,
            **part.counts,
        }
        manifest = Manifest(self._run.output_dir)
        manifest.add(
            part.variants,
            task.name,
            record,
            made,
            part.reading.provenance,
            benchmark=self._run.benchmark,
            label=self._run.model_label,
        )
        self._outcome.finished += len(part.variants)
        if part.before:
            log.warning("%s: %s", part.name, scores_line(part.before, self._scores(task, part.variants)))
        part.scores.update(evaluated.scores)
        if len(part.scores) == part.dims:
            by_dim = "  ".join(f"{dim}: {100 * score:.2f}" for dim, score in sorted(part.scores.items()))
            log.info("%s, %s by dimension  %s", part.name, record.metric, by_dim)
            widest = max(part.scores)
            self._progress.landed(LatestScore(part.name, widest, 100 * part.scores[widest]))

    def _instruction(self, task: Task) -> Instruction | None:
        """The task's instruction and the sides that get it, as the manifest records it."""
        prompt = task_prompt(self._run.subject.profile, task) if self._run.use_instruction else None
        if prompt is None or prompt.instruction is None:
            return None
        instruction: Instruction = {"instruct": prompt.instruct, "instruction": prompt.instruction}
        if prompt.document_instruction is not None:
            instruction["document_instruction"] = prompt.document_instruction
        return instruction

    def _scores(self, task: Task, variants: list[Variant]) -> dict[int, Scores]:
        """By dimension, the scores in those result files that exist and are complete."""
        found = {}
        for variant in variants:
            try:
                path = self._run.output_dir / variant.folder / f"{task.name}.json"
                found[variant.dim] = json.loads(path.read_text("utf-8"))["scores"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return found


def _then(future: Future[Evaluated], act: Callable[[Future[Evaluated]], None]) -> Future[None]:
    """A future that is done when ``act`` has run on the finished ``future``, and raises what ``act`` raised."""
    after: Future[None] = Future()

    def run(finished: Future[Evaluated]) -> None:
        try:
            act(finished)
        except Exception as error:
            after.set_exception(error)
        else:
            after.set_result(None)

    future.add_done_callback(run)
    return after
