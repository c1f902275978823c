"""``tailrace init``."""

import click

from engine.bootstrap import initialise, initialise_if_new
from engine.settings import StorageSettings


@click.command(short_help="Create and mark the stores of results and exports.")
@click.option(
    "--replace", is_flag=True,
    help="Pair these two stores even if one belongs to another store, or its counterpart no longer exists.",
)  # fmt: skip
def init(replace: bool) -> None:
    """Create the stores of TAILRACE_RESULTS and TAILRACE_EXPORTS, and mark them as a pair.

    Run this once for new stores. The service never creates a store: without its marker a store is unavailable, since an
    empty directory may be a volume that is not mounted. Stores that have markers are not changed.

    \b
    Example: tailrace init

    Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.
    """
    storage = StorageSettings()
    written = initialise(storage, replace=replace)
    for role in written:
        click.echo(f"Initialised the {role} store at {getattr(storage, role)}.")
    if not written:
        click.echo("Both stores are already initialised.")


def initialise_new(storage: StorageSettings) -> None:
    """Initialise new stores, with a message on standard error; for commands that publish."""
    written = initialise_if_new(storage)
    if written == []:
        click.echo("The exports store cannot be reached from here: run `tailrace init` where it can be.", err=True)
    for role in written or ():
        click.echo(f"Initialised the {role} store at {getattr(storage, role)}.", err=True)
