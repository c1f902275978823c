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
from web.cli.terminal.progress_bar import counted

_MAX_VALUES = 20


@click.command(short_help="Show what an export would read, and why.")
@click.argument("workflow")
@click.argument("request", default="")
@click.option("--team", help="Team that requests the export.  [default: the owner of WORKFLOW]")
@click.option(
    "--range", "ordinal", type=click.IntRange(min=0), help="Range whose SQL is shown; implies --sql.  [default: 0]"
)
@click.option("--sql", "with_sql", is_flag=True, help="Also show the SQL of a range.")
def explain(workflow: str, request: str, team: str | None, ordinal: int | None, with_sql: bool) -> None:
    """Show how an export of WORKFLOW would run: the row groups that it reads, and why not the others.

    Nothing is exported.

    REQUEST is the query of the export's URL (the part after the question mark), percent-encoded or not.

    \b
    Example: tailrace explain jobs 'format=csv&filters=[{"field":"salary","operator":"GREATER_THAN","value":100000}]'

    Exit codes: 0 success, 1 the request is invalid, 2 usage error, 130 interrupted.
    """
    wanted = make_request(workflow, read_query(_encoded(request)))
    exporter = open_exporter(StorageSettings(), DuckDBSettings())
    if team is None:
        found = exporter.results.workflow(workflow)
        if found is None:
            raise NotFound(f"There is no workflow {workflow}: `tailrace runs` lists the published ones.")
        team = found.team
    plan = exporter.prune_by_bloom(exporter.plan(wanted, team), CancelToken())
    if (ordinal or 0) >= len(plan.ranges):
        ranges = counted(len(plan.ranges), "range")
        raise click.BadParameter(f"the plan has {ranges}, numbered from 0.", param_hint="--range")
    sections = [_head(plan), _files(list(row_group_decisions(plan))), _ranges(plan)]
    if with_sql or ordinal is not None:
        sections.append(_sql(plan, plan.ranges[ordinal or 0]))
    click.echo("\n\n".join("\n".join(lines) for lines in sections))


def _encoded(request: str) -> bytes:
    """Return the request as it would be in a URL; ``%`` is an escape, as in URLs."""
    return quote(request.removeprefix("?"), safe=string.printable).encode("ascii")


def _head(plan: ExportPlan) -> Iterator[str]:
    run = plan.run
    yield f"export  {plan.export_id} ({plan.request.format.name}, {counted(len(plan.fields), 'column')})"
    yield f"run     {run.workflow_id}/{run.run_id}: {counted(run.rows, 'row')} in {counted(len(run.parts), 'file')}"


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
    copied = "" if range_.copied is None else ", copied"
    return f"{names}{rows}{picked}{copied}"


def _sql(plan: ExportPlan, range_: Range) -> Iterator[str]:
    if range_.copied is not None:
        yield f"SQL of range {range_.ordinal}: none; its row groups are copied unchanged."
        return
    statement = compile_copy(plan, range_, [part.key for part in range_.parts], f"stage://{range_.ordinal}")
    yield f"SQL of range {range_.ordinal}:"
    if statement.before is not None:
        yield f"  {statement.before.sql};"
    yield f"  {statement.sql}"
    yield "with"
    for name, value in statement.parameters.items():
        yield f"  ${name} = {_formatted(value)}"


def _formatted(value: object) -> str:
    if isinstance(value, list) and len(value) > _MAX_VALUES:
        first = ", ".join(repr(item) for item in value[:_MAX_VALUES])
        return f"[{first}, ... {len(value):,} in total]"
    return repr(value)


def _files(all_decisions: Sequence[RowGroupDecision]) -> Iterator[str]:
    read = [decision for decision in all_decisions if decision.skipped is None]
    rows, size = sum(one.group.rows for one in read), sum(one.group.bytes for one in read)
    yield f"Row groups: {len(read):,} of {len(all_decisions):,} read, {counted(rows, 'row')}, {counted(size, 'byte')}"
    for key, groups in groupby(all_decisions, key=lambda decision: decision.part.key):
        yield f"  {_name(key)}"
        for one in groups:
            verdict = "read" if one.skipped is None else f"skipped by {one.skipped}"
            yield f"    {one.ordinal}: {counted(one.group.rows, 'row')}, {counted(one.group.bytes, 'byte')}, {verdict}"


def _name(key: str) -> str:
    return key.rpartition("/")[2]
