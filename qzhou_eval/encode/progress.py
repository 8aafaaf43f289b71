"""Show a run's progress: one live view on a terminal, an occasional line elsewhere.

Events and counts are reported to :class:`Progress`; what is shown is made from its :class:`Status`. Does not depend on
model, store or mteb; rich is imported only when there is a terminal.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from qzhou_eval.system.formatting import duration, scaled

if TYPE_CHECKING:
    from rich.console import Group

log = logging.getLogger(__name__)

LINE_SHARE, LINE_SECONDS, QUIET_SECONDS = 0.1, 10.0, 600.0
SCORES_SHOWN = 8


@dataclass(frozen=True)
class Amount:
    """An amount of prompts: their tokens and their work, in any unit that is the same for a whole run."""

    tokens: float = 0.0
    work: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.tokens + other.tokens, self.work + other.work)


@dataclass(frozen=True)
class LatestScore:
    """A task's main score, 0 to 100, at the widest dimension that was asked for."""

    task: str
    dim: int
    points: float


@dataclass(frozen=True)
class Status:
    """A run's progress at one moment.

    Attributes:
        tasks: how many tasks the run has; ``number`` counts those whose encoding has begun, ``task`` is the last.
        done: tokens encoded so far.
        total: tokens to encode in all, None until every task is planned; prompts in the store do not count.
        rate: tokens per second since encoding began, None before.
        share: arithmetic per second as a share of the devices' ceiling, None if unknown.
        seconds_left: until everything is encoded; None while unknown.
        scores: those reported so far, in order.
    """

    tasks: int
    number: int
    task: str | None
    done: float
    total: float | None
    rate: float | None
    share: float | None
    seconds_left: float | None
    scores: tuple[LatestScore, ...]

    @property
    def part(self) -> float | None:
        """The encoded part of the total, 0 to 1; None while the total is unknown."""
        if self.total is None:
            return None
        return min(self.done / self.total, 1.0) if self.total else 1.0


