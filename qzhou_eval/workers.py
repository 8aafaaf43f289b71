"""Processes for what needs mteb: reading tasks' data and scoring. The main process keeps to the model."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess

log = logging.getLogger(__name__)


class _Process(SpawnProcess):
    """A process that Ctrl-C never reaches, not even while it starts: the main process answers it."""

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process inherits it
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(SpawnContext):
    Process = _Process


def worker_count(workers: int | None = None) -> int:
    """How many processes a pool has: by default one per core, at most eight."""
    return workers or min(os.cpu_count() or 1, 8)


@contextmanager
def worker_pool(workers: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """A pool of as many fresh processes as :func:`worker_count` says; what they say on stderr this process logs.

    When the block is left by an exception (Ctrl-C too), waiting jobs are dropped and running ones ended.
    """
    # Ended workers cannot release tqdm's lock; the tracker releases it, and need not say so.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    context = _Context()
    said, stderr = context.Pipe(duplex=False)
    reader = threading.Thread(target=_pass_on, args=(said,), daemon=True)
    reader.start()
    pool = ProcessPoolExecutor(worker_count(workers), context, _start, (os.getpid(), stderr))
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(cancel_futures=True)
        raise
    else:
        pool.shutdown()
    finally:
        stderr.close()
        reader.join(timeout=1)


def _pass_on(said: Connection) -> None:
    """Log the workers' lines, until the last of them has ended."""
    with open(said.fileno(), encoding="utf-8", errors="replace", closefd=False) as lines:
        for line in lines:
            log.warning("%s", line.rstrip("\n"))


def _end_with_parent(parent: int) -> None:
    """Leave when the main process is gone, killed ones too: no worker outlives its run."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _start(parent: int, stderr: Connection) -> None:
    """One thread a worker: scores do not depend on the number of cores, and encoding keeps the rest."""
    os.dup2(stderr.fileno(), 2)
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
    threadpool_limits(1)  # of libraries that were loaded before, by the main module, which a process imports first
    from qzhou_eval.adapter.reading import quiet

    logging.basicConfig(level=logging.WARNING)
    quiet()
