"""The interactive prompt of ``tailrace sql``, and the same for statements from a pipe."""

import shutil
import sys
from functools import partial
from pathlib import Path

import click

from engine.errors import Cancelled, EngineError
from engine.query.inspect.session import Inspection, Values
from engine.stores.local.durable_files import write_all
from web.cli.shell.answers import write_answer
from web.cli.shell.drawing import Screen
from web.cli.shell.modes import BOX
from web.cli.shell.output import Answers
from web.cli.shell.typed import Pipe, Reader, command_word, is_command, read_typed
from web.cli.terminal.exit_codes import Interrupted
from web.cli.terminal.output import STANDARD_OUTPUT

_LEAVE = frozenset({"\\q", ".exit", ".quit", "exit", "quit"})
_HELP_QUERY = "FROM help"
_ADVICE = ".mode line shows every column."


class Shell:
    """Runs statements and commands from a terminal or a pipe. A failure is reported, and the next statement runs."""

    def __init__(self, inspection: Inspection, values: Values) -> None:
        self._inspection = inspection
        self._values = values
        self._terminal = sys.stdin.isatty()
        self._failed = False

    def run(self) -> None:
        """Run statements until the end of input or `exit`. Exits with 1 if a piped statement failed."""
        if self._terminal:
            click.echo("Read-only access to the results of all teams. Type help for the tables, exit to leave.")
        reader = self._reader()
        for script in read_typed(reader):
            reader.remember(script)
            if is_command(script):
                if command_word(script) in _LEAVE:
                    break
                script = _HELP_QUERY
            self._execute(script)
        if self._failed and not self._terminal:
            sys.exit(1)

    def _execute(self, script: str) -> None:
        answers = Answers(partial(write_all, sys.stdout.fileno()))
        sys.stdout.flush()
        try:
            for statement in self._inspection.statements(script):
                write_answer(self._inspection, statement, self._values, BOX, answers.write, screen(_ADVICE))
        except Cancelled as error:
            if not self._terminal:
                raise Interrupted from error
            click.echo(f"tailrace: {error.message}", err=True)
        except EngineError as error:
            self._failed = True
            click.echo(f"tailrace: {error.message}", err=True)

    def _reader(self) -> Reader:
        if not self._terminal:
            return Pipe()
        # Imported here, since it takes some tenths of a second that scripts need not wait for.
        from web.cli.shell.prompt import open_prompt

        return open_prompt()


def screen(advice: str, output: Path = STANDARD_OUTPUT) -> Screen | None:
    """The terminal that answers are shown on, if they are not written to a file or a pipe."""
    if output != STANDARD_OUTPUT or not sys.stdout.isatty():
        return None
    return Screen(shutil.get_terminal_size().columns, advice)
