"""``tailrace sql``."""

import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from engine.bootstrap import open_stores
from engine.catalog.catalog import ResultStore
from engine.errors import Cancelled
from engine.query.inspect.document_index import index_path
from engine.query.inspect.session import Inspection, Values, open_inspection
from engine.query.inspect.snapshot import Snapshot
from engine.query.inspect.statements import Kind
from engine.query.inspect.views import AZURE_NOTE, path_in, write_views
from engine.settings import DuckDBSettings, StorageSettings
from engine.stores import absolute_location
from engine.stores.port import ObjectStore
from web.cli.shell.answers import write_answer
from web.cli.shell.modes import ALIASES, MODES, Mode, mode_of
from web.cli.shell.output import Answers
from web.cli.shell.parameters import read_own_data, read_parameters
from web.cli.shell.session import screen
from web.cli.shell.shell import Shell
from web.cli.terminal.exit_codes import READER_GONE, Interrupted
from web.cli.terminal.output import STANDARD_OUTPUT, check_output, open_output

_ADVICE = "--format line shows every column, -o FILE takes every row."


@click.command(short_help="Run SQL on the published results, or open a prompt.")
@click.argument("query", required=False)
@click.option("-c", "--command", "commands", multiple=True, metavar="SQL", help="Statements to run; may be repeated.")
@click.option(
    "-f", "--script", "scripts", multiple=True, type=click.File(encoding="utf-8"), metavar="FILE",
    help="Run the statements of a file, before those of -c; may be repeated. - is standard input.",
)  # fmt: skip
@click.option(
    "--format", "format_name", type=click.Choice([*MODES, *ALIASES]),
    help="Format of the result; box, line and markdown are for people, the others exact, as in an export.  "
    "[default: by the name of FILE, else box]",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="File for the result, replaced if it exists.  [default: standard output]",
)  # fmt: skip
@click.option(
    "--param", "parameters", multiple=True, metavar="NAME=VALUE",
    help="Value of $NAME in the statements; may be repeated.",
)  # fmt: skip
@click.option(
    "--file", "files", multiple=True, metavar="NAME=PATH",
    help="Read a CSV, JSON or Parquet file as the view NAME; may be repeated.",
)  # fmt: skip
@click.option(
    "--attach", "databases", multiple=True, metavar="[NAME=]PATH",
    help="Attach a DuckDB database, read-only, by default under the name of its file; may be repeated.",
)  # fmt: skip
@click.option(
    "--views",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a database of views that any DuckDB can open.",
)
def sql(
    query: str | None, commands: tuple[str, ...], scripts: tuple[TextIO, ...], format_name: str | None,
    output: Path | None, parameters: tuple[str, ...], files: tuple[str, ...], databases: tuple[str, ...],
    views: Path | None,
) -> None:  # fmt: skip
    """Run QUERY on the published results, or open a prompt. `FROM help` lists the tables.

    For operators: it uses the credentials of the stores and sees the runs of all teams. It writes nothing to the
    stores, and opens no files but those of --file and --attach, which it only reads. What it has read of the stores
    stays as it is until it ends, or until .refresh at the prompt.

    \b
    Examples: tailrace sql "FROM runs"
              tailrace sql "SELECT * FROM result('jobs') WHERE salary > 100000" -o jobs.parquet
              tailrace sql "FROM result('jobs') WHERE city = \\$city" --param city=Rome
              tailrace sql --file mine=prices.csv "FROM mine JOIN result('jobs') USING (id)"
              tailrace sql --views results.duckdb

    Statements run in turn, and the first that fails is the last. In a pipe or a file a result is complete; on a
    terminal, long and wide ones are cut to fit it, which the last line says.

    Exit codes: 0 success, 1 a statement failed, 2 usage error, 130 interrupted, 141 the reader of the output is gone.
    """
    if query is not None and (commands or scripts):
        raise click.UsageError("QUERY cannot be combined with -c or -f.")
    asked = query is not None or bool(commands) or bool(scripts)
    if not asked and (output is not None or format_name is not None):
        raise click.UsageError("--format and --output need a QUERY, -c or -f.")
    if views is not None and asked:
        raise click.UsageError("--views cannot be combined with statements.")
    if views is not None and (files or databases):
        raise click.UsageError("--views has the published results only: attach other databases where you open it.")
    mode, values, own = mode_of(output, format_name), read_parameters(parameters), read_own_data(files, databases)
    if asked:
        check_output(output or STANDARD_OUTPUT, force=True, binary=mode.name.capitalize() if mode.binary else None)
    storage, duckdb = StorageSettings(), DuckDBSettings()
    results, exports = open_stores(storage)
    if views is not None:
        note = _write_views(views, results, exports, storage)
        click.echo(f"Wrote {views}: open it with any DuckDB and run FROM help. {note}".rstrip())
        return
    texts = [*map(_read, scripts), *commands, *([] if query is None else [query])]
    index = partial(_index, storage)
    with open_inspection(results, exports, duckdb, own, index=index, warn=_warn) as inspection:
        if asked:
            _run(inspection, texts, values, mode, output or STANDARD_OUTPUT)
        else:
            Shell(inspection, values).run()


def _run(inspection: Inspection, texts: list[str], values: Values, mode: Mode, output: Path) -> None:
    statements = [statement for text in texts for statement in inspection.statements(text)]
    answered = sum(statement.kind is not Kind.CHANGE for statement in statements)
    if answered != 1 and (output != STANDARD_OUTPUT or mode.binary):
        raise click.UsageError(f"A file has the result of one statement; these are {answered}.")
    try:
        with open_output(output, force=True) as write:
            answers = Answers(write)
            for statement in statements:
                answers.end_line()
                write_answer(inspection, statement, values, mode, answers.write, screen(_ADVICE, output))
            if output == STANDARD_OUTPUT and sys.stdout.isatty():
                answers.end_line()
    except Cancelled:
        raise Interrupted from None
    except BrokenPipeError:
        # The reader has what it wanted, as of `| head`.
        sys.exit(READER_GONE)


def _read(script: TextIO) -> str:
    try:
        return script.read()
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{script.name} is not UTF-8.") from error


def _write_views(target: Path, results: ResultStore, exports: ObjectStore, storage: StorageSettings) -> str:
    """Write the views; return a note for their reader, or an empty text."""
    note = AZURE_NOTE if "://" in storage.results else ""
    index = partial(_index, storage)
    with closing(Snapshot(results, exports, index=index, warn=_warn)) as snapshot:
        write_views(target, snapshot, path_in(results.store, storage.results), note=note or None)
    return note


def _index(storage: StorageSettings, role: str) -> Path | None:
    """The file for what views show of a store."""
    return index_path(absolute_location(storage.exports if role == "exports" else storage.results))


def _warn(reason: str) -> None:
    click.echo(f"Warning: skipped {reason}", err=True)
