"""The prompt of ``tailrace sql``, and how it and a single query draw tables."""

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

MOST_ROWS = 10_000
"""DuckDB draws no more of a table."""

_SCREEN_ROWS = 40
_WIDEST = 1_000_000
_HISTORY = Path("~/.tailrace_sql_history")
_DoneT = TypeVar("_DoneT")
_LEAVE = frozenset({"\\q", ".exit", ".quit", "exit", "quit"})


def interruptible(inspection: Inspection, work: Callable[[], _DoneT]) -> _DoneT:
    """What the work returns; Ctrl-C makes its query raise Cancelled.

    In a thread of its own, since DuckDB looks at signals only between tasks, and some queries are a single one.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="query") as pool:
        done = pool.submit(work)
        while True:
            try:
                return done.result()
            except KeyboardInterrupt:
                inspection.cancel()


def draw(inspection: Inspection, query: str, *, rows: int) -> str:
    """The answer as a table: as wide as the terminal, or as it is."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDEST
    return interruptible(inspection, lambda: inspection.draw_table(query, max_width=width, max_rows=rows))


class Prompt:
    """Statements from a terminal or a pipe, each until its semicolon. A failed one is told in a line."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection
        self._terminal = sys.stdin.isatty()
        self._failed = False

    def run(self) -> None:
        """Answer until the end of input or ``\\q``; exits with 1 if a piped statement failed."""
        with _history(self._terminal):
            if self._terminal:
                click.echo("Every team's results, read-only. FROM help; lists what there is, \\q leaves.")
            for statement in self._statements():
                self._answer(statement)
        if self._failed and not self._terminal:
            sys.exit(1)

    def _answer(self, statement: str) -> None:
        try:
            click.echo(draw(self._inspection, statement, rows=_SCREEN_ROWS if self._terminal else MOST_ROWS))
        except EngineError as error:
            self._failed = True
            click.echo(f"tailrace: {error.message}", err=True)

    def _statements(self) -> Iterator[str]:
        typed = ""
        while True:
            try:
                line = self._line(typed)
            except EOFError:
                # A pipe may leave out the last semicolon.
                if typed.strip():
                    yield typed
                return
            except KeyboardInterrupt:
                typed = ""
                click.echo()
                continue
            if not typed and line.strip().rstrip(";") in _LEAVE:
                return
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
    """Earlier lines by the arrow keys, where Python has readline."""
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
