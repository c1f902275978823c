"""``tailrace demo``: what ``make run`` starts."""

import json
import os
import secrets
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path

import click

from engine.bootstrap import open_results
from engine.common.private_files import FILE_MODE, make_folders, restrict_umask
from engine.publishing.publisher import Publication, Publisher
from engine.publishing.sample import ROWS, write_earlier_sample, write_sample
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from web.app import create_app_with
from web.auth.api_keys import new_key
from web.cli.init import initialise_new
from web.cli.keys import NEW_FILE
from web.cli.local.env_file import DEFAULT, FILE_VARIABLE
from web.cli.serve import run_server, warn_of_names
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
from web.telemetry.logs import set_up

WORKFLOW = "sample-products"
RUN = "2026-11-01"
EARLIER_RUN = "2026-10-01"
TEAM = "demo"
_SECRETS = Path(".tailrace/demo.json")
_ENV_FILE = Path(DEFAULT)


@click.command(short_help="Publish a sample if it is missing, and serve it.")
def demo() -> None:
    """Publish a sample run if it is missing, and serve it with keys that are made for this checkout.

    Settings that are missing are added to the file .env, so that other commands in this folder use the same keys.
    """
    restrict_umask()
    secret = _load_secrets(_SECRETS)
    _configure(secret, os.environ)
    storage, duckdb, server = StorageSettings(), DuckDBSettings(), ServerSettings()
    # No load balancer is in front.
    admission = AdmissionSettings(drain_seconds=0)
    initialise_new(storage)
    results = open_results(storage)
    if results.run(WORKFLOW, RUN) is None:
        click.echo(f"Publishing two sample runs of about {counted(ROWS, 'row')}: some seconds.")
        publish_sample(Publisher(results, duckdb), _SECRETS.parent / "sample")
    services = make_services(
        storage,
        duckdb,
        server,
        # The key that is printed below is accepted beside those of the settings.
        AuthSettings(api_keys=f"{AuthSettings().api_keys},{_api_keys(secret)}"),
        SigningSettings(),
        admission,
        QuerySettings(),
        RunnerSettings(),
    )
    set_up(server.log)
    warn_of_names()
    run_server(
        create_app_with(services),
        server,
        admission,
        ConnectionSettings(),
        greeting=_instructions(server.public_url, secret["apiKey"]),
    )


def publish_sample(publisher: Publisher, folder: Path, rows: int = ROWS) -> None:
    """Publish the sample run and the one before it, by way of files in a folder."""
    for run, write in ((EARLIER_RUN, write_earlier_sample), (RUN, write_sample)):
        data, schema = write(folder, rows)
        executed_at = datetime.fromisoformat(run).replace(tzinfo=UTC)
        publisher.publish(
            Publication(
                WORKFLOW, run, (data,), team=TEAM, name="Sample products", schema=schema, row_id="sku",
                executed_at=executed_at,
            )
        )  # fmt: skip


def _load_secrets(path: Path) -> dict[str, str]:
    """Return the demo's secrets, which are made once, so that its URLs survive a restart."""
    if not path.exists():
        make_folders(path.parent)
        path.touch(FILE_MODE)
        path.write_text(json.dumps({"apiKey": new_key()[0], "signingSecret": secrets.token_urlsafe(32)}))
    stored: dict[str, str] = json.loads(path.read_text())
    return stored


def _api_keys(secret: Mapping[str, str]) -> str:
    return f"{secret['apiKey']}={TEAM}:publish"


def _configure(secret: Mapping[str, str], environment: MutableMapping[str, str]) -> None:
    """Set what the environment and ``.env`` lack, and add it to ``.env``, unless another file is named."""
    wanted = {
        "TAILRACE_API_KEYS": _api_keys(secret),
        "TAILRACE_API_KEYS_FILE": str(NEW_FILE),
        "TAILRACE_SIGNING_KEYS": f"demo={secret['signingSecret']}",
    }
    missing = {name: value for name, value in wanted.items() if name not in environment}
    environment.update(missing)
    if "TAILRACE_API_KEYS_FILE" in missing:
        NEW_FILE.touch(FILE_MODE)
    if not missing or FILE_VARIABLE in environment:
        return
    _ENV_FILE.touch(FILE_MODE)
    before = _ENV_FILE.read_text("utf-8")
    with _ENV_FILE.open("a", encoding="utf-8") as file:
        file.write("\n" if before and not before.endswith("\n") else "")
        file.write("# Settings of `make run`; .env.example has all of them.\n")
        file.writelines(f"{name}={value}\n" for name, value in missing.items())
    click.echo(f"Added {counted(len(missing), 'setting')} to {_ENV_FILE}, for the other commands in this folder.")


def _instructions(base: str, key: str) -> str:
    rule = "-" * 80
    return f"""
{rule}
Open this address in a browser; it signs you in:

{base}/#key={key}

Or try these in another terminal, in this folder:

1. Write all rows to a file:
   .venv/bin/tailrace export {WORKFLOW} -o products.csv
2. Ask with SQL:
   .venv/bin/tailrace sql "FROM result('{WORKFLOW}') WHERE rating > 4.5"
3. Publish a file; this one is in the repository:
   .venv/bin/tailrace publish --workflow mine --run 1 tests/sample/jobs.csv
4. Export over HTTP, the best rated first; `url` in the answer opens the file:
   KEY={key}
   curl -s -G -H "x-api-key: $KEY" -d sortBy=rating -d order=desc \\
     {base}/v4/workflows/{WORKFLOW}/data/export
5. Read the API, and send requests from the page, at {base}/docs

Ctrl-C stops it.
{rule}"""
