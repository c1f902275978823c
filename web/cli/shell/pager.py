"""Shows what does not fit the screen in a pager, such as less; what fits is printed."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

import click

from engine.common.chunk import Chunk
from engine.stores.local.durable_files import write_all
from web.cli.terminal.tabbed import width_of

DEFAULT = "less"

_LESS = {"LESS": "-SR", "LESSCHARSET": "utf-8"}
"""Long lines are not wrapped: the arrow keys move sideways."""


def find_pager() -> str:
    """The command line of the pager. Raises ClickException if there is none."""
    command_line = os.environ.get("PAGER") or DEFAULT
    words = shlex.split(command_line)
    if not words or shutil.which(words[0]) is None:
        raise click.ClickException(f"There is no program {command_line!r}: set PAGER to a pager.")
    return command_line


class Pager:
    """Takes bytes; starts the program with the first line that does not fit. Leaving it ends what writes to it."""

    def __init__(self, command_line: str) -> None:
        self._command_line = command_line
        self._size = shutil.get_terminal_size()
        self._pending = b""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, chunk: Chunk) -> None:
        """Pass on bytes. Raises BrokenPipeError once the program has ended."""
        if self._process is None:
            self._pending += bytes(chunk)
            if self._fits():
                return
            self._process = _start(self._command_line)
            chunk, self._pending = self._pending, b""
        if self._process.stdin is not None:
            self._process.stdin.write(chunk)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if self._process is None:
            write_all(sys.stdout.fileno(), self._pending)
            return False
        # Ctrl-C is for the pager now.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            # Closing flushes, which fails if the program has ended.
            _, _ = self._process.communicate()
        finally:
            signal.signal(signal.SIGINT, before)
        # The user has left the pager, and wants no more.
        return isinstance(error, BrokenPipeError)

    def _fits(self) -> bool:
        lines = self._pending.decode(errors="replace").splitlines()
        return len(lines) < self._size.lines and all(width_of(line) <= self._size.columns for line in lines)


def _start(command_line: str) -> "subprocess.Popen[bytes]":
    words = shlex.split(command_line)
    try:
        return subprocess.Popen(words, stdin=subprocess.PIPE, env={**_LESS, **os.environ})  # noqa: S603  # the user's
    except OSError as error:
        raise click.ClickException(f"The pager {words[0]} cannot be started: {error.strerror}.") from error
