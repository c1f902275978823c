"""``tailrace publish``."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from engine.catalog.manifest import State
from engine.catalog.schema import Field
from engine.common.temp_folders import spill_folder
from engine.errors import AlreadyPublished, InvalidInput
from engine.publishing.file_kinds import FORMATS
from engine.publishing.input_files import matching, spill_limit_bytes, spool
from engine.publishing.options import ReadOptions
from engine.publishing.publisher import Publication, Trial
from engine.publishing.schema_file import schema_document
from engine.settings import DuckDBSettings
from web.cli.local.publisher import described, publishing
from web.cli.local.runner import prepare_exports
from web.cli.terminal.progress_bar import ProgressBar, counted
from web.settings import PublishSettings


class IsoTime(click.ParamType[datetime]):
    """An ISO 8601 date or time; UTC unless it has an offset."""

    name = "ISO"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time in UTC, or fail with a usage error."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not an ISO 8601 time such as 2026-11-23T10:00:00Z", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Rename(click.ParamType[tuple[str, str]]):
    """The old and the new name of a column."""

    name = "OLD=NEW"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the last ``=``, so that the old name may contain one."""
        old, sign, new = str(value).rpartition("=")
        if not sign:
            self.fail(f"{value!r} is not OLD=NEW", param, ctx)
        return old, new


_STDIN = Path("-")

_READING = (
    click.option("--delimiter", metavar="CHAR", help="CSV: delimiter of cells.  [default: comma, or tab for .tsv]"),
    click.option("--encoding", metavar="NAME", help="Text encoding, such as cp1252 or utf-16.  [default: UTF-8]"),
    click.option("--skip-lines", metavar="N", type=click.IntRange(0), default=0, help="CSV: lines before the header."),
    click.option("--escape", metavar="CHAR", default='"', help="CSV: escape character of a quote.  [default: a quote]"),
    click.option("--pad-short-rows", is_flag=True, help="CSV: add nulls to rows that have too few cells."),
    click.option("--rename", type=Rename(), multiple=True, help="Rename a column; may be repeated."),
    click.option("--rename-duplicates", is_flag=True, help="CSV, Parquet: rename a second NAME to NAME_2, etc."),
    click.option("--json-path", metavar="PATH", help="JSON: path of the list of rows, such as data.items."),
    click.option("--format", type=click.Choice(FORMATS), help="Format of the files.  [default: by name or content]"),
    click.option("--null", metavar="TEXT", help="CSV: read unquoted cells with this text as null, like empty ones."),
    click.option(
        "--types", type=click.Choice(["auto", "text"]), default="auto", show_default=True,
        help="CSV: auto gives columns a type if that changes no cell; text keeps all columns as text.",
    ),
)  # fmt: skip
"""Options that become a `ReadOptions`."""


