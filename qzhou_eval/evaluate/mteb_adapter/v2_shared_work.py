"""Does the work that a task's dimensions share only once. Metrics remain mteb's own, on the same values."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
from datasets import Column, arrow_dataset
from mteb._set_seed import _set_seed
from mteb.abstasks import AbsTask, AbsTaskClassification, AbsTaskRetrieval

from qzhou_eval.evaluate.mteb_adapter.stored_vectors import Vectors
from qzhou_eval.protocol.texts import AnyText


@contextmanager
def columns_read_once() -> Iterator[None]:
    """Within the block, read each column of a data set once, however often it is iterated.

    ``datasets`` decodes one row at each step over a column, and mteb passes the labels, as such a column, to a dozen
    metrics, which would take most of a classification task's time.
    """
    before = arrow_dataset.Column
    arrow_dataset.Column = _ReadOnce
    try:
        yield
    finally:
        arrow_dataset.Column = before


class _ReadOnce(Column):
    @cached_property
    def _rows(self) -> list:
        return super().__getitem__(slice(None))

    def __iter__(self):
        return iter(self._rows)

    def __getitem__(self, key):
        return self._rows[key] if isinstance(key, int | slice) else super().__getitem__(key)


def draw_once(mteb_task: AbsTask) -> None:
    """Cache a classification task's draws: they depend on data, seed and experiment, not on vectors."""
    if not isinstance(mteb_task, AbsTaskClassification):
        return
    draw = mteb_task._undersample_data
    drawn: dict[tuple[str, int], tuple] = {}

    def remembered(dataset, experiment_num, idxs=None):
        key = dataset._fingerprint, experiment_num
        if key not in drawn:
            drawn[key] = draw(dataset, experiment_num, idxs)
        return drawn[key]

    vars(mteb_task)["_undersample_data"] = remembered  # for this object only


def draw_again(mteb_task: AbsTask) -> None:
    """Start the task's random numbers again: fast clustering and multilabel classification draw texts with them, and
    would draw others at a second dimension than a user of mteb, who evaluates a task once.
    """
    mteb_task.rng_state, mteb_task.np_rng = _set_seed(mteb_task.seed)


@contextmanager
def unscored(mteb_task: AbsTask) -> Iterator[None]:
    """Within the block, a search is not scored by the task's own code, which may expect every document to be found."""
    if not isinstance(mteb_task, AbsTaskRetrieval):
        yield
        return
    own = vars(mteb_task)
    own |= {"task_specific_scores": lambda *_, **__: {}, "_add_main_score": lambda _scores: None}
    try:
        yield
    finally:
        del own["task_specific_scores"], own["_add_main_score"]


class CallOrder:
    """The stored vectors of one task by encode call; texts are read and looked up at the first dimension only.

    Which texts mteb asks for, and in which order, does not depend on the vectors.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._calls: list[tuple[tuple, np.ndarray]] = []
        self._next = 0
        self._known = False

    def start(self) -> "CallOrder":
        """Begin a dimension.

        Raises:
            RuntimeError: the previous dimension made fewer calls than the first.
        """
        if self._next < len(self._calls):
            raise RuntimeError(f"{self._next} encode calls at one dimension, {len(self._calls)} at another")
        self._known = bool(self._calls)
        self._next = 0
        return self

    def of(
        self, side: str | None, split: str, count: int, texts: Callable[[], list[AnyText]], dim: int | None
    ) -> np.ndarray:
        """float32 (count, dim): the vectors of the next call, cut, in the order of its texts.

        ``texts`` returns the texts and is called at the first dimension only.

        Raises:
            BadInput: a prompt is not in the store.
            RuntimeError: the first dimension made another call at this point.
        """
        what = side, split, count
        if not self._known:
            self._calls.append((what, self._vectors.rows(texts(), side)))
        if self._next == len(self._calls) or self._calls[self._next][0] != what:
            raise RuntimeError(f"encode call {self._next + 1} is not the first dimension's: {what}")
        _, rows = self._calls[self._next]
        self._next += 1
        return self._vectors.take(rows, dim)
