"""The operations that look at rows without making a file."""

from web.api.parameters import COLUMN_PARAMETERS, LIST_PARAMETERS, PAGE_PARAMETERS
from web.openapi.parameters import REQUEST_ID, WORKFLOW_ID, reading_parameters
from web.openapi.responses import answer, errors
from web.openapi.schemas import Json, ref

_KEY_OR_TOKEN: list[Json] = [{"ApiKey": []}, {"BearerToken": []}]
_ONE = "/v4/workflows/{workflowId}"
_DATA = f"{_ONE}/data"


def reading_paths() -> Json:
    """Their paths."""
    page = answer("The page", "X-Total-Count", "X-Total-Pages", schema=ref("RowsAnswer"))
    page["content"]["text/csv"] = {}
    return {
        "/v4/workflows": {
            "parameters": [],
            "get": _get(
                "listWorkflows",
                "The workflows of the team",
                LIST_PARAMETERS,
                answer("A page of them, by id", schema=ref("WorkflowsAnswer")),
                *(400, 401, 405, 414),
            ),
        },
        _ONE: {
            "parameters": [WORKFLOW_ID],
            "get": _get(
                "getWorkflow",
                "One workflow: its columns and its runs",
                (),
                answer("What it holds", schema=ref("WorkflowAnswer")),
                *(400, 401, 404, 405, 414),
            ),
        },
        _DATA: {
            "parameters": [WORKFLOW_ID],
            "get": _get("getWorkflowData", "A page of rows", PAGE_PARAMETERS, page, *(400, 401, 404, 405, 414)),
        },
        f"{_DATA}/column": {
            "parameters": [WORKFLOW_ID],
            "get": _get(
                "getColumnFacts",
                "The facts of one column over the rows that match",
                COLUMN_PARAMETERS,
                answer("Nulls, distinct values, bounds and how the values are spread", schema=ref("ColumnAnswer")),
                *(400, 401, 404, 405, 414),
            ),
        },
        f"{_DATA}/query": {"parameters": [WORKFLOW_ID], "post": _query()},
    }


def _get(name: str, summary: str, parameters: tuple[str, ...], found: Json, *statuses: int) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "security": _KEY_OR_TOKEN,
        "parameters": [*reading_parameters(parameters), REQUEST_ID],
        "responses": {"200": found} | errors(*statuses, 500, 503),
    }


def _query() -> Json:
    return {
        "operationId": "queryWorkflowData",
        "summary": "Ask SQL of one run",
        "description": "One statement that reads, over `data`: the rows of the run, and `_row_id`. It runs in a "
        "process of its own that can open no file and reach no host.",
        "security": _KEY_OR_TOKEN,
        "parameters": [REQUEST_ID],
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref("QueryRequest")}}},
        "responses": {"200": answer("What it found", schema=ref("QueryAnswer"))}
        | errors(400, 401, 404, 405, 413, 500, 503),
    }
