"""``tailrace keys``."""

import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from engine.common.ids import checked_id
from web.api.models import rfc3339
from web.auth.api_keys import new_key
from web.auth.key_file import StoredKey, append_key, read_key_file
from web.cli.local.team import only_team
from web.cli.terminal.tabbed import print_rows
from web.delta_sharing.profile import encode_profile, write_profile
from web.settings import AuthSettings, ServerSettings, SigningSettings

NEW_FILE = Path(".tailrace/keys.jsonl")
"""Where keys go in a checkout whose settings name no file."""


@click.group()
def keys() -> None:
    """Make, list and revoke API keys.

    Example: tailrace keys new --team acme
    """


_file = click.option(
    "--file",
    "given",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Key file.  [default: TAILRACE_API_KEYS_FILE, or {NEW_FILE}]",
)


@keys.command()
@click.option("--team", help="Team that the key belongs to.  [default: the only team that has keys]")
@click.option("--days", type=click.IntRange(1, 36_500), help="Days until the key expires.  [default: never]")
@click.option("--publish", is_flag=True, help="The key may also publish and delete over HTTP.")
@_file
def new(team: str | None, days: int | None, publish: bool, given: Path | None) -> None:
    """Make an API key and append it to the key file, which is created if it is new.

    The key is printed once, to standard output; the file has only its hash. Services that read the file accept the key
    within a second. What is still missing for a service is printed to standard error.

    \b
    Examples: tailrace keys new --team acme
              tailrace keys new --team acme --days 90 --file keys.jsonl
              tailrace keys new --team acme --publish

    Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.
    """
    path = _new_file(given)
    key, stored = _make_key(path, team, days, publish=publish)
    append_key(path, stored)
    click.echo(key)
    _say_added(path, stored)


@keys.command()
@click.option("--team", help="Team whose workflows are shared.  [default: the only team that has keys]")
@click.option("--days", type=click.IntRange(1, 36_500), help="Days until the key expires.  [default: never]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Profile file to write.  [default: TEAM.share]",
)
@_file
def share(team: str | None, days: int | None, output: Path | None, given: Path | None) -> None:
    """Make an API key that reads, and write it to a profile file for clients of Delta Sharing.

    The profile has the key itself, so it is readable by its owner only, and an existing file is not replaced. Its
    endpoint is that of TAILRACE_BASE_URL.

    \b
    Examples: tailrace keys share --team acme
              tailrace keys share --team acme --days 90 -o customer.share

    Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.
    """
    path = _new_file(given)
    key, stored = _make_key(path, team, days)
    target = output or Path(f"{stored.team}.share")
    content = encode_profile(ServerSettings().public_url, key, stored.expires_at)
    try:
        write_profile(target, content)
    except FileExistsError as error:
        raise click.ClickException(f"{target} exists: name another file with --output, or remove it.") from error
    append_key(path, stored)
    click.echo(target)
    _say_added(path, stored)


@keys.command()
def signing() -> None:
    """Make a signing key for TAILRACE_SIGNING_KEYS, print it as kid=secret, and store nothing.

    To rotate, put the new key before the old ones, comma-separated: the first signs, all verify.

    \b
    Example: echo "TAILRACE_SIGNING_KEYS=$(tailrace keys signing)" >> tailrace.env

    Exit codes: 0 done, 1 refused or failed, 2 the command line was wrong, 130 interrupted.
    """
    click.echo(_new_signing_key())


@keys.command("list")
@_file
def list_keys(given: Path | None) -> None:
    """List the keys of a file with team, state, times and permissions: a table, tab-separated in a pipe.

    \b
    Example: tailrace keys list | grep -v revoked

    Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.
    """
    now = datetime.now(UTC)
    print_rows(
        ("id", "team", "state", "createdAt", "expiresAt", "revokedAt", "may"),
        [
            (
                key.id,
                key.team,
                key.state(now),
                *(None if at is None else rfc3339(at) for at in (key.created_at, key.expires_at, key.revoked_at)),
                "publish" if key.publish else "read",
            )
            for key in _read(_path(given)).values()
        ],
    )


@keys.command()
@click.argument("key_id", metavar="ID")
@_file
def revoke(key_id: str, given: Path | None) -> None:
    """Revoke a key by its ID, the part of the key between the underscores.

    Services that read the file reject the key within a second. URLs that were already signed stay valid until they
    expire.

    \b
    Example: tailrace keys revoke 1f0c22ab

    Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.
    """
    path = _path(given)
    found = _read(path)
    if key_id not in found:
        raise click.ClickException(f"there is no key {key_id!r} in {path}: `tailrace keys list` lists its keys.")
    if found[key_id].revoked_at is None:
        append_key(path, found[key_id].model_copy(update={"revoked_at": datetime.now(UTC).replace(microsecond=0)}))
    click.echo(f"{key_id} is revoked.")


def _new_file(given: Path | None) -> Path:
    return given or AuthSettings().api_keys_file or NEW_FILE


def _make_key(path: Path, team: str | None, days: int | None, *, publish: bool = False) -> tuple[str, StoredKey]:
    """A new key, and its line for the key file at ``path``. Raises InvalidInput for a team that is no id."""
    team = checked_id("team", team or only_team({key.team for key in _read(path).values()} if path.exists() else set()))
    key, digest = new_key()
    now = datetime.now(UTC).replace(microsecond=0)
    stored = StoredKey(
        id=key.split("_")[1],
        sha256=digest,
        team=team,
        publish=publish or None,
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    return key, stored


def _say_added(path: Path, stored: StoredKey) -> None:
    click.echo(f"Added to {path}, for team {stored.team}.", err=True)
    if AuthSettings().api_keys_file is None:
        click.echo(f"Set TAILRACE_API_KEYS_FILE={path} for the service.", err=True)
    if not SigningSettings().signing_keys:
        click.echo("The service also needs TAILRACE_SIGNING_KEYS: `tailrace keys signing` makes one.", err=True)


def _new_signing_key() -> str:
    return f"k{secrets.token_hex(3)}={secrets.token_urlsafe(32)}"


def _path(given: Path | None) -> Path:
    path = _new_file(given)
    if path == NEW_FILE and not path.exists():
        raise click.UsageError("No key file is configured: use --file, or set TAILRACE_API_KEYS_FILE.")
    return path


def _read(path: Path) -> dict[str, StoredKey]:
    try:
        return read_key_file(path)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path} cannot be read: {error}.") from error
