"""Worker processes for what needs mteb: reading tasks' data and scoring. The main process runs only the model.

Jobs wait here, not in a process's queue: cores and memory decide how many run at once, and a process that
dies takes only one known job with it.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess

from qzhou_eval.errors import TaskFailed
from qzhou_eval.system.environment import usable_cores, usable_memory
from qzhou_eval.system.options import call_options_flags

log = logging.getLogger(__name__)

PLAN, SCORE = "plan", "score"
MEMORY_SHARE = 0.75  # of the memory free at the start; the rest is for the model's process and other programs


class WorkerDied(TaskFailed):
    """The process that ran this job died, most often because the system killed it when memory ran out."""


class _Process(SpawnProcess):
    """A process that ignores Ctrl-C, even while it starts: only the main process handles it."""

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by the new process
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(SpawnContext):
    Process = _Process


@dataclass(eq=False)
class _Job:
    kind: str
    memory: int
    act: Callable
    future: Future = field(default_factory=Future)


class ProcessPool:
    """Runs jobs of two kinds in processes that are started when first needed.

    A free process takes a job of the kind with fewer running, so that neither kind waits behind the other. Of one kind
    the first job that fits in memory is taken; a job that never fits runs when nothing else does.

    Args:
        workers: how many processes.
        open_process: returns an executor with one process.
        memory: bytes that running jobs may use together, by their own estimates.
    """

    def __init__(self, workers: int, open_process: Callable[[], ProcessPoolExecutor], memory: int) -> None:
        self._open_process, self._memory = open_process, memory
        self._idle: list[ProcessPoolExecutor | None] = [None] * workers
        self._waiting: list[_Job] = []
        self._running: dict[_Job, ProcessPoolExecutor] = {}
        self._last, self._ended = SCORE, False
        self._lock, self._telling = threading.RLock(), threading.Lock()

    def submit(self, act: Callable, /, *args, kind: str = PLAN, memory: int = 0, **kwargs) -> Future:
        """Run ``act(*args, **kwargs)`` in one of the processes; returns a future. Futures' callbacks run one at a time.

        The future's exception is what ``act`` raised, :class:`WorkerDied`, or ``CancelledError`` if the pool was ended.

        Args:
            kind: :data:`PLAN` or :data:`SCORE`.
            memory: the job's estimated bytes of memory.
        """
        job = _Job(kind, memory, partial(act, *args, **kwargs))
        with self._lock:
            self._waiting.append(job)
            self._dispatch()
        return job.future

    def close(self) -> None:
        """Wait for the processes to end; no job may be left."""
        for process in filter(None, self._idle):
            process.shutdown()

    def end(self) -> None:
        """End the processes now; waiting jobs are dropped, and running ones count as cancelled."""
        with self._lock:
            self._ended = True
            dropped, self._waiting = self._waiting, []
            processes = [*filter(None, self._idle), *self._running.values()]
        for executor in processes:
            for process in list((executor._processes or {}).values()):
                process.terminate()
            executor.shutdown(cancel_futures=True)
        for job in dropped:
            job.future.cancel()

    def _dispatch(self) -> None:
        while self._idle and (job := self._next()):
            self._waiting.remove(job)
            if not job.future.set_running_or_notify_cancel():
                continue
            self._last = job.kind
            self._running[job] = process = self._idle.pop() or self._open_process()
            process.submit(job.act).add_done_callback(partial(self._done, job))

    def _next(self) -> _Job | None:
        running = {kind: sum(job.kind == kind for job in self._running) for kind in (PLAN, SCORE)}
        used = sum(job.memory for job in self._running)
        fitting = [job for job in self._waiting if not used or used + job.memory <= self._memory]
        return min(fitting, key=lambda job: (running[job.kind], job.kind == self._last), default=None)

    def _done(self, job: _Job, done: Future) -> None:
        died = isinstance(done.exception(), BrokenProcessPool)
        with self._lock:
            process = self._running.pop(job)
            if died:
                process.shutdown(wait=False)
            self._idle.append(None if died else process)
            self._dispatch()
        with self._telling:
            if died and self._ended:
                job.future.set_exception(CancelledError())
            elif died:
                job.future.set_exception(WorkerDied(f"its {job.kind} process died (out of memory?)"))
            elif error := done.exception():
                job.future.set_exception(error)
            else:
                job.future.set_result(done.result())


def worker_count(workers: int | None = None) -> int:
    """How many processes a pool has: by default one per usable core, at most eight."""
    return workers or min(usable_cores(), 8)


@contextmanager
def process_pool(workers: int | None = None) -> Iterator[ProcessPool]:
    """Open a pool of :func:`worker_count` new processes; this process logs what they write to stderr.

    When an exception (including Ctrl-C) leaves the block, waiting jobs are dropped and running ones ended.
    """
    # Terminated workers cannot release tqdm's lock; the tracker releases it and need not warn about it.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    context = _Context()
    said, stderr = context.Pipe(duplex=False)
    reader = threading.Thread(target=_pass_on, args=(said,), daemon=True)
    reader.start()
    open_process = partial(ProcessPoolExecutor, 1, context, _start, (os.getpid(), stderr))
    pool = ProcessPool(worker_count(workers), open_process, int(MEMORY_SHARE * usable_memory()))
    try:
        yield pool
    except BaseException:
        pool.end()
        raise
    else:
        pool.close()
    finally:
        stderr.close()
        reader.join(timeout=1)


def _pass_on(said: Connection) -> None:
    """Log the workers' stderr lines until the last worker has ended."""
    with open(said.fileno(), encoding="utf-8", errors="replace", closefd=False) as lines:
        for line in lines:
            log.warning("%s", line.rstrip("\n"))


def _end_with_parent(parent: int) -> None:
    """Exit when the main process is gone, even if it was killed, so that no worker outlives its run."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _start(parent: int, stderr: Connection) -> None:
    """Set up a worker with one thread: scores do not depend on the number of cores, and encoding keeps the rest."""
    os.dup2(stderr.fileno(), 2)
    call_options_flags()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # scikit-learn's own workers would outlive ours by minutes
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)  # for libraries loaded already by the main module, which a new process imports first
    from qzhou_eval.evaluate.mteb_adapter.data_loading import quiet

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    quiet()
