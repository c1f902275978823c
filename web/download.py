"""``/v4/workflows/{workflowId}/data/exports/{exportId}``: the file, for whoever holds a signed URL or a key."""

import re
from email.utils import format_datetime

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine.errors import InvalidRequest
from engine.exports import ExportFile
from engine.formats import FORMATS
from web.auth import has_credentials
from web.byte_ranges import ByteRange, Unsatisfiable, parse_range
from web.services import Services

EXPOSED_HEADERS = ("Content-Disposition", "Content-Length", "Content-Range", "Accept-Ranges", "ETag", "x-request-id")
_UNSIGNED = re.compile(rb"(?:format=([a-z]{0,16}))?")
"""The query of a caller who brings a key: everything else is taken for a signature, good or bad."""


async def download(request: Request) -> Response:
    """Answer GET and HEAD."""
    services: Services = request.app.state.services
    file = await anyio.to_thread.run_sync(_find, request, services)
    headers = _headers(file)
    if _matches(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers={name: headers[name] for name in ("etag", "cache-control")})
    wanted = ByteRange(0, file.info.size)
    status = 200
    try:
        found = parse_range(_range_header(request, headers), file.info.size)
    except Unsatisfiable:
        del headers["content-length"]
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{file.info.size}"})
    if found is not None:
        wanted, status = found, 206
        headers["content-range"] = f"bytes {wanted.start}-{wanted.end - 1}/{file.info.size}"
    headers["content-length"] = str(wanted.end - wanted.start)
    if request.method == "HEAD" or wanted.start == wanted.end:
        return Response(status_code=status, headers=headers)
    chunks = services.exporter.exports.stream(
        file.info.key, start=wanted.start, length=wanted.end - wanted.start, etag=file.info.etag
    )
    return StreamingResponse(chunks, status, headers)


def _find(request: Request, services: Services) -> ExportFile:
    """The file that the caller may have: by signature, or as the team that owns the workflow."""
    query: bytes = request.scope["query_string"]
    headers = request.headers.raw
    asked = _UNSIGNED.fullmatch(query)
    if asked is None or not has_credentials(headers):
        # A signed URL stands alone: credentials beside it change nothing, for better or worse.
        grant = services.signer.verify(request.scope["raw_path"], query)
        return services.exporter.find(grant.workflow_id, grant.export_id, grant.format)
    principal = services.authenticator.authenticate(headers)
    format_name = _checked_format(asked.group(1))
    workflow_id, export_id = request.path_params["workflow_id"], request.path_params["export_id"]
    services.exporter.check_owner(workflow_id, principal.team)
    return services.exporter.find(workflow_id, export_id, format_name)


def _checked_format(asked: bytes | None) -> str | None:
    name = None if asked is None else asked.decode()
    if name is not None and name not in FORMATS:
        raise InvalidRequest(f"format is one of {', '.join(FORMATS)}.", parameter="format")
    return name


def _headers(file: ExportFile) -> dict[str, str]:
    # Ids need no quoting (their grammar sees to that), so both forms of the name are the same text.
    name = f"{file.info.key.partition('/')[0]}-{file.run_id}.{file.format.extension}"
    return {
        "content-type": file.format.content_type,
        "content-length": str(file.info.size),
        "content-disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}",
        "etag": f'"{file.sha256}"',
        "last-modified": format_datetime(file.info.modified, usegmt=True),
        "accept-ranges": "bytes",
        "access-control-allow-origin": "*",
        "access-control-expose-headers": ", ".join(EXPOSED_HEADERS),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "private, no-cache",
    }


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    return header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(","))


def _range_header(request: Request, headers: dict[str, str]) -> str | None:
    """The Range header, unless its If-Range names another version."""
    condition = request.headers.get("if-range")
    if condition is not None and condition.strip() not in (headers["etag"], headers["last-modified"]):
        return None
    return request.headers.get("range")
