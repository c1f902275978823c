"""``/v4/workflows/{workflowId}/data``: a page of rows of any length, all rows, or a link to them."""

from collections.abc import AsyncIterable, Mapping
from functools import partial
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import InvalidRequest
from engine.plan.planner import ExportPlan
from web.api.parameters import (
    DOWNLOADS,
    MAX_LIMIT,
    MAX_NUMBER,
    PAGE_PARAMETERS,
    Paging,
    make_request,
    read_choice,
    read_flag,
    read_paging,
)
from web.api.reads.exported_rows import Exported, exported, file_stream
from web.api.reads.models import LinkAnswer
from web.api.reads.row_bodies import RowsBody
from web.api.reads.row_reader import RowReader
from web.api.reads.row_slice import cut_rows
from web.api.request_reader import read_parameters, wait_for_disconnect
from web.api.row_models import Pagination, RowsAnswer, around_rows, read_fields
from web.container import Services
from web.telemetry.log_context import add_log_fields

_FORMATS = ("json", "csv")
_NO_STORE = {"cache-control": "no-store"}
_MAX_TOP_ROWS = 5_000
"""Up to the end of a sorted page: DuckDB finds as many without a sort of all rows."""


async def rows(request: Request) -> Response:
    """Answer GET, and POST with the parameters in the body."""
    services: Services = request.app.state.services
    principal, values = await read_parameters(request, PAGE_PARAMETERS)
    if values.setdefault("format", "json") not in _FORMATS:
        raise InvalidRequest(f"format must be one of {', '.join(_FORMATS)}, in lower case.", parameter="format")
    paging = _read_paging(values)
    gzip = read_flag(values, "gzip")
    # Accepted as documented: rows here have no anomalies that could be included.
    read_flag(values, "includeAnomalies")
    export_request = make_request(request.path_params["workflow_id"], values)
    if read_choice(values, "download", DOWNLOADS) == "link":
        if export_request.format.name != "csv" or paging.page != 1:
            raise InvalidRequest(
                "download=link makes one CSV file of all rows: use it with format=csv, and without page.",
                parameter="download",
            )
        return _link(await exported(request, services, export_request, principal.team))
    plan = await services.plan(export_request, principal.team)
    if _comes_from_export(plan, paging):
        found = await exported(request, services, export_request, principal.team)
        return await _from_export(found, services, paging, gzip=gzip)
    reader = RowReader(services, principal.team, plan)
    gone = partial(wait_for_disconnect, request)
    if 0 < paging.limit <= MAX_LIMIT:
        page = await reader.read(paging.offset, paging.limit, gone)
        add_log_fields(request.scope, run=plan.run.run_id, format=export_request.format.name, bytes=len(page.rows))
        return await _body(plan, paging, page.total, gzip=gzip).of_bytes(page.rows)
    total = (await reader.read(0, 0, gone)).total
    add_log_fields(request.scope, run=plan.run.run_id, format=export_request.format.name)
    parts = await reader.start(paging.offset, paging.limit or total, total)
    return _body(plan, paging, total, gzip=gzip).of_chunks(parts)


def _comes_from_export(plan: ExportPlan, paging: Paging) -> bool:
    """Whether the page is sent from the export of all rows, because it has them all or each part would cost as much."""
    most = sum(run.rows for run in plan.runs)
    if most <= MAX_LIMIT or 0 < paging.limit <= MAX_LIMIT:
        return False
    if not paging.limit or (paging.page == 1 and paging.limit >= most):
        return True
    return plan.since is not None or (plan.sort is not None and paging.offset + paging.limit > _MAX_TOP_ROWS)


async def _from_export(found: Exported, services: Services, paging: Paging, *, gzip: bool) -> Response:
    total = found.export.rows
    body = _body(found.plan, paging, total, gzip=gzip)
    file = await file_stream(services, found.file)
    start, end = min(total, paging.offset), min(total, paging.offset + paging.limit)
    if not paging.limit or end - start == total:
        return body.stream(file, found.file.info.size)
    rows = cast("AsyncIterable[bytes]", file.body_iterator)
    file.body_iterator = cut_rows(rows, found.plan.request.format.name, start, end)
    return body.stream(file)


def _read_paging(values: Mapping[str, object]) -> Paging:
    paging = read_paging(values, MAX_NUMBER)
    if not paging.limit and paging.page != 1:
        raise InvalidRequest("limit=0 returns all rows as page 1: leave page out, or set a limit.", parameter="page")
    return paging


def _body(plan: ExportPlan, paging: Paging, total: int, *, gzip: bool) -> RowsBody:
    """What is around the rows."""
    # All rows, without a limit, are one page.
    pages = paging.pages(total) if paging.limit else 1
    pagination = Pagination(total_count=total, page=paging.page, total_pages=pages, limit=paging.limit)
    headers = {**_NO_STORE, "content-type": plan.request.format.content_type}
    if plan.request.format.name == "json":
        head, tail = around_rows(_answer(plan, pagination), "data")
        return RowsBody(head, tail, headers, gzip)
    # A CSV file has no place for the number of rows but the headers.
    headers |= {"x-total-count": str(total), "x-total-pages": str(pages)}
    return RowsBody(b"", b"", headers, gzip)


def _answer(plan: ExportPlan, pagination: Pagination) -> RowsAnswer:
    return RowsAnswer(
        workflow_id=plan.run.workflow_id,
        run_id=plan.run.run_id,
        executed_at=plan.run.executed_at,
        schema_=read_fields(plan.fields),
        pagination=pagination,
        data=[],
    )


def _link(found: Exported) -> Response:
    export = found.export
    answer = LinkAnswer(
        workflow_id=export.workflow_id,
        run_id=export.run_id,
        executed_at=export.executed_at,
        format="csv",
        total_rows=export.rows,
        export_id=export.export_id,
        download_path=f"/v4/workflows/{export.workflow_id}/data/exports/{export.export_id}",
        expires_at=found.until,
    )
    return Response(answer.encode(), media_type="application/json", headers=_NO_STORE)
