"""``tailrace verify``."""

import sys
from collections.abc import Iterable, Iterator

import click

from engine.bootstrap import open_exporter
from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import run_prefix
from engine.common.ids import checked_id
from engine.exports.verify import CheckedObject, verify_exports, verify_results
from engine.settings import DuckDBSettings, StorageSettings
from web.cli.terminal.progress_bar import counted


@click.command(short_help="Read all data and compare it with the manifests.")
@click.argument("workflow", required=False)
@click.option("--run", "run_id", metavar="ID", help="Verify only this run of WORKFLOW.")
@click.option("--exports", is_flag=True, help="Verify finished exports instead of published runs.")
def verify(workflow: str | None, run_id: str | None, exports: bool) -> None:
    """Read all data of WORKFLOW, or of all workflows, and compare it with the manifests.

    Every damaged or unavailable object and every damaged document is reported on standard error, and without WORKFLOW
    every workflow that lists do not have; the others are still checked. The last line has the totals. It reads
    everything that it checks, so run it rarely.

    \b
    Examples: tailrace verify
              tailrace verify jobs --run 2026-11-23
              tailrace verify jobs --exports

    Exit codes: 0 no problems, 1 problems found, 2 usage error, 130 interrupted.
    """
    if run_id is not None and (workflow is None or exports):
        raise click.UsageError("--run needs a WORKFLOW, and cannot be combined with --exports.")
    named = None if workflow is None else checked_id("workflow", workflow)
    if run_id is not None:
        checked_id("run", run_id)
    exporter = open_exporter(StorageSettings(), DuckDBSettings())
    checked = verify_exports(exporter.exports, named) if exports else _results(exporter.results, named, run_id)
    wrong = _report(checked, "export" if exports else "file")
    sys.exit(1 if wrong else 0)


def _results(results: ResultStore, workflow: str | None, run_id: str | None) -> Iterator[CheckedObject]:
    if workflow is not None and not _has_runs(results, workflow, run_id):
        raise click.ClickException("There is no such run: `tailrace runs` lists the published ones.")
    return verify_results(results, workflow, run_id)


def _has_runs(results: ResultStore, workflow: str, run_id: str | None) -> bool:
    prefix = f"workflow={workflow}/run=" if run_id is None else run_prefix(workflow, run_id)
    return any(info.key.endswith("/run.json") for info in results.store.list(prefix))


def _report(checked: Iterable[CheckedObject], noun: str) -> int:
    count = size = wrong = 0
    for one in checked:
        count, size = count + 1, size + one.size
        if one.problem is not None:
            wrong += 1
            click.echo(f"{one.key}: {one.problem}.", err=True)
    result = f"{wrong:,} damaged" if wrong else "no problems"
    click.echo(f"{counted(count, noun)} of {counted(size, 'byte')} read: {result}.")
    return wrong
