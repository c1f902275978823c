"""``/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}``: the version, metadata and file of a table."""

from collections.abc import Mapping
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.errors import InvalidRequest, NotFound
from engine.request.formats import FORMATS
from engine.request.request import ExportRequest
from web.api.exports.export import signed_url
from web.api.request_reader import read_json_object, wait_for_disconnect
from web.auth.principal import Principal
from web.container import Services
from web.delta_sharing.actions import MEDIA_TYPE, File, encode_lines, file_line, head_lines
from web.delta_sharing.capabilities import ResponseFormat, read_response_format
from web.delta_sharing.errors import Unsupported
from web.delta_sharing.listings import NOT_FOUND, authenticate_recipient
from web.delta_sharing.names import TableId, table_of
from web.delta_sharing.parameters import MAX_INT32, MAX_INT64, read_integer, read_moment, read_query, read_text
from web.delta_sharing.snapshot import Snapshot, Tables, Travel
from web.telemetry.log_context import add_log_fields

VERSION_HEADER = "delta-table-version"
_CHANGE_PARAMETERS = ("startingVersion", "endingVersion")


async def version(request: Request) -> Response:
    """Answer GET of ``/version``, and HEAD of the table, which older clients send instead."""
    principal, table = await _recipient(request)
    moment = read_moment(read_query(request), "startingTimestamp")
    tables = _tables(request, principal)
    if moment is None:
        number = (await anyio.to_thread.run_sync(tables.snapshot, table, Travel())).version
    else:
        number = await anyio.to_thread.run_sync(tables.first_version_from, table, moment)
    return Response(headers={VERSION_HEADER: str(number), "cache-control": "no-store"})


async def metadata(request: Request) -> Response:
    """Answer GET of the metadata."""
    principal, table = await _recipient(request)
    travel = _travel(read_query(request))
    response_format = read_response_format(request)
    snapshot = await _snapshot(request, principal, table, travel)
    return await _answer(request, snapshot, travel, response_format)


async def query(request: Request) -> Response:
    """Answer POST of a query by the file of a whole run; hints are ignored, as a server may."""
    principal, table = await _recipient(request)
    values = await read_json_object(request, principal)
    travel = _travel(values)
    _check_body(values)
    response_format = read_response_format(request)
    snapshot = await _snapshot(request, principal, table, travel)
    # Clients make an empty table of the schema.
    file = await _file(request, principal, snapshot) if snapshot.run.rows else None
    return await _answer(request, snapshot, travel, response_format, file)


async def changes(request: Request) -> Response:
    """Answer GET of the change data feed, which no table has."""
    principal, table = await _recipient(request)
    await _snapshot(request, principal, table, Travel())
    raise Unsupported(
        "cdf is not enabled on this table: query two versions and compare them.", parameter="startingVersion"
    )


async def _recipient(request: Request) -> tuple[Principal, TableId]:
    principal = await authenticate_recipient(request)
    table = table_of(request.path_params["table"])
    if table is None:
        raise NotFound(NOT_FOUND)
    add_log_fields(request.scope, workflow_id=table.workflow_id)
    return principal, table


def _tables(request: Request, principal: Principal) -> Tables:
    services: Services = request.app.state.services
    return Tables(services.exporter.results, principal.team)


async def _snapshot(request: Request, principal: Principal, table: TableId, travel: Travel) -> Snapshot:
    snapshot = await anyio.to_thread.run_sync(_tables(request, principal).snapshot, table, travel)
    add_log_fields(request.scope, run=snapshot.run.run_id)
    return snapshot


def _travel(values: Mapping[str, object]) -> Travel:
    return Travel(read_integer(values, "version", MAX_INT64), read_moment(values, "timestamp"))


def _check_body(values: Mapping[str, object]) -> None:
    """Raise InvalidRequest for a hint of another type, and Unsupported for a query of changes."""
    if any(values.get(name) is not None for name in _CHANGE_PARAMETERS):
        raise Unsupported(
            f"{' and '.join(_CHANGE_PARAMETERS)} are not supported: cdf is not enabled on this table.",
            parameter=_CHANGE_PARAMETERS[0],
        )
    read_integer(values, "limitHint", MAX_INT32)
    read_text(values, "jsonPredicateHints")
    hints = values.get("predicateHints")
    if hints is not None and not (isinstance(hints, list) and all(isinstance(hint, str) for hint in hints)):
        raise InvalidRequest("predicateHints must be an array of strings.", parameter="predicateHints")


async def _file(request: Request, principal: Principal, snapshot: Snapshot) -> File:
    """Export the run, or find the export; waits as an export does. Raises the errors of an export."""
    services: Services = request.app.state.services
    run = snapshot.run
    export_request = ExportRequest(
        workflow=run.workflow_id, run=run.run_id, format=FORMATS["parquet"], delta_types=True
    )
    while True:
        plan = await services.plan(export_request, principal.team)
        if plan.run.version != run.version:
            raise NotFound("The run was replaced during the request; send it again.")
        add_log_fields(request.scope, export_id=plan.export_id, format=plan.request.format.name)
        gone = partial(wait_for_disconnect, request)
        finished = await services.jobs.export(plan, principal.team, gone)
        sign = partial(signed_url, services, finished, services.signing.url_ttl, for_delta=True)
        signed = await anyio.to_thread.run_sync(sign)
        # None: a sweep or a caller has just removed the file, so export it again.
        if signed is not None:
            add_log_fields(request.scope, rows=finished.rows, bytes=finished.size)
            return File(finished, *signed)


async def _answer(
    request: Request, snapshot: Snapshot, travel: Travel, response_format: ResponseFormat, file: File | None = None
) -> Response:
    name, past = request.path_params["table"].lower(), travel.is_past

    def encode() -> bytes:
        lines = head_lines(snapshot, name, response_format.name, past=past)
        if file is not None:
            lines.append(file_line(snapshot, file, response_format.name, past=past))
        return encode_lines(lines)

    headers = {
        **response_format.headers,
        "content-type": MEDIA_TYPE,
        VERSION_HEADER: str(snapshot.version),
        "cache-control": "no-store",
    }
    # In a thread, since a large run has many statistics.
    return Response(await anyio.to_thread.run_sync(encode), headers=headers)
