"""``tailrace sweep``."""

import click

from engine.bootstrap import open_exporter
from engine.errors import ClockSkew
from engine.exports.sweep import sweep_stores
from engine.settings import DuckDBSettings, StorageSettings
from web.cli.terminal.progress_bar import counted


@click.command(short_help="Remove expired exports and what killed processes left.")
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
def sweep(dry_run: bool) -> None:
    """Remove expired exports, old status documents, and files that killed processes left behind.

    It is safe to run during exports, publishes and downloads: run it from a timer, about once an hour. An export is
    removed an hour after its last URL expired; everything else after a day without use. If this machine's clock
    differs from that of a store by more than a minute, nothing is removed.

    Exit codes: 0 success, 1 failure (nothing was removed), or a run's manifest cannot be read (the rest was swept),
    2 usage error, 130 interrupted.
    """
    duckdb = DuckDBSettings()
    exporter = open_exporter(StorageSettings(), duckdb)
    try:
        swept = sweep_stores(exporter.results, exporter.exports, duckdb.spill_directory, dry_run=dry_run)
    except ClockSkew as error:
        raise click.ClickException(f"{error.message} Nothing was removed.") from error
    for kind, count in sorted(swept.removed.items()):
        click.echo(f"{'Would remove' if dry_run else 'Removed'} {counted(count, kind.removesuffix('s'))}.")
    remain = "remains" if swept.remaining == 1 else "remain"
    click.echo(f"{counted(swept.bytes, 'byte')} in total; {counted(swept.remaining, 'export')} {remain}.")
    if swept.damaged:
        raise click.ClickException(
            f"The manifest of {', '.join(swept.damaged)} cannot be read, so nothing of it was removed. "
            "Publish the run again with another id, or restore run.json from a backup."
        )
