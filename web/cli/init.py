"""``tailrace init``."""

import click

from engine.bootstrap import initialise, initialise_if_new
from engine.settings import StorageSettings


@click.command()
@click.option(
    "--replace", is_flag=True,
    help="Bind these two stores although one belonged to another, or its counterpart is gone for good.",
)  # fmt: skip
def init(replace: bool) -> None:
    """Make the stores of TAILRACE_RESULTS and TAILRACE_EXPORTS, and mark them as each other's.

    The service never makes a store: one without its marker is unavailable, since an empty directory may be a volume
    that is not mounted. Run this once for new stores. It changes nothing in stores that have their markers.

    \b
    Example: tailrace init

    Exit codes: 0 done, 1 refused or failed, 2 the command line was wrong, 130 interrupted.
    """
    storage = StorageSettings()
    written = initialise(storage, replace=replace)
    for role in written:
        click.echo(f"Initialised the {role} store at {getattr(storage, role)}.")
    if not written:
        click.echo("Both stores are initialised already; nothing was changed.")


def initialise_new(storage: StorageSettings) -> None:
    """Initialise stores that are new, and say so on standard error: for commands that publish."""
    written = initialise_if_new(storage)
    if written == []:
        click.echo("The exports store could not be initialised: run `tailrace init` where it can be.", err=True)
    for role in written or ():
        click.echo(f"Initialised the {role} store at {getattr(storage, role)}.", err=True)
