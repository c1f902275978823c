"""``tailrace delete``."""

import click

from engine.bootstrap import open_exporter
from engine.errors import NotFound
from engine.exports.deletion import Deletion
from engine.settings import DuckDBSettings, StorageSettings
from web.cli.terminal.progress_bar import counted


@click.command(short_help="Delete a run or a workflow, with its exports.")
@click.argument("workflow")
@click.argument("run", required=False)
@click.option("--yes", is_flag=True, help="Delete. Without it, the command only says what would be deleted.")
def delete(workflow: str, run: str | None, yes: bool) -> None:
    """Delete RUN of WORKFLOW, or the whole workflow, and all exports made from it.

    Signed URLs of these exports stop working. The newest remaining run becomes the latest. If the deletion is
    interrupted, repeat the command or run `tailrace sweep` to complete it.

    \b
    Examples: tailrace delete jobs 2026-11-23 --yes
              tailrace delete jobs --yes

    Exit codes: 0 done, 1 failure, 2 usage error or missing --yes, 130 interrupted.
    """
    exporter = open_exporter(StorageSettings(), DuckDBSettings())
    results = exporter.results
    found = results.stored_workflow(workflow)
    if found is None:
        raise NotFound(f"There is no workflow {workflow}: `tailrace runs` lists the published ones.")
    if run is not None and results.run(workflow, run) is None:
        raise NotFound(f"There is no run {run} of {workflow}: `tailrace runs {workflow}` lists its runs.")
    if not yes:
        runs = f"the run {run}" if run is not None else counted(len(results.run_ids(workflow)), "run")
        raise click.UsageError(
            f"This permanently deletes {runs} of {workflow} and all exports made from it: repeat it with --yes."
        )
    deletion = Deletion(results, exporter.exports)
    if run is not None:
        deleted = deletion.delete_run(workflow, run, found.team)
    else:
        deleted = deletion.delete_workflow(workflow, found.team)
    click.echo(f"Deleted {counted(deleted.runs, 'run')} of {workflow} and {counted(deleted.exports, 'export')}.")
