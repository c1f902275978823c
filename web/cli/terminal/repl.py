"""The interactive prompt of ``tailrace sql``, and the drawing of result tables."""

import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import click

from engine.errors import EngineError
from engine.query.inspect.session import Inspection, is_complete

MAX_ROWS = 10_000
"""DuckDB draws at most this many rows of a table."""

_SCREEN_ROWS = 40
_UNLIMITED_WIDTH = 1_000_000
_HISTORY = Path("~/.tailrace_sql_history")
_DoneT = TypeVar("_DoneT")
_EXIT = frozenset({"\\q", ".exit", ".quit", "exit", "quit"})
_HELP = frozenset({"help", ".help", "\\h"})
_HELP_QUERY = "FROM help"


def interruptible(inspection: Inspection, work: Callable[[], _DoneT]) -> _DoneT:
    """Run ``work`` in a thread and return its result. On Ctrl-C its query raises Cancelled.

    In the main thread, Ctrl-C would take effect only between DuckDB's tasks, and some queries are a single task.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="query") as pool:
        done = pool.submit(work)
        while True:
            try:
                return done.result()
            except KeyboardInterrupt:
                inspection.cancel()


def draw(inspection: Inspection, query: str, *, rows: int) -> str:
    """Return the result of a query as a text table, no wider than the terminal if there is one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED_WIDTH
    return interruptible(inspection, lambda: inspection.draw_table(query, max_width=width, max_rows=rows))


class Prompt:
    """Runs statements from a terminal or a pipe, each up to its semicolon. A failure is reported in one line."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection
        self._terminal = sys.stdin.isatty()
        self._failed = False

    def run(self) -> None:
        """Run statements until the end of input or `exit`. Exits with 1 if a piped statement failed."""
        with _history(self._terminal):
            if self._terminal:
                click.echo("Read-only access to the results of all teams. Type help for the tables, exit to leave.")
            for statement in self._statements():
                self._execute(statement)
        if self._failed and not self._terminal:
            sys.exit(1)

    def _execute(self, statement: str) -> None:
        try:
            click.echo(draw(self._inspection, statement, rows=_SCREEN_ROWS if self._terminal else MAX_ROWS))
        except EngineError as error:
            self._failed = True
            click.echo(f"tailrace: {error.message}", err=True)

    def _statements(self) -> Iterator[str]:
        typed = ""
        while True:
            try:
                line = self._line(typed)
            except EOFError:
                # In a pipe, the last statement may lack its semicolon.
                if typed.strip():
                    yield typed
                return
            except KeyboardInterrupt:
                typed = ""
                click.echo()
                continue
            word = line.strip().rstrip(";").rstrip().lower()
            if not typed and word in _EXIT:
                return
            if not typed and word in _HELP:
                yield _HELP_QUERY
                continue
            typed = f"{typed}\n{line}" if typed else line
            if is_complete(typed):
                yield typed
                typed = ""

    def _line(self, typed: str) -> str:
        if not self._terminal:
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            return line.rstrip("\n")
        return input("     ...> " if typed else "tailrace> ")


@contextmanager
def _history(terminal: bool) -> Iterator[None]:
    """Recall earlier lines with the arrow keys, if Python has readline."""
    try:
        import readline
    except ImportError:
        terminal = False
    if not terminal:
        yield
        return
    path = _HISTORY.expanduser()
    with suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(1000)
    try:
        yield
    finally:
        with suppress(OSError):
            readline.write_history_file(path)
