"""The group of commands. Each is imported when it is used, so that no command waits for the imports of another."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import click
from pydantic import ValidationError

from engine.common.malloc import tune_malloc
from engine.errors import EngineError
from web.cli.local.env_file import read_env_file
from web.cli.terminal.exit_codes import Failed, Interrupted
from web.cli.terminal.interrupts import ending_at_once, interrupted
from web.cli.terminal.progress_bar import counted
from web.settings import MissingSetting

NAMES = (
    "init",
    "publish",
    "runs",
    "delete",
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
"""Each command is the function of that name in the module of that name."""


class Commands(click.Group):
    """A group whose commands exit with 130 on Ctrl-C (click exits with 1), and which suggests names of commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """The names in alphabetical order, as click shows them."""
        return sorted(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command of that name, or None."""
        if cmd_name not in NAMES:
            return None
        with ending_at_once():
            command: click.Command = getattr(import_module(f"web.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name. Raises UsageError, which suggests a name for a misspelt one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            similar = get_close_matches(args[0], NAMES, n=1)
            if similar and "Did you mean" not in error.message:
                raise click.UsageError(f"{error.message} Did you mean '{similar[0]}'?", ctx) from error
            raise

    def make_context(self, *arguments: Any, **named: Any) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(*arguments, **named)
        except KeyboardInterrupt:
            raise Interrupted from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None
        except Interrupted:
            raise
        except Exception as error:
            if interrupted():
                # A library has made another error of the interrupt.
                raise Interrupted from error
            if isinstance(error, click.ClickException) and not isinstance(error, click.UsageError):
                raise Failed(error.message) from error
            raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tailrace", message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Publish runs of workflows and serve their exports: each is one file with one signed URL.

    Settings are environment variables, and those of the file .env in the working directory (or TAILRACE_ENV_FILE) that
    the environment does not have.
    """
    context.obj = read_env_file(os.environ)
    path, names = context.obj or (None, [])
    # The service says it in its log, where every line has one form.
    if names and context.invoked_subcommand != "serve":
        click.echo(f"Read {counted(len(names), 'setting')} from {path}.", err=True)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors are printed as sentences, without a traceback."""
    tune_malloc()
    try:
        commands.main(arguments, prog_name="tailrace")
    except EngineError as error:
        _fail(" ".join(filter(None, (error.message, str(error.details.get("remedy", ""))))))
    except MissingSetting as error:
        _fail(str(error))
    except ValidationError as error:
        # Only settings raise it here. Their values may be secrets, so the message does not quote them.
        first = error.errors(include_input=False, include_url=False)[0]
        name, reason = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
        _fail(f"The setting {name if name.isupper() else f'TAILRACE_{name.upper()}'} is invalid: {reason}.")
    except OSError as error:
        _fail(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or type(error).__name__}.")


def _fail(reason: str) -> NoReturn:
    click.echo(f"tailrace: {reason}", err=True)
    sys.exit(1)
