"""``/v4/workflows/{workflowId}/data/exports/{exportId}/{fileName}``: downloads by signed URL, or by key or token.

The file name may be missing.
"""

import re
from datetime import datetime
from functools import lru_cache, partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from engine.catalog.catalog import ResultStore
from engine.errors import EngineError, InvalidRequest, NotFound
from engine.exports.export import ExportFile
from engine.request.formats import FORMATS
from web.api.exports.redirect import redirect, store_can_answer
from web.auth.authenticator import has_credentials
from web.auth.request_auth import authenticate_blocking
from web.container import Services
from web.http.byte_ranges import ByteRange, Unsatisfiable, parse_range
from web.http.download_headers import file_headers, own_etag, store_etag, version_headers
from web.http.preconditions import failed_precondition, range_header
from web.http.streaming import FileStream
from web.telemetry.log_context import add_log_fields

_UNSIGNED = re.compile(rb"(?:format=([a-z]{0,16}))?")
"""The query of a request with a key or token. Any other query is verified as a signature."""


async def download(request: Request) -> Response:
    """Answer GET and HEAD."""
    services: Services = request.app.state.services
    file, expires = await anyio.to_thread.run_sync(_find, request, services)
    file_name = request.path_params.get("file_name")
    if file_name is not None and not file_name.endswith(f".{file.extension}"):
        raise NotFound(f"There is no such file: the name of this export's file ends with .{file.extension}.")
    return await send_file(request, services, file, expires)


async def send_file(request: Request, services: Services, file: ExportFile, expires: datetime | None) -> Response:
    """Send a file or redirect to it; ``expires`` is that of the caller's signature. Raises StoreError."""
    if services.read_urls is None:
        return await _serve(request, services, file, own_etag(file))
    if not store_can_answer(request, file):
        # With the store's ETag, which a client that was redirected before knows this version by.
        return await _serve(request, services, file, store_etag(file))
    # If the store cannot read the file, answer with an error here instead of the store's own error page.
    await anyio.to_thread.run_sync(services.exporter.check_readable, file)
    return await anyio.to_thread.run_sync(redirect, services.read_urls, file, expires, services.store_clock)


async def _serve(request: Request, services: Services, file: ExportFile, etag: str) -> Response:
    """Send the file or a range of it, subject to the preconditions of the request.

    Raises StoreError before any header is sent if the file cannot be opened.
    """
    size = file.info.size
    status = failed_precondition(request.headers, etag=etag, modified=file.info.modified)
    if status is not None:
        return Response(status_code=status, headers=version_headers(file, etag))
    try:
        part = parse_range(range_header(request.method, request.headers, etag=etag), size)
    except Unsatisfiable:
        return Response(status_code=416, headers={**version_headers(file, etag), "content-range": f"bytes */{size}"})
    headers = file_headers(file, etag)
    sent = part or ByteRange(0, size)
    length = sent.end - sent.start
    if part is not None:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{size}"
        headers["content-length"] = str(length)
    status = 200 if part is None else 206
    if request.method == "HEAD" or not length:
        await anyio.to_thread.run_sync(services.exporter.check_readable, file)
        return Response(status_code=status, headers=headers)
    exports, info = services.exporter.exports, file.info
    stream = partial(exports.stream, info.key, start=sent.start, length=length, etag=info.etag)
    return await FileStream.open(stream, status, headers)


def _find(request: Request, services: Services) -> tuple[ExportFile, datetime | None]:
    """Return the file that the caller may read, by signature or as the team that owns the workflow.

    With it, the expiry of the signature; None for a key or token.
    """
    query: bytes = request.scope["query_string"]
    unsigned = _UNSIGNED.fullmatch(query)
    if unsigned is None or not has_credentials(request.headers.raw):
        # A signed URL is sufficient: credentials in addition to it are ignored, valid or not.
        grant = services.signer.verify(request.scope["raw_path"], query)
        add_log_fields(request.scope, kid=grant.kid)
        file = services.exporter.find(grant.workflow_id, grant.export_id, grant.format)
        add_log_fields(request.scope, team=_owner(services.exporter.results, grant.workflow_id, file.info.etag))
        return file, grant.expires
    principal = authenticate_blocking(request.scope, services.authenticator)
    format_name = _checked_format(unsigned.group(1))
    workflow_id, export_id = request.path_params["workflow_id"], request.path_params["export_id"]
    services.exporter.check_owner(workflow_id, principal.team)
    return services.exporter.find(workflow_id, export_id, format_name), None


def _owner(results: ResultStore, workflow_id: str, etag: str) -> str:
    """Return the team that a signed download counts for; if it cannot be read, the workflow id."""
    try:
        return _read_owner(results, workflow_id, etag)
    except EngineError:
        return workflow_id


@lru_cache(maxsize=4096)
def _read_owner(results: ResultStore, workflow_id: str, etag: str) -> str:
    """Return the owner of a workflow. Cached for one version of a file, since a workflow that was deleted may be
    published again by another team. Raises NotFound or StoreError.
    """
    del etag
    workflow = results.workflow(workflow_id)
    if workflow is None:
        raise NotFound("The workflow was deleted.")
    return workflow.team


def _checked_format(value: bytes | None) -> str | None:
    name = None if value is None else value.decode()
    if name is not None and name not in FORMATS:
        raise InvalidRequest(f"format must be one of {', '.join(FORMATS)}.", parameter="format")
    return name
