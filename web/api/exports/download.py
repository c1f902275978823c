"""``/v4/workflows/{workflowId}/data/exports/{exportId}``: the file, for whoever holds a signed URL or a key."""

import re
from datetime import datetime
from functools import lru_cache

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.catalog.catalog import ResultStore
from engine.errors import EngineError, InvalidRequest
from engine.exports.export import ExportFile
from engine.request.formats import FORMATS
from web.api.exports.redirect import redirect, store_can_answer
from web.auth.authenticator import has_credentials
from web.auth.request_auth import authenticate_blocking
from web.container import Services
from web.http.byte_ranges import ByteRange, Unsatisfiable, parse_range
from web.http.download_headers import EXPOSED_HEADERS, file_headers, own_etag, store_etag, version_headers
from web.http.preconditions import range_header, refused
from web.http.streaming import FileStream
from web.telemetry.log_context import add_log_fields

__all__ = ["EXPOSED_HEADERS", "download"]

_UNSIGNED = re.compile(rb"(?:format=([a-z]{0,16}))?")
"""The query of a caller who brings a key: everything else is taken for a signature, good or bad."""


async def download(request: Request) -> Response:
    """Answer GET and HEAD."""
    services: Services = request.app.state.services
    file, until = await anyio.to_thread.run_sync(_find, request, services)
    if services.read_urls is None:
        return await _serve(request, services, file, own_etag(file))
    if not store_can_answer(request, file):
        # With the store's tag: a client that was redirected before must find the version that it knows.
        return await _serve(request, services, file, store_etag(file))
    # What the store cannot open is answered here, not by the store's own error page.
    await anyio.to_thread.run_sync(services.exporter.check_readable, file)
    return await anyio.to_thread.run_sync(redirect, services.read_urls, file, until)


async def _serve(request: Request, services: Services, file: ExportFile, etag: str) -> Response:
    """The file or a range of it, unless the request's conditions say otherwise.

    Raises StoreError before any header if the file cannot be opened.
    """
    size = file.info.size
    status = refused(request.headers, etag=etag, modified=file.info.modified)
    if status is not None:
        return Response(status_code=status, headers=version_headers(file, etag))
    try:
        part = parse_range(range_header(request.method, request.headers, etag=etag), size)
    except Unsatisfiable:
        return Response(status_code=416, headers={**version_headers(file, etag), "content-range": f"bytes */{size}"})
    headers = file_headers(file, etag)
    wanted = part or ByteRange(0, size)
    length = wanted.end - wanted.start
    if part is not None:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{size}"
        headers["content-length"] = str(length)
    status = 200 if part is None else 206
    if request.method == "HEAD" or not length:
        await anyio.to_thread.run_sync(services.exporter.check_readable, file)
        return Response(status_code=status, headers=headers)
    chunks = services.exporter.exports.stream(file.info.key, start=wanted.start, length=length, etag=file.info.etag)
    return await FileStream.open(chunks, status, headers)


def _find(request: Request, services: Services) -> tuple[ExportFile, datetime | None]:
    """The file that the caller may have, by signature or as the team that owns the workflow.

    With it, when the right to it ends: None for a key.
    """
    query: bytes = request.scope["query_string"]
    asked = _UNSIGNED.fullmatch(query)
    if asked is None or not has_credentials(request.headers.raw):
        # A signed URL stands alone: credentials beside it change nothing, for better or worse.
        grant = services.signer.verify(request.scope["raw_path"], query)
        add_log_fields(request.scope, kid=grant.kid)
        file = services.exporter.find(grant.workflow_id, grant.export_id, grant.format)
        add_log_fields(request.scope, team=_owner(services.exporter.results, grant.workflow_id))
        return file, grant.expires
    principal = authenticate_blocking(request.scope, services.authenticator)
    format_name = _checked_format(asked.group(1))
    workflow_id, export_id = request.path_params["workflow_id"], request.path_params["export_id"]
    services.exporter.check_owner(workflow_id, principal.team)
    return services.exporter.find(workflow_id, export_id, format_name), None


@lru_cache(maxsize=4096)
def _owner(results: ResultStore, workflow_id: str) -> str:
    """The team that a signed download counts for, or, if that cannot be read, the workflow itself."""
    try:
        workflow = results.workflow(workflow_id)
    except EngineError:
        return workflow_id
    return workflow_id if workflow is None else workflow.team


def _checked_format(asked: bytes | None) -> str | None:
    name = None if asked is None else asked.decode()
    if name is not None and name not in FORMATS:
        raise InvalidRequest(f"format must be one of {', '.join(FORMATS)}.", parameter="format")
    return name
