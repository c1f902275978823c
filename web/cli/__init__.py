"""The ``tailrace`` command.

Exit codes: 0 done; 1 refused or failed, with the reason on standard error; 2 the command line was wrong; 130
interrupted.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

import click
from pydantic import ValidationError

from engine.errors import EngineError
from web.cli.command_group import Commands
from web.settings import MissingSetting


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tailrace")
def commands() -> None:
    """Publish runs of workflows and serve their exports: one file, one signed URL."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors are sentences, never stacks."""
    try:
        commands.main(arguments, prog_name="tailrace")
    except EngineError as error:
        _fail(" ".join(filter(None, (error.message, str(error.details.get("remedy", ""))))))
    except MissingSetting as error:
        _fail(str(error))
    except ValidationError as error:
        # Only settings are validated on the way here; their values may be secrets, so they are not repeated.
        wrong = error.errors(include_input=False, include_url=False)[0]
        name = str(wrong["loc"][0])
        _fail(f"The setting {name if name.isupper() else f'TAILRACE_{name.upper()}'} is wrong: {wrong['msg']}.")
    except OSError as error:
        _fail(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or type(error).__name__}.")


def _fail(reason: str) -> NoReturn:
    click.echo(f"tailrace: {reason}", err=True)
    sys.exit(1)
