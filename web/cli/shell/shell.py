"""The interactive prompt of ``tailrace sql``, and the same for statements from a pipe."""

import sys

import click

from engine.errors import Cancelled, EngineError
from engine.query.inspect.session import Inspection, Values
from web.cli.shell.catalogue import Catalogue
from web.cli.shell.commands import Leave, run_command
from web.cli.shell.session import ShellSession
from web.cli.shell.typed import Pipe, Reader, is_command, read_typed
from web.cli.terminal.exit_codes import READER_GONE, Interrupted
from web.cli.terminal.interrupts import settle

_GREETING = (
    "Read-only access to the results of all teams. "
    "Type help for the tables, .help for the commands of this shell, exit to leave."
)


class Shell:
    """Runs statements and commands from a terminal or a pipe. A failure is reported, and the next statement runs."""

    def __init__(self, inspection: Inspection, values: Values) -> None:
        self._session = ShellSession(inspection, values)
        self._catalogue = Catalogue(inspection)
        self._terminal = sys.stdin.isatty()
        self._failed = False

    def run(self) -> None:
        """Run statements until the end of input or `exit`. Exits with 1 if a piped statement failed."""
        if self._terminal:
            click.echo(_GREETING)
        reader = self._reader()
        try:
            for script in read_typed(reader):
                reader.remember(script)
                self._execute(script)
        except Leave:
            pass
        if self._failed and not self._terminal:
            sys.exit(1)

    def _execute(self, script: str) -> None:
        try:
            if is_command(script):
                run_command(self._session, self._catalogue, script)
            else:
                self._session.run(script)
        except (Cancelled, KeyboardInterrupt) as error:
            if not self._terminal:
                raise Interrupted from error
            settle()
            self._report("The query was cancelled.")
        except (EngineError, click.ClickException) as error:
            self._report(error.message)
        except BrokenPipeError:
            # What reads the output wants no more of it.
            sys.exit(READER_GONE)

    def _report(self, message: str) -> None:
        self._failed = True
        click.echo(f"tailrace: {message}", err=True)

    def _reader(self) -> Reader:
        if not self._terminal:
            return Pipe()
        # Imported here, since it takes some tenths of a second that scripts need not wait for.
        from web.cli.shell.prompt import open_prompt

        return open_prompt(self._catalogue)
