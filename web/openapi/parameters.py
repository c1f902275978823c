"""The parameters of requests: their names, choices and defaults from the code, with a description of each."""

from collections.abc import Mapping, Sequence

from engine.common.ids import EXPORT_ID, ID
from engine.request.formats import COMPRESSIONS, DELIMITERS, FORMATS
from engine.request.operators import OPERATORS
from engine.request.request import MAX_FIELDS, MAX_ROW_IDS, ExportRequest
from web.api.parameters import (
    COLUMN_PARAMETERS,
    DEFAULT_LIMIT,
    DOWNLOADS,
    MAX_LIMIT,
    MAX_NUMBER,
    MIN_URL_TTL_SECONDS,
    ORDERS,
    PAGE_PARAMETERS,
    PARAMETERS,
    STATEMENT_PARAMETERS,
)
from web.api.reads.models import OUTCOMES, WORKFLOW_STATES
from web.openapi.schemas import Json, ref

_DEFAULTS = ExportRequest(workflow="")
_ORDER = next(name for name, descending in ORDERS.items() if descending is _DEFAULTS.descending)
_TEXT: Json = {"type": "string", "minLength": 1}

_MEMBERS: dict[str, tuple[Json, str]] = {
    "format": ({"type": "string", "enum": [*FORMATS], "default": _DEFAULTS.format.name}, "The format of the file"),
    "compression": (
        {"type": "string", "enum": [*COMPRESSIONS], "default": _DEFAULTS.compression.name},
        f"Of {', '.join(f'`{row.name}`' for row in FORMATS.values() if not row.compressed)}: the file is compressed, "
        "without a `Content-Encoding`",
    ),
    "runId": ({"type": "string"}, "A finished run of the workflow; by default, the latest"),
    "sinceRunId": (
        _TEXT,
        "An earlier run: only the rows that were added, changed or removed since; removed rows have their old values. "
        "`_change` (`added`, `changed`, `removed`) and `_row_id` are the first columns. Both runs need a row-id field",
    ),
    "filters": (ref("Filters"), "The conditions on rows; all must hold"),
    "sortBy": (_TEXT, "A field, or a dotted path into an object; by default, the row order of the run"),
    "order": (
        {"type": "string", "enum": [*ORDERS], "default": _ORDER},
        "Of `sortBy`; nulls are last in both orders",
    ),
    "rowIds": (
        {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_ROW_IDS},
        "The rows to export; by default, all. Unknown ids match nothing",
    ),
    "includeRowIds": (
        {"type": "boolean", "default": _DEFAULTS.include_row_ids},
        "Whether to add `_row_id` as the first column, for use with `rowIds`",
    ),
    "fields": (
        {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_FIELDS, "uniqueItems": True},
        "The columns of the file, in this order; by default, all. A dotted path becomes a column of that name",
    ),
    "flatten": (
        {"type": "boolean", "default": _DEFAULTS.flatten},
        "Whether objects become columns with dotted names, to any depth; lists stay",
    ),
    "bom": ({"type": "boolean", "default": _DEFAULTS.csv.bom}, "CSV only: a byte order mark, for Excel"),
    "delimiter": (
        {"type": "string", "enum": [*DELIMITERS], "default": _DEFAULTS.csv.delimiter},
        "CSV only: the separator of cells",
    ),
    "formulaGuard": (
        {"type": "boolean", "default": _DEFAULTS.csv.formula_guard},
        "CSV only: whether to put a `'` before cells that a spreadsheet would run as formulas",
    ),
    "expiresIn": (
        {"type": "integer", "minimum": MIN_URL_TTL_SECONDS},
        "For how many seconds the URL is valid; by default, and at most, `TAILRACE_URL_TTL_SECONDS`",
    ),
}

_ROW_PARAMETERS: dict[str, tuple[Json, str]] = {
    "format": ({"type": "string", "enum": ["json", "csv"], "default": "json"}, "The format of the page"),
    "page": ({"type": "integer", "minimum": 1, "default": 1}, "The page number, from 1"),
    "limit": (
        {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER, "default": DEFAULT_LIMIT},
        "Rows per page; with 0, all rows on one page",
    ),
    "gzip": ({"type": "boolean", "default": False}, "Whether the body is compressed (`Content-Encoding: gzip`)"),
    "includeAnomalies": (
        {"type": "boolean", "default": False},
        "Accepted for clients that send it; rows have no anomalies here",
    ),
    "download": (
        {"type": "string", "enum": [*DOWNLOADS], "default": DOWNLOADS[0]},
        "`link`: all rows, whatever `limit` is, as a CSV file to download with a key; needs `format=csv`",
    ),
    "field": (_TEXT, "A column, or a dotted path into an object"),
}
"""Parameters of rows and statistics that differ from those of exports."""

