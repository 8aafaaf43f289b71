"""The work of one task: batches, longest first, taken in units that shrink towards the end. Needs no Ray or model."""

from collections import deque
from dataclasses import dataclass

UNIT_BATCHES = 8
UNIT_PROMPTS = 4096
DEATHS = 2


@dataclass
class QueuedBatch:
    """Prompts that go through the model together; ``deaths`` counts the workers that died while they held it."""

    rows: list[int]
    deaths: int = 0


class Queue:
    """Batches that no worker has, and those that were set aside because they killed two workers.

    A unit becomes one shard. It holds whole batches, so batches are the same as in a single process.
    """

    def __init__(self, batches: list[list[int]], workers: int) -> None:
        self._batches = deque(QueuedBatch(rows) for rows in batches)
        self._workers = workers
        self.set_aside: list[QueuedBatch] = []

    def __bool__(self) -> bool:
        return bool(self._batches)

    def take(self) -> list[QueuedBatch]:
        """Take the next unit. A batch that a worker had when it died goes alone, to show whether it was the cause."""
        unit = [self._batches.popleft()]
        size = min(UNIT_BATCHES, len(self._batches) // (3 * self._workers))  # small at the end, so nobody waits long
        prompts = len(unit[0].rows)
        while not unit[0].deaths and len(unit) < size and self._batches and not self._batches[0].deaths:
            prompts += len(self._batches[0].rows)
            if prompts > UNIT_PROMPTS:
                break
            unit.append(self._batches.popleft())
        return unit

    def give_back(self, unit: list[QueuedBatch], *, died_of_it: bool = False) -> None:
        """Put back, at the front, a unit whose worker has died; a batch that has killed two workers is set aside."""
        for batch in reversed(unit):
            batch.deaths += died_of_it
            if batch.deaths >= DEATHS:
                self.set_aside.append(batch)
            else:
                self._batches.appendleft(batch)

    def drop(self) -> None:
        """Discard all batches that no worker has."""
        self._batches.clear()
