"""``/v5/changes`` and ``/v4/changes``: what changed between consecutive runs of the team's workflows."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from engine.catalog.catalog import ResultStore
from engine.catalog.manifest import RunChanges
from engine.catalog.run_pairs import RunPair, newest_pairs
from engine.errors import InvalidRequest, NotFound, quoted_excerpt
from engine.query.preview import MAX_DIFFERENCES, RowDifference, read_differences
from engine.request.formats import FORMATS
from engine.request.literals import read_instant
from engine.request.request import ExportRequest
from web.api.models import Count, Moment
from web.api.parameters import read_paging, split_list
from web.api.reads.models import Absent, Body, absent
from web.api.request_reader import read_parameters, wait_for_disconnect
from web.api.row_models import Pagination
from web.container import Services

CHANGE_PARAMETERS = ("exclude",)
CHANGES_PARAMETERS = ("workflowIds", "startDate", "endDate", "skip", "limit", "exclude")
_NO_STORE = {"cache-control": "no-store"}
_NOT_FOUND = (
    "There is no such change: the run does not exist, belongs to another team, has no earlier run to compare it with, "
    "or is not among the last 100."
)


class DifferencesCounts(BaseModel):
    """The numbers of rows that differ, by row id."""

    added: Count
    changed: Count
    removed: Count


class ChangedColumn(BaseModel):
    """A column, and in how many of the changed rows it differs."""

    name: str
    rows: Count


class FieldDifference(Body):
    """A field that differs, as its text in a CSV file. A value that is null is left out."""

    key: str = Field(description="The name of the column")
    value: Absent[str] = absent("In this run; of a removed row, in the run before")
    previous_value: Absent[str] = absent("In the run before, of a changed row")


class Difference(Body):
    """A row that differs."""

    type: Literal["added", "changed", "removed"]
    row_id: str
    fields: list[FieldDifference] = Field(description="Those that differ; of added and removed rows, all but nulls")

    @classmethod
    def of(cls, row: RowDifference) -> "Difference":
        """Describe a row."""
        return cls.model_validate(
            {
                "type": row.change,
                "rowId": row.row_id,
                "fields": [
                    {"key": cell.column, "value": cell.previous}
                    if row.change == "removed"
                    else {"key": cell.column, "value": cell.value, "previousValue": cell.previous}
                    for cell in row.cells
                ],
            }
        )


class ChangeAnswer(Body):
    """What changed between a run and the one before it."""

    id: str = Field(description="`{workflowId}:{runId}`")
    workflow_id: str
    run_id: str
    since_run_id: str = Field(description="The run before")
    created_at: Moment = Field(description="When the run was executed, or published if that is unknown")
    differences_counts: Absent[DifferencesCounts] = absent(
        "Left out if the run before was another one when this run was published"
    )
    changed_columns: Absent[list[ChangedColumn]] = absent(
        "The columns that differ in the changed rows, most rows first. Left out if the counts are, and if the run was "
        "published by an older version"
    )
    summary: Absent[str] = absent("The counts as a sentence")
    differences: Absent[list[Difference]] = absent(
        f"The first rows that differ, in the order of the export: at most {MAX_DIFFERENCES}, and about a million "
        "characters. `differencesCounts` has the number of all, and `url` exports them. Left out of lists"
    )
    url: str = Field(
        description="Exports the rows that differ; needs the team's credentials", json_schema_extra={"format": "uri"}
    )

    @classmethod
    def of(cls, pair: RunPair, base_url: str) -> "ChangeAnswer":
        """Describe a pair of runs."""
        run, changes = pair.run, pair.changes
        query = urlencode({"runId": run.run_id, "sinceRunId": pair.since.run_id})
        return cls(
            id=f"{run.workflow_id}:{run.run_id}",
            workflow_id=run.workflow_id,
            run_id=run.run_id,
            since_run_id=pair.since.run_id,
            created_at=run.at,
            differences_counts=None
            if changes is None
            else DifferencesCounts(added=changes.added, changed=changes.changed, removed=changes.removed),
            changed_columns=None if changes is None else _changed_columns(changes),
            summary=None if changes is None else _summary(changes),
            url=f"{base_url}/v4/workflows/{run.workflow_id}/data/export?{query}",
        )


def _changed_columns(changes: RunChanges) -> list[ChangedColumn] | None:
    if changes.columns is None:
        return None
    columns = [ChangedColumn(name=name, rows=rows) for name, rows in changes.columns.items()]
    return sorted(columns, key=lambda column: -column.rows)


def _summary(changes: RunChanges) -> str:
    added = "1 row was" if changes.added == 1 else f"{changes.added:,} rows were"
    return f"{added} added, {changes.changed:,} changed and {changes.removed:,} removed."


class ChangesAnswer(Body):
    """A page of changes, the newest first."""

    timestamp: Moment = Field(description="The time of the answer")
    changes_count: Count = Field(description="The number of changes on all pages")
    changes: list[ChangeAnswer]
    pagination: Pagination


_EXCLUDABLE = ("data", "differences", "differencesCounts", "summary")
"""Members of a change in the public API that may be missing."""


async def changes(request: Request) -> Response:
    """Answer GET of the list."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, CHANGES_PARAMETERS)
    paging = read_paging(values)
    start, end = _moment(values, "startDate"), _moment(values, "endDate")
    ids, excluded = _names(values, "workflowIds"), _excluded(values)
    pairs = await services.lists.run(
        principal.team,
        partial(wait_for_disconnect, request),
        lambda _: _pairs(services.exporter.results, principal.team, ids),
    )
    found = [pair for pair in pairs if (start is None or pair.run.at >= start) and (end is None or pair.run.at <= end)]
    shown = found[paging.offset : paging.offset + paging.limit]
    body = ChangesAnswer(
        timestamp=datetime.now(UTC).replace(microsecond=0),
        changes_count=len(found),
        changes=[ChangeAnswer.of(pair, services.signer.base) for pair in shown],
        pagination=Pagination.of(paging, len(found)),
    ).model_dump_json(by_alias=True, exclude={"changes": {"__all__": excluded}})
    return Response(body, media_type="application/json", headers=_NO_STORE)


