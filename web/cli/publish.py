"""``tailrace publish``."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from engine.catalog.manifest import State
from engine.publishing.publisher import Publication
from web.cli.local_publisher import described, publishing
from web.cli.progress_bar import ProgressBar


class Moment(click.ParamType[datetime]):
    """An ISO 8601 date or time; without an offset it is UTC."""

    name = "ISO"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment in UTC, or a usage error."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not an ISO 8601 time such as 2026-11-23T10:00:00Z", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--workflow", required=True, help="Id of the workflow; made if it is new.")
@click.option("--run", required=True, help="Id of the run; runs never change, so it must be new.")
@click.option("--team", default="default", show_default=True, help="Team that owns the workflow.")
@click.option("--name", help="Name of a new workflow; its id if not given.")
@click.option("--schema", type=click.Path(path_type=Path), help="JSON file that declares the fields.")
@click.option("--row-id", metavar="FIELD", help="Field whose unique values become row ids; made if not given.")
@click.option("--executed-at", type=Moment(), help="When the run was executed.")
@click.option(
    "--state", type=click.Choice([*State]), default=State.FINISHED, show_default=True,
    help="Only finished runs can be exported.",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No progress: only the answer, and errors.")
def publish(
    files: tuple[Path, ...],
    workflow: str,
    run: str,
    team: str,
    name: str | None,
    schema: Path | None,
    row_id: str | None,
    executed_at: datetime | None,
    state: State,
    quiet: bool,
) -> None:
    """Publish FILES (CSV, JSON array, NDJSON or Parquet) as one run of a workflow.

    The rows keep their order over all files. The run appears whole or not at all, and never changes; a new workflow
    begins with it. Stores that are new are initialised first, as `tailrace init` does. Standard error has a progress
    bar if it is a terminal, and lines if it is not. Ctrl-C cancels.

    \b
    Examples: tailrace publish --workflow jobs --run 2026-11-23 --row-id id jobs.json
              tailrace publish --workflow prices --run r7 --team acme --schema fields.json part-*.csv

    Exit codes: 0 done, 1 refused or failed, 2 the command line was wrong, 130 interrupted.
    """
    bar = ProgressBar(sys.stderr, quiet=quiet, lines=True)
    with publishing(bar) as publish_here:
        published = publish_here(
            Publication(
                workflow=workflow,
                run=run,
                files=files,
                team=team,
                name=name,
                schema=schema,
                row_id=row_id,
                executed_at=executed_at,
                state=state,
            )
        )
        for line in described(published):
            click.echo(line)
