"""``tailrace export``."""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click

from engine.bootstrap import open_exporter
from engine.errors import InvalidRequest, SourceDamaged
from engine.exports.file_hash import FileHash
from engine.request.formats import COMPRESSIONS, DELIMITERS, FORMATS
from engine.request.request import ExportRequest
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from web.api.parameters import make_request, read_body, split_list
from web.cli.local.runner import Finished, export_here
from web.cli.terminal.filters import Filters, read_filters
from web.cli.terminal.interrupts import interrupt
from web.cli.terminal.output import STANDARD_OUTPUT, check_output, compression_of, format_of, open_output
from web.cli.terminal.progress_bar import ProgressBar, counted


@click.command(short_help="Export rows of a workflow to one file.")
@click.argument("workflow")
@click.option(
    "--format", "requested", type=click.Choice([*FORMATS]),
    help="Format of the file.  [default: by the name of FILE, else csv]",
)  # fmt: skip
@click.option(
    "--compression", type=click.Choice([*COMPRESSIONS]),
    help="Compression of csv, json and jsonl.  [default: by the name of FILE, else none]",
)  # fmt: skip
@click.option(
    "--filter", "typed", multiple=True, metavar="'FIELD OPERATOR [VALUE]'",
    help="Condition on the rows; may be repeated, and all must hold. VALUE is JSON if it parses as JSON, else text.",
)  # fmt: skip
@click.option("--filters", "array", metavar="JSON", help="Filters as in a URL: a JSON array.")
@click.option("--sort-by", metavar="FIELD", help="Field to sort by; a dotted path reaches into an object.")
@click.option("--desc", is_flag=True, help="Sort in descending order.")
@click.option("--row-ids", metavar="IDS", help="Export only these rows: id1,id2 or a JSON array.")
@click.option("--fields", metavar="NAMES", help="Export these columns, in this order: a,b.c or a JSON array.")
@click.option("--flatten", is_flag=True, help="Make a column of each member of an object: price.amount.")
@click.option("--include-row-ids", is_flag=True, help="Add _row_id as the first column.")
@click.option(
    "--since", metavar="ID", help="Export only the rows that changed since this earlier run; both need a row-id field."
)
@click.option("--run", metavar="ID", help="Run to export.  [default: the latest finished run]")
@click.option("--team", help="Team that requests the export.  [default: the owner of WORKFLOW]")
@click.option("--bom", is_flag=True, help="CSV: start with a byte order mark, for Excel.")
@click.option("--delimiter", type=click.Choice([*DELIMITERS]), help="CSV: delimiter of cells.  [default: comma]")
@click.option("--formula-guard", is_flag=True, help="CSV: prefix cells that a spreadsheet would evaluate with '.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, allow_dash=True), default="-", metavar="FILE",
    help="File to write; it must not exist. - (the default) is standard output.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only: no progress bar and no summary.")
def export(
    workflow: str,
    requested: str | None,
    compression: str | None,
    team: str | None,
    output: Path,
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Export rows of WORKFLOW to one file. It needs the storage settings only, and no running service.

    FILE appears complete or not at all. Progress, if standard error is a terminal, and a summary go to standard error.
    Ctrl-C cancels the export.

    \b
    Examples: tailrace export jobs -o jobs.parquet
              tailrace export jobs --filter 'salary GREATER_THAN 100000' --sort-by salary --desc -o top.csv
              tailrace export jobs --filter 'tags CONTAINS "a b"' --filter 'city IN ["Rome","Oslo"]' --format json
              tailrace export jobs --fields title,salary -o jobs.csv.gz
              tailrace export jobs --since 2026-11-22 -o changes.csv

    The operators are those of the API, in upper or lower case: EQUALS, CONTAINS, GREATER_THAN, IN, IS_NULL and so on.

    Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.
    """
    # Clean up after SIGTERM and SIGHUP as after Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    format_name = format_of(output, requested)
    if options["desc"] and not options["sort_by"]:
        raise click.UsageError("--desc needs --sort-by.")
    compression = compression_of(output, compression)
    binary = (
        format_name.capitalize() if FORMATS[format_name].compressed else None if compression == "none" else compression
    )
    check_output(output, force=force, binary=binary)
    filters = read_filters(options.pop("array"), options.pop("typed"))
    body = request_body(filters, format_name=format_name, compression=compression, **options)
    bar, started = ProgressBar(sys.stderr, quiet=quiet), time.monotonic()
    try:
        wanted = _checked(filters, workflow, body)
        with filters.naming():
            made = export_here(open_exporter(StorageSettings(), DuckDBSettings(), RunnerSettings()), wanted, team, bar)
        _save(made, output, bar, force=force)
    finally:
        bar.clear()
    if not quiet:
        name = "standard output" if output == STANDARD_OUTPUT else output
        click.echo(
            f"{made.workflow_id}/{made.run_id}: {counted(made.rows, 'row')}, {counted(made.size, 'byte')} of "
            f"{format_name} to {name} in {time.monotonic() - started:.1f} s (export {made.export_id}).",
            err=True,
        )


def request_body(filters: Filters, **options: Any) -> bytes:
    """Return the request as the body of a POST to the export endpoint."""
    members: dict[str, object] = {
        "format": options["format_name"],
        "compression": options["compression"],
        "runId": options["run"],
        "sinceRunId": options["since"],
        "sortBy": options["sort_by"],
        "order": "desc" if options["desc"] else None,
        "rowIds": _array(options["row_ids"], "rowIds", "--row-ids"),
        "includeRowIds": options["include_row_ids"] or None,
        "fields": _array(options["fields"], "fields", "--fields"),
        "flatten": options["flatten"] or None,
        "bom": options["bom"] or None,
        "delimiter": options["delimiter"],
        "formulaGuard": options["formula_guard"] or None,
    }
    written = {name: json.dumps(value, ensure_ascii=False) for name, value in members.items() if value is not None}
    # As text, so that numbers in filters keep their digits.
    written["filters"] = filters.text
    try:
        return ("{" + ",".join(f'"{name}":{value}' for name, value in written.items()) + "}").encode()
    except UnicodeEncodeError as error:
        raise click.UsageError("An argument is not UTF-8.") from error


def _array(text: str | None, name: str, option: str) -> object:
    try:
        return None if text is None else split_list(text, name)
    except InvalidRequest as error:
        raise click.BadParameter(error.message, param_hint=option) from error


def _checked(filters: Filters, workflow: str, body: bytes) -> ExportRequest:
    """Parse the request. What is invalid whatever the run is a UsageError."""
    try:
        with filters.naming():
            return make_request(workflow, read_body(body))
    except InvalidRequest as error:
        raise click.UsageError(error.message) from error


def _save(made: Finished, output: Path, bar: ProgressBar, *, force: bool) -> None:
    """Write the file and check its hash. Raises SourceDamaged if it differs."""
    recorded, size = FileHash(made.sha256, made.crc64nvme), 0
    # A progress bar between lines of data would garble both.
    show_progress = output != STANDARD_OUTPUT or not sys.stdout.isatty()
    if not show_progress:
        bar.clear()
    with open_output(output, force=force) as write:
        for chunk in made.chunks():
            write(chunk)
            recorded.update(chunk)
            size += len(chunk)
            if show_progress:
                bar.show("saving", made.rows, size, share=size / made.size)
        if not recorded.matches:
            raise SourceDamaged("The downloaded bytes differ from the export: try again.")
