"""``tailrace doctor``."""

import importlib.metadata
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

import click

from engine.settings import DuckDBSettings, StorageSettings
from web.cli.doctor.access import check_auth, check_base_url, check_signing
from web.cli.doctor.findings import Finding, Level
from web.cli.doctor.machine import check_clock, check_duckdb, check_spill, check_sql
from web.cli.doctor.memory import check_memory
from web.cli.doctor.settings import Configured
from web.cli.doctor.stores import check_stores
from web.cli.terminal.progress_bar import counted
from web.settings import (
    AdmissionSettings,
    AuthSettings,
    PublishSettings,
    QuerySettings,
    ServerSettings,
    SigningSettings,
)


@click.command(short_help="Check settings, stores and this machine.")
@click.option(
    "--write/--no-write", default=True, show_default=True,
    help="Write, read and delete a small object in each store and the spill directory.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(write: bool, as_json: bool) -> None:
    """Check the settings, the stores and this machine, and suggest remedies.

    Secrets are never printed. With --no-write nothing is written, so credentials that cannot write are not detected.
    Notes are not problems.

    \b
    Examples: tailrace doctor
              tailrace doctor --json | jq '.findings[] | select(.level == "problem")'

    Exit codes: 0 no problems, 1 problems found, 2 usage error, 130 interrupted.
    """
    configured = Configured()
    findings = [*configured.findings, *_checks(configured, write=write)]
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    version = importlib.metadata.version("tailrace")
    if as_json:
        report = {
            "ok": not problems,
            "version": version,
            "settings": configured.values(),
            "findings": [asdict(finding) for finding in findings],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        click.echo("\n".join(_lines(version, configured, findings, problems)))
    sys.exit(1 if problems else 0)


def _checks(configured: Configured, *, write: bool) -> Iterator[Finding]:
    """Run the checks whose settings are valid; invalid settings are findings already."""
    storage, duckdb = configured.get(StorageSettings), configured.get(DuckDBSettings)
    server, signing = configured.get(ServerSettings), configured.get(SigningSettings)
    auth, admission = configured.get(AuthSettings), configured.get(AdmissionSettings)
    queries, publishing = configured.get(QuerySettings), configured.get(PublishSettings)
    if storage is not None and duckdb is not None:
        yield from check_stores(storage, duckdb, signing, write=write)
    if duckdb is not None:
        max_concurrent = 1 if admission is None else admission.max_concurrent_exports
        yield check_duckdb(duckdb)
        yield from check_spill(duckdb, max_concurrent, write=write)
        if admission is not None and queries is not None and publishing is not None:
            yield check_memory(duckdb, admission, publishing, queries)
    if queries is not None:
        yield check_sql(queries)
    if auth is not None:
        yield from check_auth(auth)
    if signing is not None and server is not None:
        yield check_signing(signing, server)
    if server is not None:
        yield from check_base_url(server)
    yield check_clock()


def _lines(version: str, configured: Configured, findings: list[Finding], problems: int) -> Iterator[str]:
    yield f"tailrace {version}"
    yield ""
    values = configured.values()
    width = max(map(len, values), default=0)
    for name, value in values.items():
        yield f"  {name:<{width}}  {'-' if value is None else value}"
    yield ""
    for finding in findings:
        yield f"{finding.level:<8} {finding.area:<9} {finding.text}."
        if finding.remedy:
            yield f"{'':18} -> {finding.remedy}"
    yield ""
    yield f"{counted(problems, 'problem')}." if problems else "No problems found."
