"""The work of one task: batches longest first, taken in units that shrink towards the end. Knows no ray, no model."""

from collections import deque
from dataclasses import dataclass

UNIT_BATCHES = 8
UNIT_PROMPTS = 4096
DEATHS = 2


@dataclass
class QueuedBatch:
    """Prompts that go through the model together; ``deaths`` counts the workers that died while they had it."""

    rows: list[int]
    deaths: int = 0


class Queue:
    """Batches that nobody works on, and those that were set aside because they killed two workers.

    A unit becomes one shard. Cutting it at batches' ends leaves the batches as they are in a single process.
    """

    def __init__(self, batches: list[list[int]], workers: int) -> None:
        self._batches = deque(QueuedBatch(rows) for rows in batches)
        self._workers = workers
        self.set_aside: list[QueuedBatch] = []

    def __bool__(self) -> bool:
        return bool(self._batches)

    def take(self) -> list[QueuedBatch]:
        """The next unit. A batch that was there when a worker died goes alone: so one sees whether it was the cause."""
        unit = [self._batches.popleft()]
        size = min(UNIT_BATCHES, len(self._batches) // (3 * self._workers))  # small at the end: nobody waits long
        prompts = len(unit[0].rows)
        while not unit[0].deaths and len(unit) < size and self._batches and not self._batches[0].deaths:
            prompts += len(self._batches[0].rows)
            if prompts > UNIT_PROMPTS:
                break
            unit.append(self._batches.popleft())
        return unit

    def give_back(self, unit: list[QueuedBatch], *, died_of_it: bool = False) -> None:
        """Put a unit back in front whose worker has died; what has killed two workers is set aside."""
        for batch in reversed(unit):
            batch.deaths += died_of_it
            if batch.deaths >= DEATHS:
                self.set_aside.append(batch)
            else:
                self._batches.appendleft(batch)

    def drop(self) -> None:
        """Forget all that nobody works on."""
        self._batches.clear()
