"""How messages name an option: as a flag on the command line, as an argument in Python."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

CARD_PROFILE = "qzhou-zh"

_called = SimpleNamespace(flags=False)


def option(name: str, value: object = None) -> str:
    """Name an option: ``--max_length 5`` on the command line, ``max_length=5`` in Python; a switch is only its flag.

    Args:
        value: None for the name only.
    """
    if _called.flags:
        said = "-".join(map(str, value)) if isinstance(value, tuple) else value
        return f"--{name}" if value is None or value is True else f"--{name} {said}"
    return name if value is None else f"{name}={value!r}"


def call_options_flags() -> None:
    """Name options as flags from now on, in a process that belongs to a command."""
    _called.flags = True


@contextmanager
def options_called_flags() -> Iterator[None]:
    """Name options as flags within the block, in all threads."""
    before, _called.flags = _called.flags, True
    try:
        yield
    finally:
        _called.flags = before