_LIST_PARAMETERS: dict[str, tuple[Json, str]] = {
    "page": _ROW_PARAMETERS["page"],
    "skip": ({"type": "integer", "minimum": 0}, "How many entries to skip, instead of `page`"),
    "limit": (
        {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "Entries per page; with 0, only the counts",
    ),
    "search": ({"type": "string"}, "A part of the name or id, in any letter case"),
    "state": (
        {"type": "string", "enum": [*WORKFLOW_STATES]},
        "Workflows in this state; here, all are `ACTIVE`",
    ),
    "tags": ({"type": "string"}, "Workflows with these tags, as `a,b` or as a JSON array; here, none has a tag"),
    "status": ({"type": "string", "enum": [*OUTCOMES]}, "Runs with this outcome"),
}
"""Parameters of lists."""

# Lists in a body are text in a URL.
_IN_QUERY: dict[str, tuple[Json, str]] = {
    "filters": (
        {"type": "string", "contentMediaType": "application/json", "contentSchema": ref("Filters")},
        "The conditions on rows, a URL-encoded JSON array of `{field, operator, value}`; all must hold. "
        f"Operators: {', '.join(f'`{name}`' for name in OPERATORS)}",
    ),
    "rowIds": (_TEXT, "The rows to export, as `id1,id2,id3` or as a JSON array of strings; by default, all"),
    "fields": (
        _TEXT,
        "The columns of the file in this order, as `a,b.c` or as a JSON array of strings; by default, all",
    ),
}
SAMPLE, SAMPLE_RUN, EARLIER_SAMPLE_RUN, SAMPLE_TEAM = "sample-products", "2026-11-01", "2026-10-01", "demo"
"""What `make run` publishes, and for whom; every example can be sent there."""

_EXAMPLES: dict[str, object] = {
    "runId": SAMPLE_RUN,
    "sinceRunId": EARLIER_SAMPLE_RUN,
    "filters": '[{"field":"price.amount","operator":"GREATER_THAN","value":400000}]',
    "sortBy": "rating",
    "rowIds": "SKU-000007,SKU-000011",
    "fields": "sku,title,price.amount",
    "expiresIn": 3600,
    "field": "rating",
    "page": 1,
    "limit": 10,
    "gzip": True,
    "includeAnomalies": False,
    "download": "stream",
    "skip": 0,
    "search": "products",
    "state": "ACTIVE",
    "tags": '["daily"]',
    "status": "success",
}


def path_parameter(name: str, description: str, pattern: str, example: str | None = None) -> Json:
    """A parameter in the path: a text that the pattern matches."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "pattern": pattern},
        **({} if example is None else {"example": example}),
    }


WORKFLOW_ID = path_parameter("workflowId", "The workflow; an invalid id is a 404", f"^{ID.pattern}$", SAMPLE)
EXPORT_ID_IN_PATH = path_parameter("exportId", "The `exportId` of the export", f"^{EXPORT_ID.pattern}$")
FILE_NAME_IN_PATH = path_parameter(
    "fileName",
    "Any name with the extension of the file, such as `orders.csv`; it is not part of the signature",
    r"^[^/]+\.[a-z]+$",
    "products.csv",
)
RUN_ID_IN_PATH = path_parameter("runId", "The run; an invalid id is a 404", f"^{ID.pattern}$", SAMPLE_RUN)
SIGNED: list[Json] = [
    {
        "name": "format",
        "in": "query",
        "description": "The format of the file; optional without a signature",
        "schema": {"type": "string", "enum": [*FORMATS]},
    },
    {
        "name": "expires",
        "in": "query",
        "description": "The expiry, with `sig`",
        "schema": {"type": "integer"},
    },
    {
        "name": "kid",
        "in": "query",
        "description": "The id of the key, with `sig`",
        "schema": {"type": "string"},
    },
]
"""The parameters of a signed URL in addition to ``sig``, which is a security scheme."""


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


REQUEST_ID = _header("x-request-id", "The id of the request in the logs; generated if absent")
PREFER = _header("Prefer", "`respond-async`: a 202 at once, and the export continues; `wait=N`: a 202 after N seconds")
CONDITIONS = [
    _header("If-Match", "A 412 unless the file has one of these ETags"),
    _header("If-None-Match", "A 304 if the file has one of these ETags"),
    _header("If-Modified-Since", "A 304 unless the file is newer; counts without If-None-Match"),
    _header("If-Unmodified-Since", "A 412 if the file is newer; counts without If-Match"),
]
RANGES = [
    _header("Range", "A single range of bytes, such as `bytes=0-1023`; others are ignored"),
    _header("If-Range", "The range only if the file has this ETag"),
]


def query_parameters() -> list[Json]:
    """Return the query parameters of an export."""
    return [_query_parameter(name) for name in PARAMETERS]


def reading_parameters(names: Sequence[str]) -> list[Json]:
    """Return the query parameters of a GET that reads rows."""
    return [{**_query_parameter(name, _ROW_PARAMETERS), "required": name == "field"} for name in names]


def list_parameters(names: Sequence[str]) -> list[Json]:
    """Return the query parameters of a GET that lists workflows, runs or exports."""
    return [_query_parameter(name, _LIST_PARAMETERS) for name in names]


def request_bodies() -> dict[str, Json]:
    """Return the bodies of the POSTs that read rows and make exports, by the names of their schemas, without models."""
    return {
        "ExportRequest": _body(PARAMETERS, {}),
        "RowsRequest": _body(PAGE_PARAMETERS, _ROW_PARAMETERS),
        "ColumnRequest": {**_body(COLUMN_PARAMETERS, _ROW_PARAMETERS), "required": ["field"]},
        "StatementExportRequest": _body([name for name in STATEMENT_PARAMETERS if name in _MEMBERS], {}),
    }


def _body(names: Sequence[str], overrides: Mapping[str, tuple[Json, str]]) -> Json:
    described = [(name, *(overrides.get(name) or _MEMBERS[name])) for name in names]
    members = {name: {**schema, "description": text} for name, schema, text in described}
    return {"type": "object", "properties": members, "additionalProperties": False}


def _query_parameter(name: str, overrides: Mapping[str, tuple[Json, str]] = _IN_QUERY) -> Json:
    schema, text = overrides.get(name) or _IN_QUERY.get(name) or _MEMBERS[name]
    example = {"example": _EXAMPLES[name]} if name in _EXAMPLES else {}
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema, **example}
