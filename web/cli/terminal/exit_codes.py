"""Errors that end a command with one line on standard error and an exit code."""

from typing import Any

import click

from web.cli.terminal.interrupts import INTERRUPTED, MESSAGE, settle

READER_GONE = 141
"""The exit code that shells show for a program whose output was closed (SIGPIPE)."""


class Interrupted(click.ClickException):
    """Ctrl-C, after the command has cleaned up."""

    exit_code = INTERRUPTED

    def __init__(self) -> None:
        super().__init__("interrupted")

    def show(self, file: Any = None) -> None:
        """Print one line on standard error."""
        settle()
        click.echo(MESSAGE, file=file, err=file is None)


class Failed(click.ClickException):
    """A failure; printed like the errors of the engine."""

    def show(self, file: Any = None) -> None:
        """Print one line on standard error."""
        click.echo(f"tailrace: {self.message}", file=file, err=file is None)
