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


@click.command()
@click.argument("workflow", required=False)
@click.option("--run", "run_id", metavar="ID", help="Only that run of WORKFLOW.")
@click.option("--exports", is_flag=True, help="Finished exports instead of published runs.")
def verify(workflow: str | None, run_id: str | None, exports: bool) -> None:
    """Read every byte of WORKFLOW's runs, or of all, and hold it against what its manifest promises.

    Each object that is damaged or unavailable, and each damaged document, is named with the reason on standard error;
    the others are checked all the same. The last line counts. It reads as much as it checks, so run it seldom.

    \b
    Examples: tailrace verify
              tailrace verify jobs --run 2026-11-23
              tailrace verify jobs --exports

    Exit codes: 0 all is right, 1 something is not, 2 the command line was wrong, 130 interrupted.
    """
    if run_id is not None and (workflow is None or exports):
        raise click.UsageError("--run goes with a WORKFLOW, and without --exports.")
    named = None if workflow is None else checked_id("workflow", workflow)
    if run_id is not None:
        checked_id("run", run_id)
    exporter = open_exporter(StorageSettings(), DuckDBSettings())
    checked = verify_exports(exporter.exports, named) if exports else _results(exporter.results, named, run_id)
    wrong = _tell(checked, "exports" if exports else "files")
    sys.exit(1 if wrong else 0)


def _results(results: ResultStore, workflow: str | None, run_id: str | None) -> Iterator[CheckedObject]:
    if workflow is not None and not _has_runs(results, workflow, run_id):
        raise click.ClickException("There is no such run: `tailrace runs` lists what is published.")
    return verify_results(results, workflow, run_id)


def _has_runs(results: ResultStore, workflow: str, run_id: str | None) -> bool:
    prefix = f"workflow={workflow}/run=" if run_id is None else run_prefix(workflow, run_id)
    return any(info.key.endswith("/run.json") for info in results.store.list(prefix))


def _tell(checked: Iterable[CheckedObject], kind: str) -> int:
    count = size = wrong = 0
    for one in checked:
        count, size = count + 1, size + one.size
        if one.problem is not None:
            wrong += 1
            click.echo(f"{one.key}: {one.problem}.", err=True)
    click.echo(f"{count:,} {kind} of {size:,} bytes read: {f'{wrong:,} wrong' if wrong else 'all right'}.")
    return wrong
