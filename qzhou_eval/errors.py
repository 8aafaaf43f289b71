"""What ends a command or a task on purpose, and the exit codes of all commands."""

EXIT_CHECK_FAILED = 1  # a check failed: a score is off, or nothing fits
EXIT_BAD_INPUT = 2  # bad input, or results that do not compare
EXIT_FAILED_TASKS = 3  # finished, but some tasks failed
EXIT_INTERRUPTED = 130


class TaskFailed(RuntimeError):
    """A task cannot go on, and neither its input nor this project is at fault. The message says why, in one line."""


class BadInput(ValueError):
    """Something the user gave is wrong. The message says what, where, and what to do, in one line."""

    def __str__(self) -> str:
        """The message; a name in it may hold line breaks, or what a terminal obeys."""
        return "".join(letter if letter.isprintable() else " " for letter in super().__str__())
