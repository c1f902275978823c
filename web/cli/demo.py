"""``tailrace demo``: what ``make run`` starts."""

import json
import secrets
from pathlib import Path

import click

from engine.bootstrap import open_results
from engine.common.private_files import FILE_MODE, make_folders, restrict_umask
from engine.publishing.publisher import Publication, Publisher
from engine.publishing.sample import write_sample
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from web.app import create_app_with
from web.auth.api_keys import new_key
from web.cli.init import initialise_new
from web.cli.serve import run_server
from web.cli.terminal.progress_bar import counted
from web.container import make_services
from web.settings import (
    AdmissionSettings,
    AuthSettings,
    ConnectionSettings,
    QuerySettings,
    ServerSettings,
    SigningSettings,
)

WORKFLOW = "sample-products"
RUN = "2026-11-01"
TEAM = "demo"
_SECRETS = Path(".tailrace/demo.json")
_ENV_FILE = Path(".env")


@click.command()
def demo() -> None:
    """Publish a sample run if it is missing, and serve it with keys that are made for this checkout."""
    restrict_umask()
    storage, duckdb, server = StorageSettings(), DuckDBSettings(), ServerSettings()
    # No load balancer is in front.
    admission = AdmissionSettings(drain_seconds=0)
    secret = _load_secrets(_SECRETS)
    initialise_new(storage)
    results = open_results(storage)
    if results.run(WORKFLOW, RUN) is None:
        click.echo("Publishing a sample run ...")
        data, schema = write_sample(_SECRETS.parent / "sample")
        published = Publisher(results, duckdb).publish(
            Publication(WORKFLOW, RUN, (data,), team=TEAM, name="Sample products", schema=schema, row_id="sku")
        )
        click.echo(f"Published {WORKFLOW}/{RUN}: {counted(published.rows, 'row')}.")
    services = make_services(
        storage,
        duckdb,
        server,
        AuthSettings(api_keys=f"{secret['apiKey']}={TEAM}"),
        SigningSettings(signing_keys=f"demo={secret['signingSecret']}"),
        admission,
        QuerySettings(),
        RunnerSettings(),
    )
    if not _ENV_FILE.exists():
        _write_env_file(secret)
        click.echo(f"Wrote {_ENV_FILE}, so that other commands in this folder use the same keys.")
    click.echo(_instructions(server.public_url, secret["apiKey"]))
    run_server(create_app_with(services), server, admission, ConnectionSettings())


def _load_secrets(path: Path) -> dict[str, str]:
    """Return the demo's secrets, which are made once, so that its URLs survive a restart."""
    if not path.exists():
        make_folders(path.parent)
        path.touch(FILE_MODE)
        path.write_text(json.dumps({"apiKey": new_key()[0], "signingSecret": secrets.token_urlsafe(32)}))
    stored: dict[str, str] = json.loads(path.read_text())
    return stored


def _write_env_file(secret: dict[str, str]) -> None:
    _ENV_FILE.touch(FILE_MODE)
    _ENV_FILE.write_text(
        "# Settings of the demo; .env.example has all of them.\n"
        f"TAILRACE_API_KEYS={secret['apiKey']}={TEAM}\n"
        f"TAILRACE_SIGNING_KEYS=demo={secret['signingSecret']}\n"
    )


def _instructions(base: str, key: str) -> str:
    export = f"{base}/v4/workflows/{WORKFLOW}/data/export"
    filters = '[{"field":"price.amount","operator":"GREATER_THAN","value":400000}]'
    # The response is one line of JSON: sed extracts the URL, which curl opens without any header.
    download = (
        f"curl -s -H 'x-api-key: {key}' '{export}' | sed 's/.*\"url\":\"\\([^\"]*\\)\".*/\\1/' "
        "| xargs curl -s -o products.csv -w 'products.csv: %{size_download} bytes\\n'"
    )
    rule = "-" * 80
    return f"""
{rule}
Serving {base} with the key {key}

Open   {base}/#key={key}

or paste one of these into another terminal:

1. Export all rows, and download the file:
   {download}
2. Export the best rated first, as JSON:
   curl -s -H 'x-api-key: {key}' '{export}?format=json&sortBy=rating&order=desc'
3. Export what costs more than 400,000:
   curl -s -G -H 'x-api-key: {key}' '{export}' --data-urlencode 'filters={filters}'
4. Ask with SQL:
   .venv/bin/tailrace sql "FROM result('{WORKFLOW}') WHERE rating > 4.5"
5. Publish a file of your own, and export it:
   .venv/bin/tailrace publish --workflow mine --run 1 FILE

Ctrl-C stops it.
{rule}"""
