"""The operations of Delta Sharing; PROTOCOL.md of github.com/delta-io/delta-sharing describes them in full."""

from web.delta_sharing.capabilities import FILE_ID_HEADER, HEADER
from web.delta_sharing.parameters import MAX_INT32
from web.delta_sharing.routes import PREFIX
from web.openapi.parameters import REQUEST_ID, SAMPLE, SAMPLE_TEAM, path_parameter
from web.openapi.responses import answer, errors_as
from web.openapi.schemas import KEY_OR_TOKEN, Json, ref

_SHARE = f"{PREFIX}/shares/{{share}}"
_TABLES = f"{_SHARE}/schemas/{{schema}}/tables"
_TABLE = f"{_TABLES}/{{table}}"
_TEXT: Json = {"type": "string"}
_LONG: Json = {"type": "integer", "format": "int64", "minimum": 0}
_MOMENT: Json = {"type": "string", "format": "date-time"}
_ERRORS = (400, 401, 404, 405, 414, 500, 503)

_NAME = "[A-Za-z0-9_~-]+"
_IN_PATH: dict[str, tuple[str, str, str]] = {
    "share": (_NAME, "The share: the id of the team, escaped", SAMPLE_TEAM),
    "schema": (_NAME, "`default`", "default"),
    "table": (
        f"{_NAME}(@{_NAME})?",
        "The id of the workflow, escaped: `~a` for `A` and `~0` for a dot; `{workflow}@{run}` is the run with that id",
        SAMPLE,
    ),
}
_LINES = {"type": "string", "description": "One JSON object a line: `protocol`, `metaData`, `file`"}
_VERSION: Json = {"description": "The number of the run in the order of publishing", "schema": _LONG, "required": True}


def _query(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _header(name: str, description: str, example: str) -> Json:
    return {"name": name, "in": "header", "description": description, "schema": _TEXT, "example": example}


_PAGE = [
    _query(
        "maxResults",
        "The maximum number of entries on the page",
        {"type": "integer", "minimum": 0, "maximum": MAX_INT32},
    ),
    _query("pageToken", "The `nextPageToken` of the page before", _TEXT),
]
_CAPABILITIES = _header(
    HEADER, "`responseformat=parquet` (also the default) or `responseformat=delta`", "responseformat=delta,parquet"
)
_TRAVEL: dict[str, tuple[Json, str]] = {
    "version": (_LONG, "The number of a run; by default, that of the latest run"),
    "timestamp": (_MOMENT, "The last run that was published by then; not with `version`"),
}
_BODY: dict[str, tuple[Json, str]] = {
    **_TRAVEL,
    "predicateHints": ({"type": "array", "items": _TEXT}, "Ignored: the file has every row"),
    "jsonPredicateHints": (_TEXT, "Ignored"),
    "limitHint": ({"type": "integer", "minimum": 0, "maximum": MAX_INT32}, "Ignored"),
}


def delta_paths() -> Json:
    """Describe their paths."""
    return {
        f"{PREFIX}/shares": {
            "parameters": [],
            "get": _list("listShares", "List the shares: the one of the team", "DeltaShares"),
        },
        _SHARE: {
            "parameters": _names("share"),
            "get": _get("getShare", "Get a share", _json("The share", "DeltaShareAnswer"), _ERRORS),
        },
        f"{_SHARE}/schemas": {
            "parameters": _names("share"),
            "get": _list("listSchemas", "List the schemas of a share: `default`", "DeltaSchemas"),
        },
        f"{_SHARE}/all-tables": {
            "parameters": _names("share"),
            "get": _list("listAllTables", "List the tables of a share: one for each workflow", "DeltaTables"),
        },
        _TABLES: {
            "parameters": _names("share", "schema"),
            "get": _list("listTables", "List the tables of a schema", "DeltaTables"),
        },
        _TABLE: {
            "parameters": _names("share", "schema", "table"),
            "head": {
                **_get("headTableVersion", "Get the version of a table, as older clients do", _version(), ()),
                "responses": {"200": _version()} | {str(status): answer("An error") for status in _ERRORS},
            },
        },
        f"{_TABLE}/version": {
            "parameters": _names("share", "schema", "table"),
            "get": _get(
                "getTableVersion",
                "Get the version of a table",
                _version(),
                _ERRORS,
                _query("startingTimestamp", "The first version at or after this time", _MOMENT),
            ),
        },
        f"{_TABLE}/metadata": {
            "parameters": _names("share", "schema", "table"),
            "get": _get(
                "getTableMetadata",
                "Get the columns of a table",
                _lines("The protocol and the metadata"),
                _ERRORS,
                *(_query(name, text, schema) for name, (schema, text) in _TRAVEL.items()),
                _CAPABILITIES,
                _FILE_IDS,
            ),
        },
        f"{_TABLE}/query": {"parameters": _names("share", "schema", "table"), "post": _query_table()},
        f"{_TABLE}/changes": {
            "parameters": _names("share", "schema", "table"),
            "get": {
                **_get("getTableChanges", "Get the change data feed, which no table has", _version(), ()),
                "responses": errors_as("DeltaSharingError", *_ERRORS),
            },
        },
    }


_FILE_IDS = _header(
    FILE_ID_HEADER, "How the ids of files are made: `parquet` or `delta`, which are the same", "parquet"
)


def _query_table() -> Json:
    members = {name: {**schema, "description": text} for name, (schema, text) in _BODY.items()}
    return {
        "operationId": "queryTable",
        "summary": "Get the file of a table",
        "description": "Exports the whole run as Parquet, or finds the export, and waits for it as an export does. The "
        "file has a signed URL. A run without rows has no file. Queries of changes (`startingVersion`) are a 400.",
        "security": KEY_OR_TOKEN,
        "parameters": [_CAPABILITIES, _FILE_IDS, REQUEST_ID],
        "requestBody": {
            "required": False,
            "content": {"application/json": {"schema": {"type": "object", "properties": members}, "example": {}}},
        },
        "responses": {"200": _lines("The protocol, the metadata and the file")}
        | errors_as("DeltaSharingError", 400, 401, 404, 405, 413, 429, 500, 503),
    }


def _list(name: str, summary: str, model: str) -> Json:
    return _get(name, summary, _json("A page", model), _ERRORS, *_PAGE)


def _get(name: str, summary: str, found: Json, statuses: tuple[int, ...], *parameters: Json) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "security": KEY_OR_TOKEN,
        "parameters": [*parameters, REQUEST_ID],
        "responses": {"200": found} | errors_as("DeltaSharingError", *statuses),
    }


def _names(*names: str) -> list[Json]:
    rows = ((name, *_IN_PATH[name]) for name in names)
    return [path_parameter(name, text, f"^{pattern}$", example) for name, pattern, text, example in rows]


def _json(description: str, model: str) -> Json:
    return answer(description, schema=ref(model))


def _version() -> Json:
    found = answer("The version")
    return {**found, "headers": {**found["headers"], "Delta-Table-Version": _VERSION}}


def _lines(description: str) -> Json:
    content = {"application/x-ndjson": {"schema": _LINES}}
    return {**_version(), "description": description, "content": content}
