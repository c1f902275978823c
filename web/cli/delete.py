"""``tailrace delete``."""

import click

from engine.bootstrap import open_exporter
from engine.errors import NotFound
from engine.exports.deletion import Deletion
from engine.settings import DuckDBSettings, StorageSettings
from web.cli.terminal.progress_bar import counted


@click.command()
@click.argument("workflow")
@click.argument("run", required=False)
@click.option("--yes", is_flag=True, help="Delete; without it, only say what would be deleted.")
def delete(workflow: str, run: str | None, yes: bool) -> None:
    """Delete RUN of WORKFLOW, or the whole workflow, with all exports that were made of it.

    Nothing of it opens afterwards, signed URLs included. The newest run that remains is the latest. A deletion that was
    interrupted is completed by the same command or by `tailrace sweep`.

    \b
    Examples: tailrace delete jobs 2026-11-23 --yes
              tailrace delete jobs --yes

    Exit codes: 0 done, 1 refused or failed, 2 the command line was wrong or --yes is missing, 130 interrupted.
    """
    exporter = open_exporter(StorageSettings(), DuckDBSettings())
    results = exporter.results
    found = results.stored_workflow(workflow)
    if found is None:
        raise NotFound(f"There is no workflow {workflow}: `tailrace runs` lists what is published.")
    if run is not None and results.run(workflow, run) is None:
        raise NotFound(f"There is no run {run} of {workflow}: `tailrace runs {workflow}` lists those there are.")
    if not yes:
        what = f"the run {run}" if run is not None else f"all {counted(len(results.run_ids(workflow)), 'run')}"
        raise click.UsageError(f"This deletes {what} of {workflow} and their exports, for good: repeat it with --yes.")
    deletion = Deletion(results, exporter.exports)
    if run is not None:
        done = deletion.delete_run(workflow, run, found.team)
    else:
        done = deletion.delete_workflow(workflow, found.team)
    click.echo(f"Deleted {counted(done.runs, 'run')} of {workflow} and {counted(done.exports, 'export')}.")
