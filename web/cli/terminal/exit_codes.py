"""How the command ends: by one line on standard error, and a status that says whose doing it was."""

from typing import Any

import click

from web.cli.terminal.interrupts import INTERRUPTED, MESSAGE


class Interrupted(click.ClickException):
    """Ctrl-C; what was begun is undone by now."""

    exit_code = INTERRUPTED

    def __init__(self) -> None:
        super().__init__("interrupted")

    def show(self, file: Any = None) -> None:
        """One line on standard error."""
        click.echo(MESSAGE, file=file, err=file is None)


class Failed(click.ClickException):
    """Refused or failed: one line that begins as the engine's own errors do."""

    def show(self, file: Any = None) -> None:
        """One line on standard error."""
        click.echo(f"tailrace: {self.message}", file=file, err=file is None)
