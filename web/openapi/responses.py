"""The answers of each operation: statuses, headers and bodies, errors from the code's own table."""

from engine.request.formats import FORMATS
from web.api.errors import error_codes
from web.openapi.schemas import Json, ref

_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}

HEADERS: dict[str, Json] = {
    "x-request-id": {"description": "The id of the request, echoed or made", "schema": _TEXT, "required": True},
    "Cache-Control": {"description": "`no-store`, but for files", "schema": _TEXT, "required": True},
    "Retry-After": {"description": "Seconds to wait before asking again", "schema": _COUNT, "required": True},
    "WWW-Authenticate": {"description": "How to authenticate", "schema": _TEXT},
    "Allow": {"description": "The methods of the path", "schema": _TEXT, "required": True},
    "Location": {"description": "Where to go on", "schema": {**_TEXT, "format": "uri"}, "required": True},
    "Preference-Applied": {"description": "The preference that was followed", "schema": _TEXT, "required": True},
    "ETag": {
        "description": "The strong entity tag of the file",
        "schema": {**_TEXT, "pattern": '^"[^"]+"$'},
        "required": True,
    },
    "X-Total-Count": {"description": "Of a CSV: rows on all pages", "schema": _COUNT},
    "X-Total-Pages": {"description": "Of a CSV: how many pages there are", "schema": _COUNT},
    "Accept-Ranges": {"description": "`bytes`", "schema": {**_TEXT, "enum": ["bytes"]}, "required": True},
    "Content-Length": {"description": "Bytes of the body", "schema": _COUNT, "required": True},
    "Content-Range": {"description": "Which bytes these are, and of how many", "schema": _TEXT, "required": True},
    "Content-Disposition": {"description": "`attachment` with the file's name", "schema": _TEXT, "required": True},
    "Last-Modified": {"description": "When the file was made", "schema": _TEXT, "required": True},
    "Access-Control-Allow-Origin": {"description": "`*`", "schema": {**_TEXT, "enum": ["*"]}, "required": True},
    "X-Content-Type-Options": {"description": "`nosniff`", "schema": {**_TEXT, "enum": ["nosniff"]}, "required": True},
    "Referrer-Policy": {"description": "`no-referrer`", "schema": _TEXT, "required": True},
}
_EVERYWHERE = ("x-request-id", "Cache-Control")
_OF_EVERY_FILE = ("Access-Control-Allow-Origin", "X-Content-Type-Options", "Referrer-Policy")
_OF_A_VERSION = ("ETag", "Accept-Ranges", *_OF_EVERY_FILE)
_OF_BYTES = (*_OF_A_VERSION, "Content-Length", "Content-Disposition", "Last-Modified")

_ERRORS: dict[int, tuple[str, tuple[str, ...]]] = {
    400: ("The request cannot be honoured; the message names the parameter, the entry, and what would be right", ()),
    401: ("No valid credentials, or a signed URL that is not ours or has expired", ("WWW-Authenticate",)),
    403: ("The credentials may read, and neither publish nor delete", ()),
    404: ("Not there, not finished, or of another team; which of these is not told", ()),
    405: ("Any other method of this path", ("Allow",)),
    408: ("The body stopped coming", ()),
    409: ("Another run of that id is there, or the workflow is another team's", ()),
    413: ("The body is too long", ()),
    414: ("The query is too long: send its parameters as the body of a POST", ()),
    415: ("The `Content-Type` or `Content-Encoding` is not one that can be published", ()),
    429: ("The team's finished exports take all of its quota", ("Retry-After",)),
    500: ("Our fault; the `requestId` finds it in our logs", ()),
    503: ("The service is full, or its store is away: come back", ("Retry-After",)),
}


def answer(description: str, *headers: str, schema: Json | None = None, media_type: str = "application/json") -> Json:
    """An answer with these headers besides those of all; without a schema it has no body."""
    known = {name: ref(name, "headers") for name in (*_EVERYWHERE, *headers)}
    body = {} if schema is None else {"content": {media_type: {"schema": schema}}}
    return {"description": description, "headers": known, **body}


def error_responses() -> dict[str, Json]:
    """The answer of each status that an error can have; a status without a sentence here is a KeyError."""
    return {f"Error{status}": _error(status, codes) for status, codes in error_codes().items()}


def errors(*statuses: int) -> dict[str, Json]:
    """References to the errors of an operation."""
    return {str(status): ref(f"Error{status}", "responses") for status in statuses}


def errors_without_body(*statuses: int) -> dict[str, Json]:
    """The same for HEAD."""
    return {str(status): answer(*_of(status, error_codes()[status])) for status in statuses}


def file_responses(*, head: bool) -> dict[str, Json]:
    """The answers of a download that are no errors of ours."""
    whole = answer("The file", *_OF_BYTES)
    if not head:
        whole["content"] = {row.content_type: _media(row.name) for row in FORMATS.values()}
    found = {
        "200": whole,
        "302": answer("To the file in the store, if the service is set up so", "Location", *_OF_EVERY_FILE),
        "304": answer("The caller has this version", *_OF_A_VERSION),
        "412": answer("The file is another version than the caller wants", *_OF_A_VERSION),
    }
    if not head:
        part = answer("A range of the file", *_OF_BYTES, "Content-Range")
        part["content"] = {row.content_type: {} for row in FORMATS.values()}
        found["206"] = part
        found["416"] = answer("The range begins behind the end of the file", *_OF_A_VERSION, "Content-Range")
    return found


def _media(format_name: str) -> Json:
    # Bytes have no schema in 3.1, and text/csv is too much to be held in one string.
    return {"schema": {"type": "array", "items": {"type": "object"}}} if format_name == "json" else {}


def _of(status: int, codes: tuple[str, ...]) -> tuple[str, ...]:
    description, headers = _ERRORS[status]
    return f"{description}. Code: {', '.join(f'`{code}`' for code in codes)}", *headers


def _error(status: int, codes: tuple[str, ...]) -> Json:
    return answer(*_of(status, codes), schema=ref("ErrorAnswer"))
