"""Runs a command on a terminal that the tests control, and shows what a person would see there."""

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable

ROWS, COLUMNS = 30, 100
SEQUENCE = re.compile(r"\x1b\[([\d;?]*[A-Za-z])|[\r\n]|[^\x1b\r\n]+")
UNFINISHED = re.compile(r"\x1b[^A-Za-z]*$")


class Screen:
    """Interprets what rich sends: lines, carriage returns, cursor up, erase line, show and hide the cursor; no colours.

    Attributes:
        lines: the lines on the screen and above it.
        cursor: whether the cursor is shown.
    """

    def __init__(self) -> None:
        self.lines, self.cursor = [""], True
        self._row = self._column = 0

    def write(self, text: str) -> None:
        for found in SEQUENCE.finditer(text):
            control = found[1]
            if found[0] == "\r":
                self._column = 0
            elif found[0] == "\n":
                self._row += 1
                self.lines += [""] * (self._row + 1 - len(self.lines))
            elif control is None:
                line = self.lines[self._row].ljust(self._column)
                self.lines[self._row] = line[: self._column] + found[0] + line[self._column + len(found[0]) :]
                self._column += len(found[0])
            elif control in ("?25h", "?25l"):
                self.cursor = control == "?25h"
            elif control == "2K":
                self.lines[self._row] = ""
            elif control.endswith("A"):
                self._row = max(0, self._row - int(control[:-1] or 1))
            else:
                assert control.endswith("m"), f"unknown sequence {found[0]!r}"

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


def on_terminal(argv: list[str], look: Callable[[subprocess.Popen, str], None]) -> tuple[int, Screen]:
    """Run a command whose stderr is a terminal, to its end; return its exit code and the final screen.

    Args:
        look: called with the process and the screen's text after every new output.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        argv, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    screen, held, decoder = Screen(), "", codecs.getincrementaldecoder("utf-8")()
    while True:
        try:
            held += decoder.decode(os.read(ours, 65536))
        except OSError:  # the other end is closed
            break
        rest = UNFINISHED.search(held)
        end = rest.start() if rest else len(held)
        screen.write(held[:end])
        held = held[end:]
        look(process, screen.text())
    os.close(ours)
    return process.wait(timeout=60), screen
