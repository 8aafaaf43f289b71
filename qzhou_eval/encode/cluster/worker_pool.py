"""The run's side of a cluster: starts one worker per GPU, hands out work, replaces workers that die."""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import ray
from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

from qzhou_eval.encode.cluster.resources import WorkerResources
from qzhou_eval.encode.cluster.work_queue import Queue, QueuedBatch
from qzhou_eval.encode.cluster.worker import CannotLoad, Worker, WorkerReady
from qzhou_eval.encode.readings import Reading
from qzhou_eval.encode.shard_writer import EncodedStep, EncodeError
from qzhou_eval.encode.store import Store
from qzhou_eval.errors import BadInput
from qzhou_eval.model.batching.batches import plan
from qzhou_eval.model.tokenizer import Tokenized

if TYPE_CHECKING:
    from qzhou_eval.model.embedder import Embedder

log = logging.getLogger(__name__)

AHEAD = 2  # units per worker: one that it works on, one that waits
DEATHS_FOR_EACH = 10  # deaths in a row per worker, with no unit finished, after which all are assumed broken
LOST_STARTS = 3  # workers in a row that died while they loaded the model
QUIET_SECONDS = 60  # before a line says what is being waited for
SHARED_FOLDER_SECONDS = 60  # for a network folder to show what another machine wrote


@dataclass(frozen=True)
class _Job:
    """One task's prompts on their way into the store."""

    queue: Queue
    keys: list[bytes]
    tokenized: Sequence[Tokenized]
    store: Store


@dataclass(frozen=True, eq=False)
class _Unit:
    """Batches of a task that a worker encodes and writes as one shard."""

    job: _Job
    batches: list[QueuedBatch]

    @property
    def rows(self) -> list[int]:
        return [row for batch in self.batches for row in batch.rows]

    @property
    def keys(self) -> list[bytes]:
        return [self.job.keys[row] for row in self.rows]

    @property
    def tokenized(self) -> list[Tokenized]:
        return [self.job.tokenized[row] for row in self.rows]

    def is_stored(self) -> bool:
        return not self.job.store.missing(self.keys)

    def step(self) -> EncodedStep:
        """Return what is known if its worker died before it could report."""
        return EncodedStep(self.rows, sum(len(prompt.ids) for prompt in self.tokenized), None)


@dataclass(eq=False)
class _Member:
    """A worker from the run's side: ``opened`` is set once its model is loaded; ``units`` keep the order given out."""

    actor: ActorHandle[Worker]
    opened: WorkerReady | None = None
    units: list[_Unit] = field(default_factory=list)


