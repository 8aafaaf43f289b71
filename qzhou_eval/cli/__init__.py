"""The command line: parses argv, runs one command, sets the exit code. One file per group of commands."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from qzhou_eval.cli import check, compare, data, export, fetch, models, prompts, report, run, verify
from qzhou_eval.cli.flags import Parser
from qzhou_eval.errors import EXIT_BAD_INPUT, EXIT_FAILED_TASKS, EXIT_INTERRUPTED, BadInput
from qzhou_eval.system.digests import cache_home
from qzhou_eval.system.fault_log import reason
from qzhou_eval.system.files import LOCKS
from qzhou_eval.system.network import go_offline, keep_one_endpoint
from qzhou_eval.system.options import CARD_PROFILE, options_called_flags


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; bad input is one line on stderr, never a traceback."""

    folder = cache_home()  # until the command line is known

    def command() -> int:
        nonlocal folder
        if not LOCKS:
            raise BadInput("qzhou-eval needs Linux or macOS: Windows lacks the file locks it uses; use WSL 2")
        args = _parser().parse_args(argv)
        args.argv = sys.argv[1:] if argv is None else argv
        set_up_logging(quiet=getattr(args, "quiet", False), verbose=getattr(args, "verbose", False))
        _set_up_network(args)
        folder = getattr(args, "output_dir", None) or folder
        return args.command(args)

    return guarded(command, lambda: folder)


# Message and exit code of errors that a user can fix, by the exception's name, so that torch need not be imported.
_ENDINGS = {
    "BadInput": ("error: {error}", EXIT_BAD_INPUT),
    "TaskFailed": ("error: {error}; what is done is kept; repeat the command to resume", EXIT_FAILED_TASKS),
    "MemoryError": ("error: out of memory; what is done is kept; repeat the command to resume", EXIT_FAILED_TASKS),
    "OutOfMemoryError": (
        "error: the device is out of memory ({error}); what is done is kept",
        EXIT_FAILED_TASKS,
    ),
    "AcceleratorError": (  # raised by torch when a GPU fails
        "error: the device failed ({error}); what is done is kept; repeat the command to resume",
        EXIT_FAILED_TASKS,
    ),
    "OSError": ("error: {error}; what is done is kept; repeat the command to resume", EXIT_BAD_INPUT),
    "KeyboardInterrupt": ("interrupted; repeat the command to resume", EXIT_INTERRUPTED),
}


def guarded(command: Callable[[], int], folder: Callable[[], Path] = cache_home) -> int:
    """Run a command; turn any error into one line and an exit code. SIGTERM stops it like Ctrl-C.

    Args:
        folder: where the traceback of a bug is written.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        with options_called_flags():
            return command()
    except BrokenPipeError:
        sys.stdout = None  # the reader has closed the pipe, as in `qzhou-eval report D | head`
        return 0
    except BaseException as raised:
        error = KeyboardInterrupt() if _interrupted(raised) else raised
        known = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ENDINGS]
        if not known and isinstance(error, Exception):
            print(f"error: {reason(error, 'command', folder())}", file=sys.stderr)
            return EXIT_FAILED_TASKS
        if not known:
            raise
        words, code = _ENDINGS[known[0]]
        print(words.format(error=next(iter(str(error).splitlines()), "")), file=sys.stderr)
        return code


def _interrupt(_signal, _frame) -> None:
    raise KeyboardInterrupt


def _interrupted(error: BaseException | None) -> bool:
    """Whether an interrupt caused it: libraries that are being imported turn one into errors of their own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def run_cmteb_all() -> int:
    """The model card's command: ``run`` with the card's flags and, unless another is given, the card's profile."""
    return main(["run", "--default_profile", CARD_PROFILE, *sys.argv[1:]])


class _Stderr(logging.Handler):
    """Writes lines to the current ``sys.stderr``, which a live view replaces in order to stay below them."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:  # like every logging handler: a message must not stop the work
            self.handleError(record)


def set_up_logging(*, quiet: bool = False, verbose: bool = False) -> None:
    """Send messages to stderr as plain lines; only the tables go to stdout."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # Let waiting OpenMP threads spin for a moment, then sleep. Where other processes share the cores, threads that spin
    # longer (by default thirty times as long) starve those they wait for; threads that sleep at once wake too late.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_Stderr()])
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    logging.getLogger("qzhou_eval").setLevel(level)


def _set_up_network(args: argparse.Namespace) -> None:
    """Set the network variables that the libraries read, before any of them is imported."""
    if getattr(args, "offline", False):
        go_offline()
    if not getattr(args, "keeps_endpoints", False):
        keep_one_endpoint()


def _parser() -> Parser:
    parser = Parser(
        prog="qzhou-eval",
        description="Evaluate text-embedding models on CMTEB: every dimension from one encoding pass.",
    )
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in (run, report, compare, check, verify, export, models, prompts, data, fetch):
        group.add(verbs)
    return parser
