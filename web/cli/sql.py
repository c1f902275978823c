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
from web.cli.terminal.repl import MOST_ROWS, Prompt, draw, interruptible


@click.command()
@click.argument("query", required=False)
@click.option(
    "--format", "format_name", type=click.Choice(["table", *FORMATS]), default="table", show_default=True,
    help="How the answer is written; all but the table are exact, and spelled as in an export.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="File for the answer; standard output if not given.",
)  # fmt: skip
@click.option(
    "--views", type=click.Path(dir_okay=False, path_type=Path), help="Write a database of views that any DuckDB opens."
)
@click.option("--cli", is_flag=True, help="Prompt with the duckdb program, if there is one; for directories.")
def sql(query: str | None, format_name: str, output: Path | None, views: Path | None, cli: bool) -> None:
    """Ask QUERY of what is published, or open a prompt. FROM help lists what there is to ask.

    This is the operator's tool: it has the storage's own credentials and sees the runs of every team. It reads
    finished runs and their manifests, writes nothing to the stores, and opens no other file. It sees what was
    published when it was started.

    \b
    Examples: tailrace sql "FROM runs"
              tailrace sql "SELECT * FROM result('jobs') WHERE salary > 100000" --format parquet -o jobs.parquet
              tailrace sql --views results.duckdb

    Exit codes: 0 done, 1 a query failed, 2 the command line was wrong.
    """
    if query is None and (output is not None or format_name != "table"):
        raise click.UsageError("--format and --output need a QUERY.")
    if views is not None and (query is not None or cli):
        raise click.UsageError("--views goes without a QUERY and without --cli.")
    storage, duckdb = StorageSettings(), DuckDBSettings()
    exporter = open_exporter(storage, duckdb)
    if views is not None:
        note = _write_views(views, exporter, storage)
        click.echo(f"Wrote {views}: open it with any DuckDB, and FROM help. {note}".rstrip())
    elif query is not None:
        _ask(query, format_name, output, exporter, duckdb)
    elif not (cli and _duckdb_program(exporter, storage, duckdb)):
        with open_inspection(exporter.results, exporter.exports, duckdb) as inspection:
            _warn(inspection.skipped)
            Prompt(inspection).run()


def _write_views(target: Path, exporter: Exporter, storage: StorageSettings) -> str:
    """Write the views; returns what their reader has to know."""
    store = exporter.results.store
    note = AZURE_NOTE if "://" in storage.results else ""
    snapshot = take_snapshot(exporter.results, exporter.exports)
    _warn(snapshot.skipped)
    write_views(target, snapshot, path_in(store, storage.results), note=note or None)
    return note


def _ask(query: str, format_name: str, output: Path | None, exporter: Exporter, duckdb: DuckDBSettings) -> None:
    if format_name == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: give -o FILE, or redirect the output.")
    # Each export is a request of its own to ask for: they are asked for only where a query may name them.
    exports = exporter.exports if "exports" in query.lower() else None

    def forward(data: Chunk) -> None:
        file.write(data)

    with open_inspection(exporter.results, exports, duckdb) as inspection, _opened(output) as file:
        _warn(inspection.skipped)
        if format_name == "table":
            file.write(draw(inspection, query, rows=MOST_ROWS).encode() + b"\n")
        else:
            interruptible(inspection, lambda: inspection.write(query, FORMATS[format_name], forward))
            if format_name == "json":
                file.write(b"\n")


def _warn(skipped: Iterable[str]) -> None:
    for reason in skipped:
        click.echo(f"Warning: skipped {reason}", err=True)


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears whole or not at all."""
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
    """Run the duckdb program on a views file until it is left; False if it is no way to these results."""
    program = shutil.which("duckdb")
    if program is None or "://" in storage.results:
        return False
    with tempfile.TemporaryDirectory(prefix="tailrace-sql-") as folder:
        views, start = Path(folder) / "results.duckdb", Path(folder) / "start.sql"
        _write_views(views, exporter, storage)
        path_of = path_in(exporter.results.store, storage.results)
        parts = [path_of(key) for key in take_snapshot(exporter.results, None).parts]
        limits = (f"SET threads={duckdb.threads}", f"SET memory_limit='{duckdb.memory_limit}'", "SET TimeZone='UTC'")
        # The program itself sets options when it starts, so its configuration is not locked; the fence holds without.
        statements = (*limits, *fence(parts, locked=False), "FROM help")
        start.write_text("".join(f"{statement};\n" for statement in statements), "utf-8")
        subprocess.run([program, "-readonly", "-init", str(start), str(views)], check=False)  # noqa: S603
    return True
