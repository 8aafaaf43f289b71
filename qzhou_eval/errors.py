"""Errors that end a command or a task on purpose, and the exit codes of all commands."""

import difflib
from collections.abc import Iterable

EXIT_CHECK_FAILED = 1  # a check failed: a score is off, or nothing matches
EXIT_BAD_INPUT = 2  # bad input, or results that cannot be compared
EXIT_FAILED_TASKS = 3  # finished, but some tasks failed
EXIT_INTERRUPTED = 130


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``did you mean X? `` with the closest known name, ignoring case; empty if none is close."""
    lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=cutoff)
    return f"did you mean {lower[close[0]]}? " if close else ""


def in_one_line(error: BaseException, limit: int = 300) -> str:
    """A library's error as ``Type: message``, its line breaks as spaces and the message cut at ``limit`` characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:limit]}"


class TaskFailed(RuntimeError):
    """A task cannot continue, and neither its input nor this project is at fault. The message says why, in one line."""


class BadInput(ValueError):
    """The user's input is wrong. The message says in one line what is wrong, where, and what to do."""

    def __str__(self) -> str:
        """The message without control characters: names in it may contain line breaks or terminal escapes."""
        return "".join(letter if letter.isprintable() else " " for letter in super().__str__())


class UnusableScore(TaskFailed):
    """A model's vectors gave a score that is not a number or is out of range."""
