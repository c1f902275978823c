"""``tailrace explain``."""

import string
from collections.abc import Iterator, Sequence
from itertools import groupby
from urllib.parse import quote

import click

from engine.bootstrap import open_exporter
from engine.common.cancellation import CancelToken
from engine.errors import NotFound
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.query.inspect.explain import RowGroupDecision, row_group_decisions
from engine.settings import DuckDBSettings, StorageSettings
from engine.sql.statements import compile_copy
from web.api.parameters import make_request, read_query

_SHOWN_VALUES = 20


@click.command()
@click.argument("workflow")
@click.argument("request", default="")
@click.option("--team", help="Team that asks; the owner if not given.")
@click.option(
    "--range", "ordinal", type=click.IntRange(min=0), default=0, show_default=True, help="Range to show SQL of."
)
def explain(workflow: str, request: str, team: str | None, ordinal: int) -> None:
    """Say how an export of WORKFLOW would run: its SQL, and what of the run it reads. Nothing is exported.

    REQUEST is what stands behind the question mark of the export's URL, percent-encoded or not.

    \b
    Example: tailrace explain jobs 'format=csv&filters=[{"field":"salary","operator":"GREATER_THAN","value":100000}]'

    Exit codes: 0 done, 1 the request is refused, 2 the command line was wrong.
    """
    wanted = make_request(workflow, read_query(_encoded(request)))
    exporter = open_exporter(StorageSettings(), DuckDBSettings())
    if team is None:
        found = exporter.results.workflow(workflow)
        if found is None:
            raise NotFound(f"There is no workflow {workflow}: `tailrace runs` lists what is published.")
        team = found.team
    plan = exporter.prune_by_bloom(exporter.plan(wanted, team), CancelToken())
    if ordinal >= len(plan.ranges):
        raise click.BadParameter(f"there are {len(plan.ranges)}, from 0.", param_hint="--range")
    sections = (_head(plan), _ranges(plan), _sql(plan, plan.ranges[ordinal]), _files(list(row_group_decisions(plan))))
    click.echo("\n\n".join("\n".join(lines) for lines in sections))


def _encoded(request: str) -> bytes:
    """What was typed as it would stand on a URL; a ``%`` is taken for an escape, as there."""
    return quote(request.removeprefix("?"), safe=string.printable).encode("ascii")


def _head(plan: ExportPlan) -> Iterator[str]:
    run = plan.run
    yield f"export  {plan.export_id} ({plan.request.format.name}, {len(plan.fields)} columns)"
    yield f"run     {run.workflow_id}/{run.run_id}: {run.rows:,} rows in {len(run.parts):,} files"


def _ranges(plan: ExportPlan) -> Iterator[str]:
    yield f"Ranges: {len(plan.ranges)}"
    for range_ in plan.ranges:
        first, *others = range_.subranges or (range_,)
        yield f"  {range_.ordinal}: {_rows(first)}"
        yield from (f"     and {_rows(other)}" for other in others)


def _rows(range_: Range) -> str:
    names = ", ".join(_name(part.key) for part in range_.parts) or "no file"
    rows = "" if range_.first is None else f", rows {range_.first:,} to {range_.end or 0:,}"
    picked = "" if range_.rows is None else f", {len(range_.rows):,} of them"
    return f"{names}{rows}{picked}"


def _sql(plan: ExportPlan, range_: Range) -> Iterator[str]:
    if plan.copies_row_groups:
        yield "SQL: none. The file is the run's own row groups, copied as they are."
        return
    statement = compile_copy(plan, range_, [part.key for part in range_.parts], f"stage://{range_.ordinal}")
    yield f"SQL of range {range_.ordinal}:"
    yield f"  {statement.sql}"
    yield "with"
    for name, value in statement.parameters.items():
        yield f"  ${name} = {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, list) and len(value) > _SHOWN_VALUES:
        first = ", ".join(repr(item) for item in value[:_SHOWN_VALUES])
        return f"[{first}, ... {len(value):,} in all]"
    return repr(value)


def _files(made: Sequence[RowGroupDecision]) -> Iterator[str]:
    kept = [decision for decision in made if decision.skipped is None]
    rows, size = sum(one.group.rows for one in kept), sum(one.group.bytes for one in kept)
    yield f"Row groups: {len(kept):,} of {len(made):,} kept, {rows:,} rows, {size:,} bytes"
    for key, groups in groupby(made, key=lambda decision: decision.part.key):
        yield f"  {_name(key)}"
        for one in groups:
            verdict = "kept" if one.skipped is None else f"skipped by {one.skipped}"
            yield f"    {one.ordinal}: {one.group.rows:,} rows, {one.group.bytes:,} bytes, {verdict}"


def _name(key: str) -> str:
    return key.rpartition("/")[2]