class Progress:
    """Collects what is reported to it, possibly by several threads.

    Args:
        tasks: how many tasks will be encoded.
        weigh: token counts of prompts -> their work, which unlike tokens is in proportion to time.
    """

    def __init__(
        self,
        tasks: int = 0,
        weigh: Callable[[Sequence[int]], float] = sum,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tasks, self._weigh, self._clock = tasks, weigh, clock
        self._lock = Lock()
        self._expected: dict[str, Amount] = {}
        self._begun: dict[str, Amount] = {}
        self._ended: set[str] = set()
        self._start: float | None = None
        self._stop: float | None = None
        self._planned: tuple[float, float] | None = None
        self._devices, self._ideal = 1, 0.0
        self._scores: list[LatestScore] = []
        self.on_step: Callable[[Status], None] = lambda status: None

    def expect(self, task: str, sample: Sequence[int] = (), times: float = 1.0) -> None:
        """Report that ``task`` needs about ``times`` the work of these token counts; ignored once it has begun."""
        amount = self._amount(sample, times)
        with self._lock:
            if task not in self._begun:
                self._expected[task] = amount
            self._mark()

    def begin(self, task: str, lengths: Sequence[int], devices: int = 1) -> None:
        """Report that prompts of these token counts, and no others, are now being encoded for ``task``."""
        amount = self._amount(lengths)
        with self._lock:
            self._expected[task], self._begun[task] = amount, Amount()
            self._devices = devices
            if lengths and self._start is None:
                self._start = self._clock()
            self._mark()

    def step(self, task: str, lengths: Sequence[int], ideal_seconds: float | None) -> None:
        """Report encoded prompts of ``task``; ``ideal_seconds`` is what their arithmetic takes at the ceiling."""
        amount = self._amount(lengths)
        with self._lock:
            self._begun[task] += amount
            self._ideal += ideal_seconds or 0.0
        status = self.status()
        left = "?" if status.seconds_left is None else f"{status.seconds_left:.1f}"
        log.debug("%s: %d prompts, %d tokens; %s s left", task, len(lengths), sum(lengths), left)
        self.on_step(status)

    def end(self, task: str) -> None:
        """Report that encoding for ``task`` has ended, whether it is complete or failed."""
        with self._lock:
            self._expected[task] = self._begun.setdefault(task, Amount())
            self._ended.add(task)
            self._mark()
            if len(self._ended) == self._tasks:
                self._stop = self._clock()

    def landed(self, score: LatestScore) -> None:
        """Report a task's score."""
        with self._lock:
            self._scores.append(score)

    def status(self) -> Status:
        """Return the progress at this moment."""
        with self._lock:
            now = self._clock() if self._stop is None else self._stop
            seconds = 0.0 if self._start is None else now - self._start
            done = sum(self._begun.values(), Amount())
            total = sum(self._expected.values(), Amount()) if len(self._expected) == self._tasks else None
            left = None
            if total and self._planned and done.work > self._planned[1] and now > self._planned[0]:
                rate = (done.work - self._planned[1]) / (now - self._planned[0])
                left = max(total.work - done.work, 0.0) / rate
            return Status(
                tasks=self._tasks,
                number=len(self._begun),
                task=next(reversed(self._begun), None),
                done=done.tokens,
                total=None if total is None else total.tokens,
                rate=done.tokens / seconds if seconds else None,
                share=self._ideal / seconds / self._devices if seconds and self._ideal else None,
                seconds_left=left,
                scores=tuple(self._scores),
            )

    def _mark(self) -> None:
        """Record time and work once every task is planned: until then, planning takes cores from encoding."""
        if self._planned is None and self._start is not None and len(self._expected) == self._tasks:
            self._planned = self._clock(), sum(self._begun.values(), Amount()).work

    def _amount(self, lengths: Sequence[int], times: float = 1.0) -> Amount:
        return Amount(times * sum(lengths), times * self._weigh(lengths))


@contextmanager
def shown(progress: Progress) -> Iterator[Progress]:
    """Show progress on stderr in the block: live on a terminal, else as lines; nothing if only warnings are shown."""
    if not log.isEnabledFor(logging.INFO):
        yield progress
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _live(progress):
            yield progress
    else:
        progress.on_step = lines(log.info)
        yield progress


def lines(say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Callable[[Status], None]:
    """Return a function that takes each status and says a line when one is due.

    One is due after each tenth of the tokens, but at most every ten seconds, and in any case after ten minutes.
    """
    said_at, said_part = clock(), 0.0

    def look(status: Status) -> None:
        nonlocal said_at, said_part
        if status.part is None or status.part == 1:
            return
        waited = clock() - said_at
        if waited >= QUIET_SECONDS or (waited >= LINE_SECONDS and status.part - said_part >= LINE_SHARE):
            said_at, said_part = clock(), status.part
            say(f"encoding {status.part:.0%}: {', '.join(_facts(status))}")

    return look


def _facts(status: Status) -> list[str]:
    facts = []
    if status.total is not None:
        facts.append(f"{scaled(status.done)} of {scaled(status.total)} tokens")
    if status.rate is not None:
        facts.append(f"{status.rate:,.0f} tokens/s")
    if status.share is not None:
        facts.append(f"{status.share:.0%} of the ceiling")
    if status.seconds_left is not None and status.seconds_left >= 1:
        facts.append(f"about {duration(status.seconds_left)} left")
    return facts


@contextmanager
def _live(progress: Progress) -> Iterator[None]:
    """Show a view at the bottom of the terminal, with other output to stderr above it; it is removed at the end."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, soft_wrap=True)  # a long message is not broken into lines
    live = Live(
        get_renderable=lambda: _picture(progress.status(), console.height),
        console=console,
        transient=True,
        redirect_stdout=False,  # only tables go there, and it may be a file
    )
    try:
        with live:
            yield
    finally:
        console.show_cursor()  # an interrupt may come while the view ends


def _picture(status: Status, height: int) -> "Group":
    """Return a renderable of at most ``height`` lines: bar, figures, the current task, and the last scores."""
    from rich.console import Group, RenderableType
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def line(text: str) -> Text:
        return Text(text, no_wrap=True, overflow="ellipsis")

    rows: list[RenderableType] = []
    if status.tasks:
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(no_wrap=True)
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True)
        bar.add_row("encoding", ProgressBar(total=1.0, completed=status.part or 0.0), f"{status.part or 0:.0%}")
        at_hand = f"task {status.number} of {status.tasks}: {status.task}" if status.task else "reading data"
        at_hand = "all encoded" if status.part == 1 else at_hand
        rows = [bar, line(", ".join(_facts(status)) or "..."), line(at_hand)]
    if status.scores:
        last = Table.grid(padding=(0, 2))
        last.add_column(no_wrap=True, overflow="ellipsis")
        last.add_column(no_wrap=True, justify="right")
        last.add_column(no_wrap=True)
        for score in status.scores[-max(1, min(SCORES_SHOWN, height - 6)) :]:
            last.add_row(f"  {score.task}", f"{score.points:.2f}", f"at {score.dim}")
        rows += [line(f"scored: {len(status.scores)}"), last]
    return Group(*rows)