def _reading(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `_READING` to a command, in order."""
    for option in reversed(_READING):
        command = option(command)
    return command


@click.command(short_help="Publish files as one run of a workflow.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--workflow", required=True, help="Id of the workflow; created if it is new.")
@click.option("--run", required=True, help="Id of the run; must be new, since runs never change.")
@click.option("--team", help="Team that owns the workflow.  [default: its owner, else the only team there is]")
@click.option("--name", help="Name of a new workflow.  [default: its id]")
@click.option("--schema", type=click.Path(path_type=Path), help="JSON file that declares the fields.")
@click.option("--row-id", metavar="FIELD", help="Field whose unique values become row ids.  [default: generated]")
@click.option("--executed-at", type=IsoTime(), help="When the run was executed.")
@_reading
@click.option("--glob", is_flag=True, help="Read FILES as patterns with *, ?, [abc], and ** for any number of folders.")
@click.option("--dry-run", is_flag=True, help="Read and check everything and show the fields, but publish nothing.")
@click.option(
    "--write-schema", metavar="FILE", type=click.Path(path_type=Path), help="Write the fields as a --schema file."
)
@click.option(
    "--state", type=click.Choice([*State]), default=State.FINISHED, show_default=True,
    help="Only finished runs can be exported.",
)  # fmt: skip
@click.option(
    "--prepare", metavar="FORMATS",
    help="Then, or if the run is there already, export it as csv,json,...  [default: TAILRACE_PREPARE_FORMATS]",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print the result and errors only: no progress.")
def publish(
    files: tuple[Path, ...],
    workflow: str,
    run: str,
    team: str | None,
    name: str | None,
    schema: Path | None,
    row_id: str | None,
    executed_at: datetime | None,
    state: State,
    quiet: bool,
    glob: bool,
    dry_run: bool,
    write_schema: Path | None,
    prepare: str | None,
    **reading: Any,
) -> None:
    """Publish FILES (CSV, JSON, NDJSON, GeoJSON or Parquet) as one run of a workflow.

    Rows keep their order, file after file. The run appears complete or not at all, and never changes. The workflow is
    created if it is new; new stores are initialised, as by `tailrace init`. FILES may be compressed (gzip, zstd). A
    folder means its files in order of name, and - means standard input. Progress goes to standard error: a bar on a
    terminal, else lines. Ctrl-C cancels.

    \b
    Examples: tailrace publish --workflow jobs --run 2026-11-23 --row-id id jobs.json
              tailrace publish --workflow prices --run r7 --team acme --schema fields.json part-*.csv

    A CSV column becomes a number, boolean, date or time only if a CSV export reproduces each of its cells byte for
    byte; otherwise it stays text. --schema declares the fields instead; --write-schema writes a file to start from:

    \b
        {"fields": [{"name": "sku", "dataType": "STRING"},
                    {"name": "price", "dataType": "NUMBER", "type": "DECIMAL(18,2)"},
                    {"name": "listed", "dataType": "DATE"}]}

    Types are STRING LINK IMAGE NUMBER BOOLEAN DATE DATETIME MONEY OBJECT ARRAY. An OBJECT may have "fields", an ARRAY
    "items". A NUMBER is a DOUBLE unless "type" is BIGINT or DECIMAL(precision,scale).

    Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.
    """
    bar = ProgressBar(sys.stderr, quiet=quiet, lines=True)
    settings, prepared = DuckDBSettings(), _prepared(prepare)
    with publishing(bar) as publisher, _input_files(files, settings, glob=glob) as inputs:
        publication = Publication(
            workflow=workflow,
            run=run,
            files=inputs,
            team=team or publisher.default_team(workflow),
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
        refused = None
        try:
            published = publisher.publish(publication)
        except AlreadyPublished as error:
            existing = publisher.existing(publication)
            if existing is None:
                raise
            # It may have been this command, killed before it had made all exports.
            published, refused = existing, error
        else:
            _write_schema(write_schema, published.table.delivered)
            for line in described(published):
                click.echo(line)
    if published.state is State.FINISHED:
        prepare_exports(published, prepared, bar)
    if refused is not None:
        raise refused


def _prepared(formats: str | None) -> tuple[str, ...]:
    """The formats to export at once. Raises UsageError."""
    if formats is None:
        return PublishSettings().prepared
    try:
        return PublishSettings(prepare_formats=formats).prepared
    except ValidationError as error:
        raise click.UsageError(f"--prepare {formats}: {error.errors()[0]['ctx']['error']}.") from None


def _show_trial(trial: Trial) -> None:
    for field in trial.fields:
        click.echo(f"{field.name}\t{field.data_type}\t{field.type.sql()}")
    for note in trial.notes:
        click.echo(f"Note: {note}")
    click.echo(f"{counted(trial.rows, 'row')}, {counted(len(trial.fields), 'column')}. Nothing was published.")


@contextmanager
def _input_files(files: tuple[Path, ...], settings: DuckDBSettings, *, glob: bool) -> Iterator[tuple[Path, ...]]:
    """Yield the input files; standard input is copied to a temporary file in the spill directory."""
    if glob:
        yield tuple(matching([str(pattern) for pattern in files]))
    elif _STDIN not in files:
        yield files
    elif files.count(_STDIN) > 1:
        raise InvalidInput("Standard input can be read only once: use - once.")
    elif sys.stdin is None:
        # Typed as always there, and None in a process that was started without it.
        raise InvalidInput("Standard input is closed.")
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
