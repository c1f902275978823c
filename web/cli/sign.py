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
from web.auth.signed_urls import ExpiredUrl, UrlSigner, parse_signing_keys
from web.settings import MissingSetting, ServerSettings, SigningSettings


@click.command()
@click.argument("workflow", required=False)
@click.argument("export_id", required=False)
@click.option("--format", "format_name", type=click.Choice([*FORMATS]), help="Format that the export has to have.")
@click.option(
    "--ttl", type=click.IntRange(min=1), metavar="SECONDS",
    help="How long the URL is good; TAILRACE_URL_TTL_SECONDS if not given, and at most.",
)  # fmt: skip
@click.option("--check", metavar="URL", help="Say instead whether a URL is one of ours, and until when it is good.")
def sign(
    workflow: str | None, export_id: str | None, format_name: str | None, ttl: int | None, check: str | None
) -> None:
    """Print a fresh signed URL of a finished export. It opens without any header; whoever has it has the file.

    The export is kept for as long as the URL is good. --check looks at the signature alone, with the same settings
    (TAILRACE_SIGNING_KEYS, TAILRACE_BASE_URL): it does not ask whether the file is there.

    \b
    Examples: tailrace sign jobs 0c5efbcd-8f6d-8b3e-9a5b-2f6a3f0a7a11 --ttl 600
              tailrace sign --check 'https://exports.example/v4/workflows/...'

    Exit codes: 0 done (--check: the URL is good), 1 refused or failed (--check: it is not), 2 the command line was
    wrong, 130 interrupted.
    """
    if (check is None) == (workflow is None or export_id is None) or (check is not None and workflow is not None):
        raise click.UsageError("Give WORKFLOW and EXPORT_ID, or --check URL.")
    if check is not None and (ttl is not None or format_name is not None):
        raise click.UsageError("--check goes without --ttl and --format.")
    signing = SigningSettings()
    signer = open_signer(signing, ServerSettings())
    if check is not None:
        _check(signer, check)
        return
    seconds = signing.url_ttl_seconds if ttl is None else ttl
    if seconds > signing.url_ttl_seconds:
        raise click.ClickException(
            f"No URL is good for longer than {signing.url_ttl_seconds} s: "
            "give a smaller --ttl, or set TAILRACE_URL_TTL_SECONDS."
        )
    _sign(signer, str(workflow), str(export_id), format_name, timedelta(seconds=seconds))


def open_signer(signing: SigningSettings, server: ServerSettings) -> UrlSigner:
    """The signer of these settings. Raises MissingSetting."""
    if not signing.signing_keys:
        raise MissingSetting(
            "No URL could be signed: set TAILRACE_SIGNING_KEYS (kid=secret, 32 bytes or more), as the service has it."
        )
    try:
        keys = parse_signing_keys(signing.signing_keys)
    except ValueError as error:
        raise MissingSetting(f"TAILRACE_SIGNING_KEYS cannot be read: {error}.") from error
    return UrlSigner(keys, base_url=server.public_url, max_ttl=signing.url_ttl, formats=FORMATS)


def _sign(signer: UrlSigner, workflow: str, export_id: str, format_name: str | None, ttl: timedelta) -> None:
    exporter = open_exporter(StorageSettings(), DuckDBSettings())
    # Raises NotFound, also if the export has another format.
    exporter.find(workflow, export_id, format_name)
    export = exporter.describe(workflow, export_id)
    until = datetime.now(UTC).replace(microsecond=0) + ttl
    if export is None or not exporter.keep(export, until):
        raise NotFound("The export has just been removed, or its run has: export it again.")
    click.echo(signer.sign(workflow, export_id, export.format.name, until))
    click.echo(f"Good until {rfc3339(until)}: {export.rows:,} rows, {export.size:,} bytes.", err=True)


def _check(signer: UrlSigner, url: str) -> None:
    try:
        parts = urlsplit(url)
        # Raw, as they would come over the wire; a fragment never does.
        grant = signer.verify(parts.path.encode(), parts.query.encode())
    except ExpiredUrl as error:
        # The signature is right, so what stands there is what was signed.
        ended = datetime.fromtimestamp(int(parse_qs(parts.query)["expires"][0]), UTC)
        raise click.ClickException(f"The URL was good until {rfc3339(ended)}: sign the export again.") from error
    except (Unauthenticated, ValueError) as error:
        raise click.ClickException(
            f"The URL is not one that these settings signed (base {signer.base}): "
            "it was changed, its key was retired, or it is another service's."
        ) from error
    click.echo(f"Good until {rfc3339(grant.expires)}: {grant.format} {grant.workflow_id} {grant.export_id}.")
    given = f"{parts.scheme}://{parts.netloc}"
    if not signer.base.startswith(given):
        # What is signed is the base of the settings: the place is no part of what was checked.
        click.echo(f"It leads to {given}, while the service is at {signer.base}.", err=True)