async def change(request: Request) -> Response:
    """Answer GET of one change."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, CHANGE_PARAMETERS)
    excluded, gone = _excluded(values), partial(wait_for_disconnect, request)
    pair = await services.lists.run(
        principal.team,
        gone,
        lambda _: _pair(services.exporter.results, principal.team, request.path_params["change_id"]),
    )
    answer = ChangeAnswer.of(pair, services.signer.base)
    if "differences" not in excluded:
        answer.differences = await _differences(services, principal.team, pair, gone)
    body = answer.model_dump_json(by_alias=True, exclude=excluded)
    return Response(body, media_type="application/json", headers=_NO_STORE)


async def _differences(
    services: Services, team: str, pair: RunPair, gone: Callable[[], Awaitable[None]]
) -> list[Difference]:
    run, since = pair.run, pair.since
    plan = await services.plan(
        ExportRequest(workflow=run.workflow_id, run=run.run_id, since_run=since.run_id, format=FORMATS["csv"]), team
    )
    rows = await services.queries.run(
        team,
        gone,
        lambda cancel: read_differences(
            plan,
            services.exporter.results,
            settings=services.queries.duckdb,
            cancel=cancel,
            instances=services.instances,
        ),
    )
    return [Difference.of(row) for row in rows]


def _pairs(results: ResultStore, team: str, ids: Sequence[str] | None) -> list[RunPair]:
    if ids is None:
        workflows, _ = results.workflows_of(team, 0, sys.maxsize)
        return newest_pairs(results, workflows)
    return newest_pairs(results, [results.owned_workflow(workflow_id, team) for workflow_id in dict.fromkeys(ids)])


def _pair(results: ResultStore, team: str, change_id: str) -> RunPair:
    workflow_id, _, run_id = change_id.partition(":")
    try:
        pairs = newest_pairs(results, [results.owned_workflow(workflow_id, team)])
    except NotFound as error:
        raise NotFound(_NOT_FOUND) from error
    for pair in pairs:
        if pair.run.run_id == run_id:
            return pair
    raise NotFound(_NOT_FOUND)


def _moment(values: Mapping[str, object], name: str) -> datetime | None:
    if name not in values:
        return None
    instant = read_instant(values[name])
    if instant is None:
        raise InvalidRequest(f"{name} must be an ISO 8601 date, such as 2026-01-31T10:00:00Z.", parameter=name)
    return instant.moment


def _names(values: Mapping[str, object], name: str) -> list[str] | None:
    if name not in values:
        return None
    names = split_list(str(values[name]), name)
    if not isinstance(names, list) or not names or not all(isinstance(one, str) and one for one in names):
        raise InvalidRequest(f"{name} must be a comma-separated list, such as a,b.", parameter=name)
    return names


def _excluded(values: Mapping[str, object]) -> set[str]:
    names = _names(values, "exclude") or []
    for name in names:
        if name not in _EXCLUDABLE:
            raise InvalidRequest(
                f"exclude: {quoted_excerpt(name)} cannot be left out; use {', '.join(_EXCLUDABLE)}.",
                parameter="exclude",
            )
    return {name for name, field in ChangeAnswer.model_fields.items() if field.alias in names}
