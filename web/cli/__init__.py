"""The ``tailrace`` command.

Exit codes: 0 done; 1 refused or failed, with the reason on standard error; 2 the command line was wrong.
"""

import sys

import click

from engine.errors import EngineError
from web.cli.demo import demo
from web.cli.keys import keys
from web.cli.publish import publish
from web.cli.runs import runs
from web.cli.serve import serve
from web.services import MissingSetting


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tailrace")
def commands() -> None:
    """Publish runs of workflows and serve their exports: one file, one signed URL."""


for command in (publish, runs, serve, demo, keys):
    commands.add_command(command)


def main() -> None:
    """Run the command line; errors are sentences, never stacks."""
    try:
        commands.main(prog_name="tailrace")
    except (EngineError, MissingSetting) as error:
        click.echo(f"tailrace: {error}", err=True)
        sys.exit(1)
