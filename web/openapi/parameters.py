"""The parameters of requests: names, choices and defaults as the code reads them, with a sentence on each."""

from collections.abc import Mapping, Sequence

from engine.common.ids import EXPORT_ID, ID
from engine.request.formats import DELIMITERS, FORMATS
from engine.request.operators import OPERATORS
from engine.request.request import MAX_ROW_IDS, ExportRequest
from web.api.parameters import DEFAULT_LIMIT, MAX_LIMIT, ORDERS, PARAMETERS
from web.openapi.schemas import Json, ref

_DEFAULTS = ExportRequest(workflow="")
_ORDER = next(name for name, descending in ORDERS.items() if descending is _DEFAULTS.descending)
_TEXT: Json = {"type": "string", "minLength": 1}

_MEMBERS: dict[str, tuple[Json, str]] = {
    "format": ({"type": "string", "enum": [*FORMATS], "default": _DEFAULTS.format.name}, "The format of the file"),
    "runId": ({"type": "string"}, "A finished run of the workflow; the latest one if left out"),
    "filters": (ref("Filters"), "What rows have to be; all filters must hold"),
    "sortBy": (_TEXT, "One field, a dotted path reaches into an object; the run's own row order if left out"),
    "order": ({"type": "string", "enum": [*ORDERS], "default": _ORDER}, "Of `sortBy`; nulls are last in both"),
    "rowIds": (
        {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_ROW_IDS},
        "The rows that are wanted; all if left out. Unknown ids match nothing",
    ),
    "includeRowIds": (
        {"type": "boolean", "default": _DEFAULTS.include_row_ids},
        "Whether `_row_id` is the first column, to come back with `rowIds`",
    ),
    "bom": ({"type": "boolean", "default": _DEFAULTS.csv.bom}, "CSV only: a byte order mark, for Excel"),
    "delimiter": (
        {"type": "string", "enum": [*DELIMITERS], "default": _DEFAULTS.csv.delimiter},
        "CSV only: what stands between cells",
    ),
    "formulaGuard": (
        {"type": "boolean", "default": _DEFAULTS.csv.formula_guard},
        "CSV only: a `'` before cells that a spreadsheet would run",
    ),
}

_READING: dict[str, tuple[Json, str]] = {
    "format": ({"type": "string", "enum": ["json", "csv"], "default": "json"}, "How the page is written"),
    "page": ({"type": "integer", "minimum": 1, "default": 1}, "Which page, from 1"),
    "limit": (
        {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "Entries of a page; with 0 they are only counted",
    ),
    "field": (_TEXT, "A column, or a dotted path into an object"),
}
"""Of pages and facts, where they are others than of exports."""

# What is structured in a body is text in a URL.
_IN_QUERY: dict[str, tuple[Json, str]] = {
    "filters": (
        {"type": "string", "contentMediaType": "application/json", "contentSchema": ref("Filters")},
        "What rows have to be: a URL-encoded JSON array of `{field, operator, value}`, all must hold. "
        f"Operators: {', '.join(f'`{name}`' for name in OPERATORS)}",
    ),
    "rowIds": (_TEXT, "The rows that are wanted, as `id1,id2,id3` or as a JSON array of strings; all if left out"),
}
_EXAMPLES = {"filters": '[{"field":"price.amount","operator":"GREATER_THAN","value":100}]'}

WORKFLOW_ID: Json = {
    "name": "workflowId",
    "in": "path",
    "required": True,
    "description": "The workflow; what cannot be the id of one is a 404",
    "schema": {"type": "string", "pattern": f"^{ID.pattern}$"},
}
EXPORT_ID_IN_PATH: Json = {
    "name": "exportId",
    "in": "path",
    "required": True,
    "description": "The export, as the answer of its request names it",
    "schema": {"type": "string", "pattern": f"^{EXPORT_ID.pattern}$"},
}
RUN_ID_IN_PATH: Json = {
    "name": "runId",
    "in": "path",
    "required": True,
    "description": "The run; what cannot be the id of one is a 404",
    "schema": {"type": "string", "pattern": f"^{ID.pattern}$"},
}
SIGNED: list[Json] = [
    {
        "name": "format",
        "in": "query",
        "description": "The format of the file; whichever there is if left out (only without a signature)",
        "schema": {"type": "string", "enum": [*FORMATS]},
    },
    {"name": "expires", "in": "query", "description": "Until when, with `sig`", "schema": {"type": "integer"}},
    {"name": "kid", "in": "query", "description": "The key's id, with `sig`", "schema": {"type": "string"}},
]
"""What a signed URL carries beside its ``sig``, which is a security scheme."""


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


REQUEST_ID = _header("x-request-id", "Names the request in our logs; one is made if there is none")
PREFER = _header(
    "Prefer", "`respond-async`: a 202 at once, and the export goes on by itself; `wait=N`: a 202 after N seconds"
)
CONDITIONS = [
    _header("If-Match", "A 412 unless the file has one of these ETags"),
    _header("If-None-Match", "A 304 if the file has one of these ETags"),
    _header("If-Modified-Since", "A 304 unless the file is newer; counts without If-None-Match"),
    _header("If-Unmodified-Since", "A 412 if the file is newer; counts without If-Match"),
]
RANGES = [
    _header("Range", "A single range of bytes, `bytes=0-1023`; others are ignored"),
    _header("If-Range", "The range only if the file has this ETag"),
]


def query_parameters() -> list[Json]:
    """The parameters of the GET."""
    return [_query_parameter(name) for name in PARAMETERS]


def reading_parameters(names: Sequence[str]) -> list[Json]:
    """The parameters of a GET that looks at rows."""
    return [{**_query_parameter(name, _READING), "required": name == "field"} for name in names]


def request_body() -> Json:
    """The same names as the members of one JSON object."""
    members = {name: {**schema, "description": text} for name, (schema, text) in _in_order(_MEMBERS)}
    return {"type": "object", "properties": members, "additionalProperties": False}


def _query_parameter(name: str, others: Mapping[str, tuple[Json, str]] = _IN_QUERY) -> Json:
    schema, text = others.get(name) or _IN_QUERY.get(name) or _MEMBERS[name]
    example = {"example": _EXAMPLES[name]} if name in _EXAMPLES else {}
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema, **example}


def _in_order(members: dict[str, tuple[Json, str]]) -> list[tuple[str, tuple[Json, str]]]:
    return [(name, members[name]) for name in PARAMETERS]
