"""``tailrace sql``."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from engine.bootstrap import open_exporter
from engine.common.chunk import Chunk
from engine.execute.session import fence
from engine.exports.exporter import Exporter
from engine.query.inspect.session import open_inspection
from engine.query.inspect.snapshot import take_snapshot
from engine.query.inspect.views import AZURE_NOTE, path_in, write_views
from engine.request.formats import FORMATS
from engine.settings import DuckDBSettings, StorageSettings
from web.cli.terminal.repl import MAX_ROWS, Prompt, draw, interruptible


@click.command()
@click.argument("query", required=False)
@click.option(
    "--format", "format_name", type=click.Choice(["table", *FORMATS]), default="table", show_default=True,
    help="Format of the result; all but table are exact, and written as in an export.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="File for the result.  [default: standard output]",
)  # fmt: skip
@click.option(
    "--views",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a database of views that any DuckDB can open.",
)
@click.option(
    "--cli",
    is_flag=True,
    help="Use the duckdb program as the prompt, if installed; for directories only.",
)
def sql(query: str | None, format_name: str, output: Path | None, views: Path | None, cli: bool) -> None:
    """Run QUERY on the published results, or open a prompt. `FROM help` lists the tables.

    For operators: it uses the credentials of the stores and sees the runs of all teams. It reads finished runs and
    their manifests as of its start, writes nothing to the stores, and opens no other files.

    \b
    Examples: tailrace sql "FROM runs"
              tailrace sql "SELECT * FROM result('jobs') WHERE salary > 100000" --format parquet -o jobs.parquet
              tailrace sql --views results.duckdb

    Exit codes: 0 success, 1 a query failed, 2 usage error.
    """
    if query is None and (output is not None or format_name != "table"):
        raise click.UsageError("--format and --output need a QUERY.")
    if views is not None and (query is not None or cli):
        raise click.UsageError("--views cannot be combined with QUERY or --cli.")
    storage, duckdb = StorageSettings(), DuckDBSettings()
    exporter = open_exporter(storage, duckdb)
    if views is not None:
        note = _write_views(views, exporter, storage)
        click.echo(f"Wrote {views}: open it with any DuckDB and run FROM help. {note}".rstrip())
    elif query is not None:
        _run_query(query, format_name, output, exporter, duckdb)
    elif not (cli and _duckdb_program(exporter, storage, duckdb)):
        with open_inspection(exporter.results, exporter.exports, duckdb) as inspection:
            _warn(inspection.skipped)
            Prompt(inspection).run()


def _write_views(target: Path, exporter: Exporter, storage: StorageSettings) -> str:
    """Write the views; return a note for their reader, or an empty text."""
    store = exporter.results.store
    note = AZURE_NOTE if "://" in storage.results else ""
    snapshot = take_snapshot(exporter.results, exporter.exports)
    _warn(snapshot.skipped)
    write_views(target, snapshot, path_in(store, storage.results), note=note or None)
    return note


def _run_query(query: str, format_name: str, output: Path | None, exporter: Exporter, duckdb: DuckDBSettings) -> None:
    if format_name == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet cannot be printed to a terminal: use -o FILE, or redirect the output.")
    # Listing exports takes a request for each of them, so they are listed only for queries that may use them.
    exports = exporter.exports if "exports" in query.lower() else None

    def forward(data: Chunk) -> None:
        file.write(data)

    with open_inspection(exporter.results, exports, duckdb) as inspection, _open_output(output) as file:
        _warn(inspection.skipped)
        if format_name == "table":
            file.write(draw(inspection, query, rows=MAX_ROWS).encode() + b"\n")
        else:
            interruptible(inspection, lambda: inspection.write(query, FORMATS[format_name], forward))
            if format_name == "json":
                file.write(b"\n")


def _warn(skipped: Iterable[str]) -> None:
    for reason in skipped:
        click.echo(f"Warning: skipped {reason}", err=True)


@contextmanager
def _open_output(output: Path | None) -> Iterator[BinaryIO]:
    """Yield standard output, or a file that appears complete or not at all."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    fresh = output.with_name(f".{output.name}.new")
    try:
        with fresh.open("wb") as file:
            yield file
        fresh.replace(output)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}.") from error
    finally:
        fresh.unlink(missing_ok=True)


def _duckdb_program(exporter: Exporter, storage: StorageSettings, duckdb: DuckDBSettings) -> bool:
    """Run the duckdb program on a file of views; False if it is not installed or the store is not a directory."""
    program = shutil.which("duckdb")
    if program is None or "://" in storage.results:
        return False
    with tempfile.TemporaryDirectory(prefix="tailrace-sql-") as folder:
        views, start = Path(folder) / "results.duckdb", Path(folder) / "start.sql"
        _write_views(views, exporter, storage)
        path_of = path_in(exporter.results.store, storage.results)
        parts = [path_of(key) for key in take_snapshot(exporter.results, None).parts]
        limits = (f"SET threads={duckdb.threads}", f"SET memory_limit='{duckdb.memory_limit}'", "SET TimeZone='UTC'")
        # The program sets options when it starts, so its configuration cannot be locked; the fence works without that.
        statements = (*limits, *fence(parts, locked=False), "FROM help")
        start.write_text("".join(f"{statement};\n" for statement in statements), "utf-8")
        subprocess.run([program, "-readonly", "-init", str(start), str(views)], check=False)  # noqa: S603
    return True
