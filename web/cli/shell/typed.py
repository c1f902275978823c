"""Reads statements and commands from lines, typed or piped."""

import sys
from collections.abc import Iterator
from typing import Protocol

from engine.query.inspect.statements import is_complete
from web.cli.terminal.exit_codes import Interrupted
from web.cli.terminal.interrupts import settle

PROMPT, CONTINUED = "tailrace> ", "     ...> "

_WORDS = frozenset({"exit", "quit", "help", "\\q", "\\h"})
"""Commands that need no dot."""


class Reader(Protocol):
    """Where statements come from."""

    def read(self, typed: str) -> str:
        """Return a line, or more; ``typed`` is what was read of the statement so far.

        Raises EOFError at the end, and KeyboardInterrupt to drop what was typed.
        """

    def remember(self, script: str) -> None:
        """Add a script to the history."""


class Pipe:
    """Lines of standard input."""

    def read(self, _typed: str) -> str:
        """Return the next line. Raises EOFError, and Interrupted on Ctrl-C."""
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            raise Interrupted from None
        if not line:
            raise EOFError
        return line.rstrip("\n")

    def remember(self, _script: str) -> None:
        """Do nothing."""


def read_typed(reader: Reader) -> Iterator[str]:
    """Yield each script up to its last semicolon, and each line that begins with a command."""
    typed = ""
    while True:
        try:
            line = reader.read(typed)
        except EOFError:
            # In a pipe, the last statement may lack its semicolon.
            if typed.strip():
                yield typed
            return
        except KeyboardInterrupt:
            settle()
            typed = ""
            continue
        if not typed and is_command(line):
            yield line
            continue
        typed = f"{typed}\n{line}" if typed else line
        if ";" in line and is_complete(typed):
            yield typed
            typed = ""


def is_command(line: str) -> bool:
    """Whether a line at the beginning of a statement is a command of the shell."""
    return line.lstrip().startswith(".") or command_word(line) in _WORDS


def command_word(line: str) -> str:
    """The line in lower case, without the blanks and the semicolon that people end commands with."""
    return line.strip().rstrip(";").rstrip().lower()
