"""``tailrace sign``."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import click

from engine.bootstrap import open_exporter
from engine.errors import NotFound
from engine.request.formats import FORMATS
from engine.settings import DuckDBSettings, StorageSettings
from web.api.models import rfc3339
from web.auth.errors import Unauthenticated
from web.auth.signed_urls import ExpiredUrl, FutureUrl, UrlSigner, parse_signing_keys
from web.cli.terminal.progress_bar import counted
from web.settings import MissingSetting, ServerSettings, SigningSettings


@click.command(short_help="Print a new signed URL of a finished export.")
@click.argument("workflow", required=False)
@click.argument("export_id", required=False)
@click.option("--format", "format_name", type=click.Choice([*FORMATS]), help="Fail unless the export has this format.")
@click.option(
    "--ttl", type=click.IntRange(min=1), metavar="SECONDS",
    help="Lifetime of the URL.  [default, and maximum: TAILRACE_URL_TTL_SECONDS]",
)  # fmt: skip
@click.option("--check", metavar="URL", help="Instead, check the signature of a URL and when it expires.")
def sign(
    workflow: str | None, export_id: str | None, format_name: str | None, ttl: int | None, check: str | None
) -> None:
    """Print a new signed URL of a finished export. Everyone who has the URL can download the file.

    The export is retained until the URL expires. --check verifies the signature alone, with TAILRACE_SIGNING_KEYS and
    TAILRACE_BASE_URL; it does not check that the file exists.

    \b
    Examples: tailrace sign jobs 0c5efbcd-8f6d-8b3e-9a5b-2f6a3f0a7a11 --ttl 600
              tailrace sign --check 'https://exports.example/v4/workflows/...'

    Exit codes: 0 success (--check: the URL is valid), 1 failure (--check: it is not valid), 2 usage error, 130
    interrupted.
    """
    if (check is None) == (workflow is None or export_id is None) or (check is not None and workflow is not None):
        raise click.UsageError("Pass WORKFLOW and EXPORT_ID, or --check URL.")
    if check is not None and (ttl is not None or format_name is not None):
        raise click.UsageError("--check cannot be combined with --ttl or --format.")
    signing = SigningSettings()
    signer = open_signer(signing, ServerSettings())
    if check is not None:
        _check(signer, check)
        return
    seconds = signing.url_ttl_seconds if ttl is None else ttl
    if seconds > signing.url_ttl_seconds:
        raise click.ClickException(
            f"The maximum lifetime of a URL is {signing.url_ttl_seconds} seconds: "
            "use a smaller --ttl, or raise TAILRACE_URL_TTL_SECONDS."
        )
    _sign(signer, str(workflow), str(export_id), format_name, timedelta(seconds=seconds))


def open_signer(signing: SigningSettings, server: ServerSettings) -> UrlSigner:
    """Return the signer for these settings. Raises MissingSetting."""
    if not signing.signing_keys:
        raise MissingSetting(
            "No signing key is configured: set TAILRACE_SIGNING_KEYS (kid=secret, 32 bytes or more) as for the service."
        )
    try:
        keys = parse_signing_keys(signing.signing_keys)
    except ValueError as error:
        raise MissingSetting(f"TAILRACE_SIGNING_KEYS cannot be read: {error}.") from error
    return UrlSigner(keys, base_url=server.public_url, max_ttl=signing.url_max_ttl, formats=FORMATS)


def _sign(signer: UrlSigner, workflow: str, export_id: str, format_name: str | None, ttl: timedelta) -> None:
    exporter = open_exporter(StorageSettings(), DuckDBSettings())
    # Raises NotFound, even if the export exists in another format.
    exporter.find(workflow, export_id, format_name)
    export = exporter.describe(workflow, export_id)
    until = datetime.now(UTC).replace(microsecond=0) + ttl
    if export is None or not exporter.retain(export, until):
        raise NotFound("The export or its run has just been removed: export it again.")
    click.echo(signer.sign(workflow, export_id, export.format.name, until, export.file_name))
    click.echo(
        f"Valid until {rfc3339(until)}: {counted(export.rows, 'row')}, {counted(export.size, 'byte')}.", err=True
    )


def _check(signer: UrlSigner, url: str) -> None:
    try:
        parts = urlsplit(url)
        # Raw, as a client would send them; clients do not send the fragment.
        grant = signer.verify(parts.path.encode(), parts.query.encode())
    except ExpiredUrl as error:
        # The signature is valid, so the expiry was not changed.
        ended = datetime.fromtimestamp(int(parse_qs(parts.query)["expires"][0]), UTC)
        raise click.ClickException(f"The URL expired at {rfc3339(ended)}: sign the export again.") from error
    except FutureUrl as error:
        raise click.ClickException(
            "The URL expires later than TAILRACE_URL_MAX_TTL_SECONDS from now: the clock of this machine or of the one "
            "that signed it is wrong, or that setting is too small."
        ) from error
    except (Unauthenticated, ValueError) as error:
        raise click.ClickException(
            f"The URL was not signed with these settings (base {signer.base}): "
            "it was changed, its key was removed, or it belongs to another service."
        ) from error
    click.echo(f"Valid until {rfc3339(grant.expires)}: {grant.format} {grant.workflow_id} {grant.export_id}.")
    origin = f"{parts.scheme}://{parts.netloc}"
    if not signer.base.startswith(origin):
        # The signature covers the base URL of the settings, not the host in this URL.
        click.echo(f"It points to {origin}, but the service is at {signer.base}.", err=True)
