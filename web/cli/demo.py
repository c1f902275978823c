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


@click.command()
def demo() -> None:
    """Publish a sample run if it is missing, and serve it with keys that are made for this checkout."""
    restrict_umask()
    storage, duckdb, server, admission = StorageSettings(), DuckDBSettings(), ServerSettings(), AdmissionSettings()
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


def _instructions(base: str, key: str) -> str:
    export = f"{base}/v4/workflows/{WORKFLOW}/data/export"
    filters = '[{"field":"price.amount","operator":"GREATER_THAN","value":400000}]'
    # The response is one line of JSON: sed extracts the URL, which curl opens without any header.
    download = (
        f"curl -s -H 'x-api-key: {key}' '{export}' | sed 's/.*\"url\":\"\\([^\"]*\\)\".*/\\1/' "
        "| xargs curl -s -o products.csv -w 'products.csv: %{size_download} bytes\\n'"
    )
    return f"""
Serving {base} with the demo key {key}
Open {base}/ in a browser and sign in with the key, or paste these into another terminal; the last downloads the file:

  curl -s -H 'x-api-key: {key}' '{export}?format=json&sortBy=rating&order=desc'
  curl -s -G -H 'x-api-key: {key}' '{export}' --data-urlencode 'filters={filters}'
  {download}

Ctrl-C stops it.
"""
