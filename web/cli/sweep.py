"""``tailrace sweep``."""

from datetime import UTC, datetime

import click

from engine.bootstrap import open_exporter
from engine.exports.sweep import Sweeper
from engine.settings import DuckDBSettings, StorageSettings


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def sweep(dry_run: bool) -> None:
    """Remove expired exports, tickets that are over, and what killed processes left.

    Safe beside running exports, publishers and downloads: run it from a timer, once an hour or so. An export is removed
    an hour after its last URL expired; everything else after a day in which nobody named it.

    Exit codes: 0 done, 1 refused or failed, or a run's manifest cannot be read (the rest was swept), 2 the command line
    was wrong, 130 interrupted.
    """
    duckdb = DuckDBSettings()
    exporter = open_exporter(StorageSettings(), duckdb)
    sweeper = Sweeper(
        exporter.results, exporter.exports, duckdb.spill_directory, now=datetime.now(UTC), dry_run=dry_run
    )
    swept = sweeper.sweep()
    for kind, count in sorted(swept.removed.items()):
        click.echo(f"{'Would remove' if dry_run else 'Removed'} {count:,} {kind}.")
    click.echo(f"{swept.bytes:,} bytes in all; {swept.remaining:,} exports stay.")
    if swept.damaged:
        raise click.ClickException(
            f"The manifest of {', '.join(swept.damaged)} cannot be read: nothing there was removed. "
            "Publish the run again under another id, or bring run.json back from a copy."
        )
