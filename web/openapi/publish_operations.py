"""The operations that publish and delete; their credentials must allow it."""

from engine.catalog.manifest import State
from web.api.publishing.parameters import CONTENT_TYPES, PUBLISH_PARAMETERS
from web.openapi.parameters import REQUEST_ID, RUN_ID_IN_PATH, WORKFLOW_ID
from web.openapi.responses import answer, errors
from web.openapi.schemas import KEY_OR_TOKEN, Json, ref

_RUNS = "/v4/workflows/{workflowId}/runs"
_TEXT: Json = {"type": "string", "minLength": 1}
_CHARACTER: Json = {"type": "string", "minLength": 1, "maxLength": 1}
_FLAG: Json = {"type": "boolean", "default": False}

_PARAMETERS: dict[str, tuple[Json, str]] = {
    "runId": (_TEXT, "The id of the run; generated if left out, and then a repeated request publishes another run"),
    "name": (_TEXT, "The name of a new workflow; by default, its id"),
    "executedAt": ({**_TEXT, "format": "date-time"}, "When the run was executed; it decides which run is the latest"),
    "state": ({"type": "string", "enum": [*State], "default": State.FINISHED}, "Only finished runs can be exported"),
    "rowId": (_TEXT, "The field whose unique values become row ids; generated if left out"),
    "schema": (_TEXT, "The content of a schema file, as URL-encoded JSON"),
    "delimiter": (_CHARACTER, "CSV: the separator of cells"),
    "encoding": (_TEXT, "The encoding of text, if it is not UTF-8"),
    "skipLines": ({"type": "integer", "minimum": 0, "default": 0}, "CSV: the number of lines before the header"),
    # Its default is not in the schema: a generator of Python clients writes a quote as two characters.
    "escape": (_CHARACTER, "CSV: the character before a quote in a quoted cell; by default, a quote"),
    "padShortRows": (_FLAG, "CSV: whether to fill rows that have too few cells with nulls"),
    "rename": (_TEXT, 'New names of columns, as URL-encoded JSON: `{"old": "new"}`'),
    "renameDuplicates": (_FLAG, "Whether to rename a second column `x` to `x_2`"),
    "null": ({"type": "string"}, "CSV: the text of null cells, in addition to empty ones"),
    "types": (
        {"type": "string", "enum": ["auto", "text"], "default": "auto"},
        "CSV: detect types that preserve every cell exactly, or read text",
    ),
    "jsonPath": (_TEXT, "JSON: the dotted path of the list of rows"),
}
_NEW_WORKFLOW = {**WORKFLOW_ID, "example": "my-products"}
_EXAMPLES: Json = {"runId": "1", "name": "My products", "executedAt": "2026-11-23T10:00:00Z", "rowId": "sku"}
_BODIES = {
    "text/csv": "sku,price\na-1,19.90\na-2,5\n",
    "application/json": '[{"sku":"a-1","price":19.9},{"sku":"a-2","price":5}]',
    "application/x-ndjson": '{"sku":"a-1","price":19.9}\n{"sku":"a-2","price":5}\n',
}
"""Of the content types that are text."""


def publish_paths() -> Json:
    """Describe their paths, except that of a workflow."""
    return {
        _RUNS: {"parameters": [_NEW_WORKFLOW], "post": _publish()},
        f"{_RUNS}/{{runId}}": {
            "parameters": [_NEW_WORKFLOW, {**RUN_ID_IN_PATH, "example": _EXAMPLES["runId"]}],
            "delete": _delete("deleteRun", "Delete a run and its exports", "The newest other run becomes the latest"),
        },
    }


def delete_workflow() -> Json:
    """Describe the DELETE of a workflow."""
    return _delete("deleteWorkflow", "Delete a workflow, all its runs and their exports", "Its id can be used again")


def _publish() -> Json:
    body: Json = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES}
    for kind, example in _BODIES.items():
        body[kind]["example"] = example
    done = ref("RunAnswer")
    return {
        "operationId": "publishRun",
        "summary": "Publish a run",
        "description": "The body is one file of rows, optionally compressed by gzip. The run becomes visible as a "
        "whole and never changes. A repeated request with the same `runId` and body returns the same run.",
        "security": KEY_OR_TOKEN,
        "parameters": [
            *(_parameter(name) for name in PUBLISH_PARAMETERS),
            {
                "name": "Content-Encoding",
                "in": "header",
                "description": "The compression of the body",
                "schema": {"type": "string", "enum": ["gzip", "identity"]},
            },
            REQUEST_ID,
        ],
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": answer("The run was published before, with the same content", schema=done),
            "201": answer("The run is published", schema=done),
        }
        | errors(400, 401, 403, 405, 408, 409, 413, 414, 415, 500, 503),
    }


def _parameter(name: str) -> Json:
    schema, text = _PARAMETERS[name]
    example = {"example": _EXAMPLES[name]} if name in _EXAMPLES else {}
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema, **example}


def _delete(name: str, summary: str, description: str) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "description": f"Its data is inaccessible afterwards, also by signed URLs. {description}.",
        "security": KEY_OR_TOKEN,
        "parameters": [REQUEST_ID],
        "responses": {"204": answer("Deleted")} | errors(400, 401, 403, 404, 405, 500, 503),
    }
