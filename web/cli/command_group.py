"""The commands by name; one is imported when it is asked for, so that none waits for what only another one needs."""

from importlib import import_module
from typing import Any

import click

from web.cli.exit_codes import Failed, Interrupted

NAMES = (
    "init",
    "publish",
    "runs",
    "export",
    "sign",
    "serve",
    "demo",
    "keys",
    "sweep",
    "verify",
    "sql",
    "explain",
    "mcp",
    "doctor",
)
"""Each is the function of that name in the module of that name."""


class Commands(click.Group):
    """A group whose commands end with 130 on Ctrl-C; click's own answer is 1, as if they had failed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it with one
        """The names in alphabetical order, as click shows them."""
        return sorted(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command of that name, or None."""
        if cmd_name not in NAMES:
            return None
        command: click.Command = getattr(import_module(f"web.cli.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None
        except click.UsageError:
            raise
        except click.ClickException as error:
            raise Failed(error.message) from error
