"""``tailrace export``."""

import hashlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click

from engine.bootstrap import open_exporter
from engine.common.strict_json import loads
from engine.errors import InvalidRequest, SourceDamaged
from engine.request.formats import DELIMITERS, FORMATS
from engine.request.request import ExportRequest
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from web.api.parameters import make_request, read_body
from web.cli.local.runner import Finished, export_here
from web.cli.terminal.filters import Filters, read_filters
from web.cli.terminal.output import STANDARD_OUTPUT, check_output, open_output
from web.cli.terminal.progress_bar import ProgressBar


@click.command()
@click.argument("workflow")
@click.option("--format", "format_name", type=click.Choice([*FORMATS]), default="csv", show_default=True)
@click.option(
    "--filter", "typed", multiple=True, metavar="'FIELD OPERATOR [VALUE]'",
    help="Rows to keep; given again, all must hold. VALUE is JSON if it reads as JSON, else the text as it stands.",
)  # fmt: skip
@click.option("--filters", "array", metavar="JSON", help="Filters as on the URL: a JSON array.")
@click.option("--sort-by", metavar="FIELD", help="Field to sort by; a dotted path reaches into an object.")
@click.option("--desc", is_flag=True, help="Sort downwards.")
@click.option("--row-ids", metavar="IDS", help="Rows to keep: id1,id2 or a JSON array.")
@click.option("--include-row-ids", is_flag=True, help="Add _row_id as the first column.")
@click.option("--run", metavar="ID", help="Run to export; the latest finished one if not given.")
@click.option("--team", help="Team that asks; the owner if not given.")
@click.option("--bom", is_flag=True, help="CSV: begin with a byte order mark, for Excel.")
@click.option("--delimiter", type=click.Choice([*DELIMITERS]), help="CSV: what stands between cells.  [default: comma]")
@click.option("--formula-guard", is_flag=True, help="CSV: put a ' before cells that a spreadsheet would run.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, allow_dash=True), default="-", metavar="FILE",
    help="File to write, which must not be there; - (the default) is standard output.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar and no summary: only errors.")
def export(workflow: str, team: str | None, output: Path, force: bool, quiet: bool, **asked: Any) -> None:
    """Export rows of WORKFLOW into one file, by the storage settings alone: no service need run.

    FILE appears whole or not at all. Standard error has a progress bar if it is a terminal, and one line in the end.
    Ctrl-C cancels the export.

    \b
    Examples: tailrace export jobs -o jobs.csv
              tailrace export jobs --filter 'salary GREATER_THAN 100000' --sort-by salary --desc -o top.csv
              tailrace export jobs --filter 'tags CONTAINS "a b"' --filter 'city IN ["Rome","Oslo"]' --format json
              tailrace export jobs --quiet | gzip > jobs.csv.gz

    Operators are those of the service, in any case: EQUALS, CONTAINS, GREATER_THAN, IN, IS_NULL, BEFORE and so on.

    Exit codes: 0 done, 1 refused or failed, 2 the command line was wrong, 130 interrupted.
    """
    # Whoever stops us otherwise than by Ctrl-C finds nothing half-written either.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    format_name = asked["format_name"]
    if asked["desc"] and not asked["sort_by"]:
        raise click.UsageError("--desc needs --sort-by.")
    check_output(output, force=force, binary=format_name == "parquet")
    filters = read_filters(asked.pop("array"), asked.pop("typed"))
    body = request_body(filters, **asked)
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
            f"{made.workflow_id}/{made.run_id}: {made.rows:,} rows, {made.size:,} bytes of {format_name} to {name} "
            f"in {time.monotonic() - started:.1f} s (export {made.export_id}).",
            err=True,
        )


def request_body(filters: Filters, **asked: Any) -> bytes:
    """The request as the body of a POST, which is how a service would be asked for the same."""
    members: dict[str, object] = {
        "format": asked["format_name"],
        "runId": asked["run"],
        "sortBy": asked["sort_by"],
        "order": "desc" if asked["desc"] else None,
        "rowIds": _row_ids(asked["row_ids"]),
        "includeRowIds": asked["include_row_ids"] or None,
        "bom": asked["bom"] or None,
        "delimiter": asked["delimiter"],
        "formulaGuard": asked["formula_guard"] or None,
    }
    written = {name: json.dumps(value, ensure_ascii=False) for name, value in members.items() if value is not None}
    # As text, so that a number of a filter keeps its digits.
    written["filters"] = filters.text
    try:
        return ("{" + ",".join(f'"{name}":{value}' for name, value in written.items()) + "}").encode()
    except UnicodeEncodeError as error:
        raise click.UsageError("An argument is not UTF-8.") from error


def _row_ids(text: str | None) -> object:
    if text is None or not text.lstrip().startswith("["):
        return text if text is None else text.split(",")
    try:
        return loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it is {error}.", param_hint="--row-ids") from error


def _checked(filters: Filters, workflow: str, body: bytes) -> ExportRequest:
    """The request; what is wrong with it whatever the run is, is the command line's fault."""
    try:
        with filters.naming():
            return make_request(workflow, read_body(body))
    except InvalidRequest as error:
        raise click.UsageError(error.message) from error


def _save(made: Finished, output: Path, bar: ProgressBar, *, force: bool) -> None:
    """Write the bytes and hold them against their hash. Raises SourceDamaged if they are others."""
    digest, size = hashlib.sha256(), 0
    # A bar between lines of data would spoil both.
    drawn = output != STANDARD_OUTPUT or not sys.stdout.isatty()
    if not drawn:
        bar.clear()
    with open_output(output, force=force) as write:
        for chunk in made.chunks():
            write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if drawn:
                bar.show("saving", made.rows, size, share=size / made.size)
        if digest.hexdigest() != made.sha256:
            raise SourceDamaged("The bytes that came are not those that were exported: try again.")
