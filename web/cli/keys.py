"""``tailrace keys``."""

import secrets

import click

from engine.ids import checked_id
from web.keys import new_key


@click.group()
def keys() -> None:
    """Make keys.

    Example: tailrace keys new --team acme
    """


@keys.command()
@click.option("--team", default="default", show_default=True, help="Team that the key speaks for.")
def new(team: str) -> None:
    """Print a new API key and a new signing key, as settings take them. Nothing is stored.

    \b
    Example: tailrace keys new --team acme >> .env

    Exit codes: 0 done, 1 refused or failed, 2 the command line was wrong, 130 interrupted.
    """
    key, hashed = new_key()
    click.echo(f"# API key of {checked_id('team', team)}, for the caller: {key}")
    click.echo(f"TAILRACE_API_KEYS={hashed}={team}")
    click.echo(f"TAILRACE_SIGNING_KEYS=k{secrets.token_hex(3)}={secrets.token_urlsafe(32)}")
