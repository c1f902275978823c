"""The operations: their credentials, parameters and responses."""

from web.api.parameters import LIST_PARAMETERS
from web.openapi.change_operations import changes_paths
from web.openapi.delta_operations import delta_paths
from web.openapi.parameters import (
    CONDITIONS,
    EXPORT_ID_IN_PATH,
    FILE_NAME_IN_PATH,
    PREFER,
    RANGES,
    REQUEST_ID,
    SIGNED,
    WORKFLOW_ID,
    list_parameters,
    query_parameters,
)
from web.openapi.publish_operations import delete_workflow, publish_paths
from web.openapi.responses import answer, errors, errors_without_body, export_answers, file_responses
from web.openapi.row_operations import reading_paths
from web.openapi.schemas import KEY_OR_TOKEN, Json, ref

EXPORT_PATH = "/v4/workflows/{workflowId}/data/export"
_FILES_PATH = "/v4/workflows/{workflowId}/data/exports"
_FILE_PATH = f"{_FILES_PATH}/{{exportId}}"
_FILE_ERRORS = (400, 401, 404, 405, 500, 503)
_REQUEST = {
    "filters": [{"field": "rating", "operator": "GREATER_THAN", "value": 4.5}],
    "sortBy": "price.amount",
    "order": "desc",
    "format": "json",
}
_STATE = {
    "type": "object",
    "properties": {"clock": {"type": "string", "description": "Only if the clock is wrong: by how much"}},
    "additionalProperties": {"type": "string", "enum": ["ok", "unavailable", "draining"]},
}

SECURITY_SCHEMES: dict[str, Json] = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "BearerToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "SignedUrl": {
        "type": "apiKey",
        "in": "query",
        "name": "sig",
        "description": "The signature of a download URL, with its `format`, `expires` and `kid`; no header is needed",
    },
}


def paths() -> Json:
    """Describe every path of the service except its documentation."""
    row_paths = reading_paths()
    row_paths["/v4/workflows/{workflowId}"]["delete"] = delete_workflow()
    return {
        **row_paths,
        **publish_paths(),
        **changes_paths(),
        **delta_paths(),
        EXPORT_PATH: {"parameters": [WORKFLOW_ID], "get": _export(), "post": _export_by_body()},
        _FILE_PATH: {
            "parameters": [WORKFLOW_ID, EXPORT_ID_IN_PATH],
            "get": _download(),
            "head": _download_head(),
            "delete": _delete(),
        },
        _FILES_PATH: {"parameters": [WORKFLOW_ID], "get": _list()},
        f"{_FILE_PATH}/{{fileName}}": {
            "parameters": [WORKFLOW_ID, EXPORT_ID_IN_PATH, FILE_NAME_IN_PATH],
            "get": _download() | {"operationId": "downloadExportByName"},
            "head": _download_head() | {"operationId": "headExportByName"},
        },
        f"{_FILE_PATH}/status": {
            "parameters": [WORKFLOW_ID, EXPORT_ID_IN_PATH],
            "get": _status(),
            "delete": _cancel(),
        },
        **{path: {"get": get, "head": _without_body(get)} for path, get in _probes().items()},
    }


def _export() -> Json:
    return {
        "operationId": "exportWorkflowData",
        "summary": "Export a run as one file",
        "description": "Writes the rows of a run that match all filters to one file, and returns a URL that opens "
        "without any header. The same request on the same run gives the same bytes.",
        "security": KEY_OR_TOKEN,
        "parameters": [*query_parameters(), PREFER, REQUEST_ID],
        "responses": export_answers() | errors(400, 401, 404, 405, 414, 429, 500, 503),
    }


def _export_by_body() -> Json:
    return {
        "operationId": "exportWorkflowDataByBody",
        "summary": "Export a run as one file, with parameters in the body",
        "description": "Takes the parameters of the GET as members of a JSON object; none may be in the URL.",
        "security": KEY_OR_TOKEN,
        "parameters": [PREFER, REQUEST_ID],
        "requestBody": {
            "required": False,
            "content": {"application/json": {"schema": ref("ExportRequest"), "example": _REQUEST}},
        },
        "responses": export_answers() | errors(400, 401, 404, 405, 413, 414, 429, 500, 503),
    }


