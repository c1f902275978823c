"""``tailrace verify``."""

import sys
from collections.abc import Iterable, Iterator

import click

from engine.bootstrap import open_exporter
from engine.catalog.manifest import Run
from engine.common.ids import checked_id
from engine.exports.exporter import Exporter
from engine.exports.verify import Checked, verify_exports, verify_run
from engine.settings import DuckDBSettings, StorageSettings


@click.command()
@click.argument("workflow", required=False)
@click.option("--run", "run_id", metavar="ID", help="Only that run of WORKFLOW.")
@click.option("--exports", is_flag=True, help="Finished exports instead of published runs.")
def verify(workflow: str | None, run_id: str | None, exports: bool) -> None:
    """Read every byte of WORKFLOW's runs, or of all, and hold it against what its manifest promises.

    Each object that is wrong is told with the reason, on standard error; the last line counts. It reads as much as it
    checks, so run it seldom, beside anything.

    \b
    Examples: tailrace verify
              tailrace verify jobs --run 2026-11-23
              tailrace verify jobs --exports

    Exit codes: 0 all is right, 1 something is not, 2 the command line was wrong, 130 interrupted.
    """
    if run_id is not None and (workflow is None or exports):
        raise click.UsageError("--run goes with a WORKFLOW, and without --exports.")
    named = None if workflow is None else checked_id("workflow", workflow)
    exporter = open_exporter(StorageSettings(), DuckDBSettings())
    checked = verify_exports(exporter.exports, named) if exports else _parts(exporter, named, run_id)
    wrong = _tell(checked, "exports" if exports else "files")
    sys.exit(1 if wrong else 0)


def _parts(exporter: Exporter, workflow: str | None, run_id: str | None) -> Iterator[Checked]:
    for run in _runs(exporter, workflow, run_id):
        yield from verify_run(exporter.results, run)


def _runs(exporter: Exporter, workflow: str | None, run_id: str | None) -> Iterator[Run]:
    results = exporter.results
    if workflow is None:
        for found in results.workflows():
            yield from results.runs(found.workflow_id)
        return
    runs = [run for run in results.runs(workflow) if run_id in (None, run.run_id)]
    if not runs:
        raise click.ClickException("There is no such run: `tailrace runs` lists what is published.")
    yield from runs


def _tell(checked: Iterable[Checked], kind: str) -> int:
    count = size = wrong = 0
    for one in checked:
        count, size = count + 1, size + one.size
        if one.wrong is not None:
            wrong += 1
            click.echo(f"{one.key}: {one.wrong}.", err=True)
    click.echo(f"{count:,} {kind} of {size:,} bytes read: {f'{wrong:,} wrong' if wrong else 'all right'}.")
    return wrong
