"""``tailrace publish``."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from engine.catalog.manifest import State
from engine.catalog.schema import Field
from engine.common.temp_folders import spill_folder
from engine.errors import InvalidInput
from engine.publishing.file_kinds import FORMATS
from engine.publishing.input_files import matching, spill_limit_bytes, spool
from engine.publishing.options import ReadOptions
from engine.publishing.publisher import Publication, Trial
from engine.publishing.schema_file import schema_document
from engine.settings import DuckDBSettings
from web.cli.local.publisher import described, publishing
from web.cli.terminal.progress_bar import ProgressBar, counted


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


class Renaming(click.ParamType[tuple[str, str]]):
    """The old and the new name of a column."""

    name = "OLD=NEW"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Both names; the last ``=`` parts them, so that an old name may have one."""
        old, sign, new = str(value).rpartition("=")
        if not sign:
            self.fail(f"{value!r} is not OLD=NEW", param, ctx)
        return old, new


_STDIN = Path("-")

_READING = (
    click.option("--delimiter", metavar="CHAR", help="Between CSV cells: a comma, or a tab in .tsv files."),
    click.option("--encoding", metavar="NAME", help="Of text files, such as cp1252, latin-1 or utf-16; else UTF-8."),
    click.option("--skip-lines", metavar="N", type=click.IntRange(0), default=0, help="Lines before the CSV header."),
    click.option("--escape", metavar="CHAR", default='"', help="Before a quote in a quoted CSV cell; else a quote."),
    click.option("--pad-short-rows", is_flag=True, help="Fill CSV rows with too few cells with nulls."),
    click.option("--rename", type=Renaming(), multiple=True, help="New name of a column; may be repeated."),
    click.option("--rename-duplicates", is_flag=True, help="Call the second CSV column of a name NAME_2, and so on."),
    click.option("--json-path", metavar="PATH", help="List of rows in a JSON document, such as data.items."),
    click.option("--format", type=click.Choice(FORMATS), help="Of the files; else by their names or content."),
    click.option("--null", metavar="TEXT", help="Unquoted CSV cells of this text are null, as empty ones are."),
    click.option(
        "--types", type=click.Choice(["auto", "text"]), default="auto", show_default=True,
        help="Whether CSV columns get a type if no cell changes by it, or stay text.",
    ),
)  # fmt: skip
"""How files are read: options that become a `ReadOptions`."""


def _reading(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of `_READING`, in their order."""
    for option in reversed(_READING):
        command = option(command)
    return command


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--workflow", required=True, help="Id of the workflow; made if it is new.")
@click.option("--run", required=True, help="Id of the run; runs never change, so it must be new.")
@click.option("--team", default="default", show_default=True, help="Team that owns the workflow.")
@click.option("--name", help="Name of a new workflow; its id if not given.")
@click.option("--schema", type=click.Path(path_type=Path), help="JSON file that declares the fields.")
@click.option("--row-id", metavar="FIELD", help="Field whose unique values become row ids; made if not given.")
@click.option("--executed-at", type=Moment(), help="When the run was executed.")
@_reading
@click.option("--glob", is_flag=True, help="Take FILES for patterns: *, ?, [abc] and ** for any folders.")
@click.option("--dry-run", is_flag=True, help="Read and check everything, show the fields, publish nothing.")
@click.option("--write-schema", metavar="FILE", type=click.Path(path_type=Path), help="Write the fields for --schema.")
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
    glob: bool,
    dry_run: bool,
    write_schema: Path | None,
    **reading: Any,
) -> None:
    """Publish FILES (CSV, JSON, NDJSON, GeoJSON or Parquet) as one run of a workflow.

    The rows keep their order over all files. The run appears whole or not at all, and never changes; a new workflow
    begins with it. Stores that are new are initialised first, as `tailrace init` does. FILES may be compressed (gzip,
    zstd); a folder stands for its files by name, and - for standard input. Standard error has a progress bar if it is
    a terminal, and lines if it is not. Ctrl-C cancels.

    \b
    Examples: tailrace publish --workflow jobs --run 2026-11-23 --row-id id jobs.json
              tailrace publish --workflow prices --run r7 --team acme --schema fields.json part-*.csv

    A CSV column becomes a number, a boolean, a date or a time only if every cell comes back byte for byte in a CSV
    export; else it stays text. --schema declares the fields instead, --write-schema writes a file to begin with:

    \b
        {"fields": [{"name": "sku", "dataType": "STRING"},
                    {"name": "price", "dataType": "NUMBER", "type": "DECIMAL(18,2)"},
                    {"name": "listed", "dataType": "DATE"}]}

    Types are STRING LINK IMAGE NUMBER BOOLEAN DATE DATETIME MONEY OBJECT ARRAY. An OBJECT may have "fields", an ARRAY
    "items". A NUMBER is a DOUBLE unless "type" is BIGINT or DECIMAL(precision,scale).

    Exit codes: 0 done, 1 refused or failed, 2 the command line was wrong, 130 interrupted.
    """
    bar = ProgressBar(sys.stderr, quiet=quiet, lines=True)
    settings = DuckDBSettings()
    with publishing(bar) as publisher, _input_files(files, settings, glob=glob) as inputs:
        publication = Publication(
            workflow=workflow,
            run=run,
            files=inputs,
            team=team,
            name=name,
            schema=schema,
            row_id=row_id,
            executed_at=executed_at,
            state=state,
            options=_options(**reading),
        )
        if dry_run:
            trial = publisher.try_out(publication)
            _write_schema(write_schema, trial.fields)
            _show_trial(trial)
            return
        published = publisher.publish(publication)
        _write_schema(write_schema, published.table.delivered)
        for line in described(published):
            click.echo(line)


def _show_trial(trial: Trial) -> None:
    for field in trial.fields:
        click.echo(f"{field.name}\t{field.data_type}\t{field.type.sql()}")
    for note in trial.notes:
        click.echo(f"Note: {note}")
    click.echo(f"{counted(trial.rows, 'row')}, {counted(len(trial.fields), 'column')}. Nothing was published.")


@contextmanager
def _input_files(files: tuple[Path, ...], settings: DuckDBSettings, *, glob: bool) -> Iterator[tuple[Path, ...]]:
    """The files that are meant; standard input is copied into the spill directory while they are in use."""
    if glob:
        yield tuple(matching([str(pattern) for pattern in files]))
    elif _STDIN not in files:
        yield files
    elif files.count(_STDIN) > 1:
        raise InvalidInput("Standard input can be read once: name - once.")
    else:
        with spill_folder(settings.spill_directory) as folder:
            copy = folder / "stdin"
            spool(sys.stdin.buffer, copy, "standard input", spill_limit_bytes(settings.spill_limit))
            yield tuple(copy if path == _STDIN else path for path in files)


def _options(*, rename: tuple[tuple[str, str], ...], **reading: Any) -> ReadOptions:
    return ReadOptions(rename=dict(rename), **reading)


def _write_schema(path: Path | None, fields: Iterable[Field]) -> None:
    if path is None:
        return
    try:
        path.write_text(schema_document(fields), "utf-8")
    except OSError as error:
        raise InvalidInput(f"The schema file {path} cannot be written: {error.strerror}.") from error
