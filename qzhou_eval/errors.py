"""What ends a command or a task on purpose, and the exit codes of all commands."""

import difflib
from collections.abc import Iterable

EXIT_CHECK_FAILED = 1  # a check failed: a score is off, or nothing fits
EXIT_BAD_INPUT = 2  # bad input, or results that do not compare
EXIT_FAILED_TASKS = 3  # finished, but some tasks failed
EXIT_INTERRUPTED = 130


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``did you mean X? `` with the closest of the known names, whatever its case; empty if none is close."""
    lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=cutoff)
    return f"did you mean {lower[close[0]]}? " if close else ""


class TaskFailed(RuntimeError):
    """A task cannot go on, and neither its input nor this project is at fault. The message says why, in one line."""


class BadInput(ValueError):
    """Something the user gave is wrong. The message says what, where, and what to do, in one line."""

    def __str__(self) -> str:
        """The message; a name in it may hold line breaks, or what a terminal obeys."""
        return "".join(letter if letter.isprintable() else " " for letter in super().__str__())


class UnusableScore(TaskFailed):
    """A model's vectors gave a score that is no number, or out of range."""
