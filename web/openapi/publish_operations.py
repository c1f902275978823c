"""The operations that publish and delete, which need credentials that allow it."""

from engine.catalog.manifest import State
from web.api.publishing.parameters import CONTENT_TYPES, PUBLISH_PARAMETERS
from web.openapi.parameters import REQUEST_ID, RUN_ID_IN_PATH, WORKFLOW_ID
from web.openapi.responses import answer, errors
from web.openapi.schemas import Json, ref

_KEY_OR_TOKEN: list[Json] = [{"ApiKey": []}, {"BearerToken": []}]
_RUNS = "/v4/workflows/{workflowId}/runs"
_TEXT: Json = {"type": "string", "minLength": 1}
_CHARACTER: Json = {"type": "string", "minLength": 1, "maxLength": 1}
_FLAG: Json = {"type": "boolean", "default": False}

_PARAMETERS: dict[str, tuple[Json, str]] = {
    "runId": (_TEXT, "The id of the run; one is made if left out, and then a request sent again makes another run"),
    "name": (_TEXT, "The name of a new workflow; its id if left out"),
    "executedAt": ({**_TEXT, "format": "date-time"}, "When the run was executed; it decides which run is the latest"),
    "state": ({"type": "string", "enum": [*State], "default": State.FINISHED}, "Only finished runs can be exported"),
    "rowId": (_TEXT, "The field whose unique values become row ids; they are made if left out"),
    "schema": (_TEXT, "The content of a schema file, as URL-encoded JSON"),
    "delimiter": (_CHARACTER, "CSV: what stands between cells"),
    "encoding": (_TEXT, "Of text, if it is not UTF-8"),
    "skipLines": ({"type": "integer", "minimum": 0, "default": 0}, "CSV: lines before the header"),
    "escape": ({**_CHARACTER, "default": '"'}, "CSV: what stands before a quote in a quoted cell"),
    "padShortRows": (_FLAG, "CSV: whether rows with too few cells end in nulls"),
    "rename": (_TEXT, 'New names of columns, as URL-encoded JSON: `{"old": "new"}`'),
    "renameDuplicates": (_FLAG, "Whether the second column called `x` becomes `x_2`"),
    "null": ({"type": "string"}, "CSV: what a cell says that is null, beside an empty one"),
    "types": (
        {"type": "string", "enum": ["auto", "text"], "default": "auto"},
        "CSV: the types that keep every cell as it is written, or text",
    ),
    "jsonPath": (_TEXT, "JSON: the dotted path of the list of rows"),
}


def publish_paths() -> Json:
    """Their paths, but the workflow's own."""
    return {
        _RUNS: {"parameters": [WORKFLOW_ID], "post": _publish()},
        f"{_RUNS}/{{runId}}": {
            "parameters": [WORKFLOW_ID, RUN_ID_IN_PATH],
            "delete": _delete("deleteRun", "Delete a run and its exports", "The newest run that remains is the latest"),
        },
    }


def delete_workflow() -> Json:
    """DELETE of a workflow."""
    return _delete("deleteWorkflow", "Delete a workflow, all its runs and their exports", "Its id is free again")


def _publish() -> Json:
    body = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES}
    done = ref("RunAnswer")
    return {
        "operationId": "publishRun",
        "summary": "Publish a run",
        "description": "The body is one file of rows, gzip-compressed or not. The run appears whole or not at all, and "
        "never changes. A request that is sent again with the same `runId` and body is answered with the same run.",
        "security": _KEY_OR_TOKEN,
        "parameters": [
            *(_parameter(name) for name in PUBLISH_PARAMETERS),
            {
                "name": "Content-Encoding",
                "in": "header",
                "description": "How the body is compressed",
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
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _delete(name: str, summary: str, description: str) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "description": f"Nothing of it opens afterwards, signed URLs included. {description}.",
        "security": _KEY_OR_TOKEN,
        "parameters": [REQUEST_ID],
        "responses": {"204": answer("It is deleted")} | errors(400, 401, 403, 404, 405, 500, 503),
    }
