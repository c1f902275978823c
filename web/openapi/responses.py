"""The responses of operations: statuses, headers and bodies. Errors come from the table in `web.api.errors`."""

from engine.request.formats import COMPRESSIONS, FORMATS
from web.api.errors import error_codes
from web.openapi.schemas import Json, ref

_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}

HEADERS: dict[str, Json] = {
    "x-request-id": {"description": "The id of the request, echoed or generated", "schema": _TEXT, "required": True},
    "Cache-Control": {"description": "`no-store`, except for files", "schema": _TEXT, "required": True},
    "Retry-After": {"description": "Seconds to wait before a retry", "schema": _COUNT, "required": True},
    "WWW-Authenticate": {"description": "How to authenticate", "schema": _TEXT},
    "Allow": {"description": "The methods of the path", "schema": _TEXT, "required": True},
    "Location": {"description": "Where to continue", "schema": {**_TEXT, "format": "uri"}, "required": True},
    "Preference-Applied": {"description": "The preference that was followed", "schema": _TEXT, "required": True},
    "ETag": {
        "description": "The strong entity tag of the file",
        "schema": {**_TEXT, "pattern": '^"[^"]+"$'},
        "required": True,
    },
    "Repr-Digest": {
        "description": "The SHA-256 of the whole file (RFC 9530)",
        "schema": {**_TEXT, "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
        "required": True,
    },
    "X-Total-Count": {"description": "For CSV: the number of rows on all pages", "schema": _COUNT},
    "X-Row-Count": {"description": "For CSV and JSON lines: the number of rows", "schema": _COUNT},
    "X-Limit-Reached": {
        "description": "For CSV and JSON lines: whether the statement has more rows than these",
        "schema": {**_TEXT, "enum": ["true", "false"]},
    },
    "X-Total-Pages": {"description": "For CSV: the number of pages", "schema": _COUNT},
    "Accept-Ranges": {"description": "`bytes`", "schema": {**_TEXT, "enum": ["bytes"]}, "required": True},
    "Content-Length": {"description": "Bytes of the body", "schema": _COUNT, "required": True},
    "Content-Range": {"description": "Which bytes of how many these are", "schema": _TEXT, "required": True},
    "Content-Disposition": {"description": "`attachment` with the file's name", "schema": _TEXT, "required": True},
    "Last-Modified": {"description": "When the file was created", "schema": _TEXT, "required": True},
    "Access-Control-Allow-Origin": {"description": "`*`", "schema": {**_TEXT, "enum": ["*"]}, "required": True},
    "X-Content-Type-Options": {"description": "`nosniff`", "schema": {**_TEXT, "enum": ["nosniff"]}, "required": True},
    "Referrer-Policy": {"description": "`no-referrer`", "schema": _TEXT, "required": True},
}
_COMMON_HEADERS = ("x-request-id", "Cache-Control")
_FILE_HEADERS = ("Access-Control-Allow-Origin", "X-Content-Type-Options", "Referrer-Policy")
_VERSION_HEADERS = ("ETag", "Repr-Digest", "Accept-Ranges", *_FILE_HEADERS)
_COMPRESSED_TYPES = tuple(row.content_type for row in COMPRESSIONS.values() if row.content_type is not None)
_BODY_HEADERS = (*_VERSION_HEADERS, "Content-Length", "Content-Disposition", "Last-Modified")

_ERRORS: dict[int, tuple[str, tuple[str, ...]]] = {
    400: ("Invalid request; the message names the parameter, the entry, and what would be valid", ()),
    401: ("No valid credentials, or a signed URL that is invalid or has expired", ("WWW-Authenticate",)),
    403: ("The credentials may read, but neither publish nor delete", ()),
    404: ("Not found, not finished, or of another team, without saying which", ()),
    405: ("The path does not support the method", ("Allow",)),
    408: ("The client stopped sending the body", ()),
    409: ("Another run has that id, the workflow belongs to another team, or the export has finished", ()),
    413: ("The body is too long", ()),
    414: ("The query is too long: send its parameters as the body of a POST", ()),
    415: ("Unsupported `Content-Type` or `Content-Encoding`", ()),
    429: ("The finished exports of the team exceed its quota", ("Retry-After",)),
    500: ("Internal error; the logs have it under the `requestId`", ()),
    503: ("Too many requests in progress, or a store is unavailable; retry later", ("Retry-After",)),
}


def answer(description: str, *headers: str, schema: Json | None = None, media_type: str = "application/json") -> Json:
    """Describe a response with these headers and the common ones; without a schema it has no body."""
    known = {name: ref(name, "headers") for name in (*_COMMON_HEADERS, *headers)}
    body = {} if schema is None else {"content": {media_type: {"schema": schema}}}
    return {"description": description, "headers": known, **body}


def error_responses() -> dict[str, Json]:
    """Describe the response of each status of an error. Raises KeyError for a status without a description here."""
    return {f"Error{status}": _error(status, codes) for status, codes in error_codes().items()}


def errors(*statuses: int) -> dict[str, Json]:
    """Refer to the errors of an operation."""
    return {str(status): ref(f"Error{status}", "responses") for status in statuses}


def errors_as(schema: str, *statuses: int) -> dict[str, Json]:
    """Describe errors whose bodies have that schema."""
    return {str(status): answer(*_described(status), schema=ref(schema)) for status in statuses}


def errors_without_body(*statuses: int) -> dict[str, Json]:
    """Describe the errors of a HEAD."""
    return {str(status): answer(*_of(status, error_codes()[status])) for status in statuses}


def export_answers() -> dict[str, Json]:
    """Describe the responses of an export except errors."""
    return {
        "200": answer("The export is finished", schema=ref("ExportAnswer")),
        "202": answer(
            "The export continues in the background (only if `Prefer` requests it)",
            *("Location", "Preference-Applied", "Retry-After"),
            schema=ref("TicketAnswer"),
        ),
    }


def file_responses(*, head: bool) -> dict[str, Json]:
    """Describe the responses of a download except errors."""
    file = answer("The file", *_BODY_HEADERS)
    if not head:
        file["content"] = {row.content_type: _media(row.name) for row in FORMATS.values()} | {
            content_type: {} for content_type in _COMPRESSED_TYPES
        }
    found = {
        "200": file,
        "302": answer("Redirect to the file in the store, if so configured", "Location", *_FILE_HEADERS),
        "304": answer("The caller has this version already", *_VERSION_HEADERS),
        "412": answer("The file is not the version that the caller requires", *_VERSION_HEADERS),
    }
    if not head:
        part = answer("A range of the file", *_BODY_HEADERS, "Content-Range")
        part["content"] = {content_type: {} for content_type in file["content"]}
        found["206"] = part
        found["416"] = answer("The range starts at or after the end of the file", *_VERSION_HEADERS, "Content-Range")
    return found


def _media(format_name: str) -> Json:
    # In 3.1 binary content has no schema, and a string schema would make clients decode a whole CSV file as one.
    return {"schema": {"type": "array", "items": {"type": "object"}}} if format_name == "json" else {}


def _of(status: int, codes: tuple[str, ...]) -> tuple[str, ...]:
    description, *headers = _described(status)
    return f"{description}. Code: {', '.join(f'`{code}`' for code in codes)}", *headers


def _described(status: int) -> tuple[str, ...]:
    description, headers = _ERRORS[status]
    return description, *headers


def _error(status: int, codes: tuple[str, ...]) -> Json:
    return answer(*_of(status, codes), schema=ref("ErrorAnswer"))