def _download() -> Json:
    return {
        "operationId": "downloadExport",
        "summary": "Download the file",
        "description": "Signed URLs have this path with a file name at its end, and need no credentials. "
        "With a key or token of the owning team, "
        "the only parameter is `format`.",
        "security": [*KEY_OR_TOKEN, {"SignedUrl": []}],
        "parameters": [*SIGNED, *RANGES, *CONDITIONS, REQUEST_ID],
        "responses": file_responses(head=False) | errors(*_FILE_ERRORS),
    }


def _download_head() -> Json:
    return {
        **_download(),
        "operationId": "headExport",
        "summary": "Get the headers of the file",
        "parameters": [*SIGNED, *CONDITIONS, REQUEST_ID],
        "responses": file_responses(head=True) | errors_without_body(*_FILE_ERRORS),
    }


def _list() -> Json:
    return {
        "operationId": "listExports",
        "summary": "List the finished exports of a workflow",
        "security": KEY_OR_TOKEN,
        "parameters": [*list_parameters(LIST_PARAMETERS), REQUEST_ID],
        "responses": {"200": answer("A page of exports, the newest first", schema=ref("ExportsAnswer"))}
        | errors(400, 401, 404, 405, 414, 500, 503),
    }


def _delete() -> Json:
    return {
        "operationId": "deleteExport",
        "summary": "Delete a finished export",
        "description": "Its URLs answer 404 from then on and never open again: the same request makes another export, "
        "with another `exportId`. A signed URL does not permit it.",
        "security": KEY_OR_TOKEN,
        "parameters": [REQUEST_ID],
        "responses": {"204": answer("It is deleted")} | errors(400, 401, 404, 405, 414, 500, 503),
    }


def _status() -> Json:
    return {
        "operationId": "getExportStatus",
        "summary": "Get the status of an asynchronous export",
        "security": KEY_OR_TOKEN,
        "parameters": [REQUEST_ID],
        "responses": _status_answers() | errors(401, 404, 405, 500, 503),
    }


def _cancel() -> Json:
    cancelled = answer("Cancellation was requested", "Retry-After", schema=ref("TicketAnswer"))
    return {
        **_status(),
        "operationId": "cancelExport",
        "summary": "Cancel an asynchronous export",
        "responses": {"202": cancelled} | _status_answers() | errors(401, 404, 405, 409, 500, 503),
    }


def _status_answers() -> dict[str, Json]:
    either = {"anyOf": [ref("ExportAnswer"), ref("TicketAnswer")]}
    return {"200": answer("The response of the export once it is finished; its progress before", schema=either)}


def _probes() -> dict[str, Json]:
    """Describe the endpoints that orchestrators and Prometheus poll."""
    return {
        "/healthz": _probe("getHealth", "Whether the process responds", _plain("It does")),
        "/readyz": _probe(
            "getReadiness",
            "Whether new requests should be sent here",
            {
                "200": answer("The stores and DuckDB respond, and the clocks agree", schema=_STATE),
                "503": answer(
                    "At least one does not respond, the clock is wrong, or the service is about to stop", schema=_STATE
                ),
            },
        ),
        "/metrics": _probe("getMetrics", "Metrics for Prometheus", _plain("The metrics")),
    }


def _probe(name: str, summary: str, answers: dict[str, Json]) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "parameters": [REQUEST_ID],
        "responses": answers | errors(405),
    }


def _plain(description: str) -> dict[str, Json]:
    return {"200": answer(description, schema={"type": "string"}, media_type="text/plain")}


def _without_body(get: Json) -> Json:
    responses = {
        status: {name: value for name, value in response.items() if name != "content"}
        for status, response in get["responses"].items()
        if "$ref" not in response
    }
    return {
        **get,
        "operationId": get["operationId"].replace("get", "head", 1),
        "responses": responses | errors_without_body(405),
    }
