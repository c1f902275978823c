"""What the shell remembers between statements, and where their answers go."""

import shutil
import sys
import time
from functools import partial
from pathlib import Path

import click

from engine.common.chunk import Chunk
from engine.query.inspect.session import Inspection, Values
from engine.query.inspect.statements import Kind, Statement
from engine.stores.local.durable_files import write_all
from web.cli.shell.answers import write_answer
from web.cli.shell.drawing import Screen
from web.cli.shell.modes import BOX, Mode, mode_by_extension, mode_of
from web.cli.shell.output import Answers
from web.cli.shell.pager import Pager
from web.cli.terminal.output import STANDARD_OUTPUT, open_output

_ADVICE = ".mode line shows every column, .pager on every row."


class ShellSession:
    """Runs statements, and writes their answers to standard output, a pager or a file."""

    def __init__(self, inspection: Inspection, values: Values) -> None:
        self.inspection = inspection
        self.mode = BOX
        self.timed = False
        self.pager: str | None = None
        """The command line of the pager, None for none."""
        self.target: Path | None = None
        """The file for the next result."""
        self._values = values

    def run(self, script: str) -> None:
        """Run statements in turn. Raises what `write_answer` raises."""
        for statement in self.inspection.statements(script):
            started = time.monotonic()
            if self.target is not None and statement.kind is not Kind.CHANGE:
                self._save(statement, self.target)
            elif self.mode.binary and statement.kind is not Kind.CHANGE:
                raise click.ClickException(f"{self.mode.name} needs a file: use .output FILE.")
            else:
                self._show(statement, self.mode)
            if self.timed:
                click.echo(f"Run time: {time.monotonic() - started:.3f} s", err=True)

    def show(self, query: str) -> None:
        """Show the result of a query of the shell itself, as a box."""
        for statement in self.inspection.statements(query):
            self._show(statement, BOX)

    def _show(self, statement: Statement, mode: Mode) -> None:
        sys.stdout.flush()
        if self.pager is None or not sys.stdout.isatty():
            self._write(statement, mode, Answers(partial(write_all, sys.stdout.fileno())), screen(_ADVICE))
            return
        with Pager(self.pager) as pager:
            self._write(statement, mode, Answers(pager.write), None)

    def _write(self, statement: Statement, mode: Mode, answers: Answers, fitted: Screen | None) -> None:
        try:
            write_answer(self.inspection, statement, self._values, mode, answers.write, fitted)
        finally:
            # The next prompt, or the next answer, begins on a new line.
            answers.end_line()

    def _save(self, statement: Statement, path: Path) -> None:
        self.target = None
        # The name counts more than a mode that was set for the terminal.
        named = mode_by_extension(path) is not None or self.mode is BOX
        mode = mode_of(path, None if named else self.mode.name)
        size = 0
        with open_output(path, force=True) as write:

            def counted_write(chunk: Chunk) -> None:
                nonlocal size
                write(chunk)
                size += len(chunk)

            write_answer(self.inspection, statement, self._values, mode, counted_write)
        click.echo(f"Wrote {path}: {size:,} bytes of {mode.name}.", err=True)


def screen(advice: str, output: Path = STANDARD_OUTPUT) -> Screen | None:
    """The terminal that answers are shown on, if they are not written to a file or a pipe."""
    if output != STANDARD_OUTPUT or not sys.stdout.isatty():
        return None
    return Screen(shutil.get_terminal_size().columns, advice)