class WorkerPool:
    """Workers that encode and write shards; a :class:`~qzhou_eval.encode.stage.Writer`.

    Raises:
        BadInput: no worker can load the model, or a worker sees different files.
    """

    def __init__(
        self,
        places: WorkerResources,
        open_encoder: Callable[[], "Embedder"],
        readings: Sequence[Reading],
        store_dir: Path,
    ) -> None:
        log.info("starting %d workers with Ray", places.workers)
        self.devices = places.workers
        self._lost_starts = self._deaths_in_a_row = 0
        self._waiting: dict[ray.ObjectRef, tuple[_Member, _Unit | None]] = {}  # None: the worker loads the model
        kind = ray.remote(max_restarts=0, max_task_retries=0, **places.options)(Worker)
        self._start_actor = lambda: kind.remote(open_encoder, readings, store_dir)
        self._members: list[_Member] = []
        for _ in range(places.workers):
            self._start()
        while not (opened := [member.opened for member in self._members if member.opened]):
            self._follow()
        self._first = opened[0]

    def write(
        self, keys: list[bytes], tokenized: Sequence[Tokenized], store: Store
    ) -> Generator[EncodedStep, None, None]:
        """Have prompts encoded into ``store``, and make sure that it shows them.

        Raises:
            EncodeError: vectors cannot be used, or prompts killed two workers; the others are stored.
            BadInput: a worker does not see the store, or sees a different one.
        """
        lengths = [len(prompt.ids) for prompt in tokenized]
        empty = [row for row, length in enumerate(lengths) if not length]  # they are in no batch
        batches = list(plan(lengths, self._first.batch_tokens, self._first.way))
        queue = Queue(batches + ([empty] if empty else []), self.devices)
        job = _Job(queue, keys, tokenized, store)
        failed: EncodeError | None = None
        written: list[int] = []
        while queue or any(unit is not None for _, unit in self._waiting.values()):
            self._give_out(job)
            try:
                for step in self._follow():
                    written += step.rows
                    yield step
            except EncodeError as error:
                failed = failed or error
                queue.drop()
        _wait_for([keys[row] for row in written], store)
        if failed:
            raise failed
        if rows := [row for batch in queue.set_aside for row in batch.rows]:
            named = " ".join(keys[row].hex() for row in rows)
            raise EncodeError(f"{len(rows)} prompts were set aside because they killed two workers: {named}")

    def close(self) -> None:
        """End the workers."""
        for member in self._members:
            ray.kill(member.actor)
        self._members.clear()
        self._waiting.clear()  # dropping a reference after Ray's shutdown ends the process
        ray.shutdown()

    def _start(self) -> None:
        member = _Member(cast("ActorHandle[Worker]", self._start_actor()))  # by Ray's types it could be the class
        self._members.append(member)
        self._waiting[member.actor.open.remote()] = member, None

    def _give_out(self, job: _Job) -> None:
        """Give each worker the units it lacks, starting with the workers that have the fewest."""
        for depth in range(AHEAD):
            for member in self._members:
                if job.queue and member.opened and len(member.units) == depth:
                    unit = _Unit(job, job.queue.take())
                    where = job.store.fingerprint, job.store.round
                    member.units.append(unit)
                    self._waiting[member.actor.encode.remote(unit.keys, unit.tokenized, *where)] = member, unit

    def _follow(self) -> list[EncodedStep]:
        """Wait for the next answer from any worker and act on it; return the steps done, rows as in the whole task."""
        ready: list[ray.ObjectRef] = []
        while not ready:
            ready, _ = ray.wait(list(self._waiting), num_returns=1, timeout=QUIET_SECONDS)
            if not ready and not any(member.opened for member in self._members):
                log.info("waiting for %d workers to be placed and load the model", len(self._members))
        member, unit = self._waiting.pop(ready[0])
        try:
            answer = ray.get(ready[0])
        except RayTaskError as error:  # the worker is alive and says what is wrong
            if unit is not None:
                member.units.remove(unit)
            if not isinstance(error.cause, CannotLoad):
                raise error.cause from None
            self._leave_out(member, str(error.cause))
            return []
        except RayError as error:
            return self._replace(member, error)
        if unit is None:
            self._lost_starts = 0
            member.opened = answer
            log.info("worker on %s, process %d: model loaded", answer.host, answer.process)
            return []
        self._deaths_in_a_row = 0
        member.units.remove(unit)
        rows = unit.rows
        return [EncodedStep([rows[i] for i in step.rows], step.forwarded, step.ideal_seconds) for step in answer]

    def _replace(self, dead: _Member, error: RayError) -> list[EncodedStep]:
        """Replace a dead worker and put its work back; return the steps of what it had already written."""
        reason = str(error).splitlines()[0]
        self._dismiss(dead)
        if dead.opened is None:
            self._lost_starts += 1
            if self._lost_starts >= LOST_STARTS:
                self._leave_out(dead, f"{LOST_STARTS} workers in a row died while loading the model ({reason})")
                return []
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > DEATHS_FOR_EACH * self.devices:
            raise BadInput(
                f"{self._deaths_in_a_row} workers died in a row and none finished anything ({reason}); "
                "what is done is kept; repeat the command to resume"
            )
        where = f"on {dead.opened.host}, process {dead.opened.process}" if dead.opened else "that was starting"
        log.warning("the worker %s died; another is started, and its work is given out again", where)
        self._start()
        if not dead.units:
            return []
        dead.units[0].job.store.refresh(verify=False)  # all its units are of one task
        written = [unit for unit in dead.units if unit.is_stored()]
        lost = [unit for unit in dead.units if unit not in written]
        died_of_it = not isinstance(error, ActorUnavailableError)  # otherwise the network failed
        for place, unit in reversed(list(enumerate(lost))):  # the first killed it, the other had not begun
            unit.job.queue.give_back(unit.batches, died_of_it=died_of_it and place == 0)
        return [unit.step() for unit in written]

    def _leave_out(self, member: _Member, reason: str) -> None:
        """Continue with one worker fewer.

        Raises:
            BadInput: it was the last one.
        """
        self._dismiss(member)
        if not self._members:
            raise BadInput(reason)
        log.warning("%s; continuing with %d workers", reason, len(self._members))

    def _dismiss(self, member: _Member) -> None:
        """Remove a worker and end what may be left of it, which would hold its GPU."""
        ray.kill(member.actor)
        if member in self._members:
            self._members.remove(member)
        self._waiting = {ref: told for ref, told in self._waiting.items() if told[0] is not member}


def _wait_for(keys: list[bytes], store: Store) -> None:
    """Wait until all that the workers wrote is indexed; a network folder may show it late."""
    end = time.monotonic() + SHARED_FOLDER_SECONDS
    store.refresh(verify=False)
    while store.missing(keys):
        if time.monotonic() > end:
            raise BadInput(f"--store_dir: {store.folder} does not show what workers wrote; do all machines share it?")
        time.sleep(1)
        store.refresh(verify=False)
