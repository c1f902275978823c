"""``tailrace runs``."""

import click

from engine.bootstrap import open_results
from engine.common.ids import checked_id
from engine.errors import NotFound
from engine.settings import StorageSettings
from web.api.models import rfc3339
from web.cli.terminal.tabbed import print_rows


@click.command(short_help="List workflows, or the runs of one.")
@click.argument("workflow", required=False)
def runs(workflow: str | None) -> None:
    """List the runs of WORKFLOW, or all workflows with their latest run: a table, tab-separated in a pipe.

    \b
    Examples: tailrace runs
              tailrace runs jobs | cut -f1,3

    Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.
    """
    results = open_results(StorageSettings())
    if workflow is None:
        workflows = results.workflows()
        print_rows(
            ("workflow", "team", "latest", "name"),
            [(one.workflow_id, one.team, one.latest.run_id if one.latest else None, one.name) for one in workflows],
        )
        return
    found_runs = list(results.runs(checked_id("workflow", workflow)))
    if not found_runs and results.stored_workflow(workflow) is None:
        raise NotFound(f"There is no workflow {workflow}: `tailrace runs` lists the published ones.")
    print_rows(
        ("run", "state", "rows", "parts", "bytes", "executedAt", "publishedAt"),
        [
            (
                run.run_id,
                run.state,
                run.rows,
                len(run.parts),
                sum(part.bytes for part in run.parts),
                rfc3339(run.executed_at) if run.executed_at else None,
                rfc3339(run.published_at),
            )
            for run in found_runs
        ],
    )
