"""The operations that read rows without an export."""

from engine.request.formats import FORMATS
from web.api.parameters import (
    COLUMN_PARAMETERS,
    HISTORY_PARAMETERS,
    PAGE_PARAMETERS,
    PARQUET_PARAMETERS,
    WORKFLOWS_PARAMETERS,
)
from web.openapi.parameters import (
    CONDITIONS,
    PREFER,
    RANGES,
    REQUEST_ID,
    RUN_ID_IN_PATH,
    WORKFLOW_ID,
    list_parameters,
    reading_parameters,
)
from web.openapi.responses import answer, errors, export_answers, file_responses
from web.openapi.schemas import KEY_OR_TOKEN, Json, ref

_COUNTS = ("X-Total-Count", "X-Total-Pages")
_ONE = "/v4/workflows/{workflowId}"
_DATA = f"{_ONE}/data"


def reading_paths() -> Json:
    """Describe their paths."""
    either = {"anyOf": [ref("RowsAnswer"), ref("LinkAnswer")]}
    page = answer("The rows; with `download=link`, where they are", *_COUNTS, schema=either)
    page["content"]["text/csv"] = {}
    facts = answer("Nulls, distinct values, bounds and the distribution of values", schema=ref("ColumnAnswer"))
    return {
        "/v4/workflows": {
            "parameters": [],
            "get": _get(
                "listWorkflows",
                "List the workflows of the team",
                list_parameters(WORKFLOWS_PARAMETERS),
                answer("A page of workflows, ordered by id", schema=ref("WorkflowsAnswer")),
                *(400, 401, 405, 414),
            ),
        },
        _ONE: {
            "parameters": [WORKFLOW_ID],
            "get": _get(
                "getWorkflow",
                "Get the columns and runs of a workflow",
                [],
                answer("The workflow", schema=ref("WorkflowAnswer")),
                *(400, 401, 404, 405, 414),
            ),
        },
        _DATA: {
            "parameters": [WORKFLOW_ID],
            "get": _rows(page),
            "post": _post(
                "getWorkflowDataByBody",
                "Get rows, with parameters in the body",
                "RowsRequest",
                {"filters": [{"field": "rating", "operator": "GREATER_THAN", "value": 4}], "limit": 10},
                page,
                *(400, 401, 404, 405, 413, 414, 429),
            ),
        },
        f"{_DATA}/parquet": {"parameters": [WORKFLOW_ID], "get": _parquet()},
        f"{_ONE}/history": {
            "parameters": [WORKFLOW_ID],
            "get": _get(
                "getWorkflowHistory",
                "List the runs of a workflow",
                list_parameters(HISTORY_PARAMETERS),
                answer("A page of runs, the newest first", schema=ref("HistoryAnswer")),
                *(400, 401, 404, 405, 414),
            ),
        },
        f"{_ONE}/jobs/{{runId}}": {
            "parameters": [WORKFLOW_ID, RUN_ID_IN_PATH],
            "get": _get(
                "getJob",
                "Get the state of a run",
                [],
                answer("The run, in any state", schema=ref("JobAnswer")),
                *(400, 401, 404, 405, 414),
            ),
        },
        f"{_DATA}/column": {
            "parameters": [WORKFLOW_ID],
            "get": _get(
                "getColumnFacts",
                "Get statistics of one column over the rows that match",
                reading_parameters(COLUMN_PARAMETERS),
                facts,
                *(400, 401, 404, 405, 414),
            ),
            "post": _post(
                "getColumnFactsByBody",
                "Get statistics of one column, with parameters in the body",
                "ColumnRequest",
                {"field": "rating", "filters": [{"field": "inStock", "operator": "EQUALS", "value": True}]},
                facts,
                *(400, 401, 404, 405, 413, 414),
            ),
        },
        f"{_DATA}/query": {"parameters": [WORKFLOW_ID], "post": _query()},
        f"{_DATA}/query/export": {"parameters": [WORKFLOW_ID], "post": _export()},
    }


def _rows(page: Json) -> Json:
    get = _get(
        "getWorkflowData",
        "Get rows, on pages or all",
        reading_parameters(PAGE_PARAMETERS),
        page,
        *(400, 401, 404, 405, 414, 429),
    )
    description = (
        "More than 1,000 rows are streamed; if that fails, the connection is aborted before the body has ended. "
        "`limit=0`, a limit of at least the rows of the run, and a limit above 1,000 with `sinceRunId`, or with "
        "`sortBy` beyond the first 5,000 rows, make an export of all rows and send its file, or a page out of it."
    )
    return {**get, "description": description}


def _parquet() -> Json:
    responses = file_responses(head=False)
    for status in ("200", "206"):
        responses[status]["content"] = {FORMATS["parquet"].content_type: {}}
    return {
        "operationId": "getWorkflowParquet",
        "summary": "Get all rows of a run as a Parquet file",
        "security": KEY_OR_TOKEN,
        "parameters": [*reading_parameters(PARQUET_PARAMETERS), *RANGES, *CONDITIONS, REQUEST_ID],
        "responses": responses | errors(400, 401, 404, 405, 414, 429, 500, 503),
    }


def _get(name: str, summary: str, parameters: list[Json], found: Json, *statuses: int) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "security": KEY_OR_TOKEN,
        "parameters": [*parameters, REQUEST_ID],
        "responses": {"200": found} | errors(*statuses, 500, 503),
    }


def _post(name: str, summary: str, body: str, example: Json, found: Json, *statuses: int) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "description": "Takes the parameters of the GET as members of a JSON object, so that no proxy logs the values "
        "of filters; none may be in the URL.",
        "security": KEY_OR_TOKEN,
        "parameters": [REQUEST_ID],
        "requestBody": {
            "required": body == "ColumnRequest",
            "content": {"application/json": {"schema": ref(body), "example": example}},
        },
        "responses": {"200": found} | errors(*statuses, 500, 503),
    }


_STATEMENTS: dict[str, Json] = {
    "rows": {"summary": "The first rows", "value": {"sql": "FROM data", "limit": 10}},
    "params": {
        "summary": "Values of parameters",
        "value": {
            "sql": "SELECT count(*) AS n FROM data WHERE _row_id IN $ids OR _row_id >= $first",
            "params": {"ids": ["000000000000", "000000000001"], "first": "000000000002"},
        },
    },
    "previous": {
        "summary": "What is new since the run before",
        "value": {"sql": "FROM data ANTI JOIN previous USING (_row_id)", "previous": True, "format": "csv"},
    },
}
"""Bodies that work with every workflow; ``previous`` needs a second run."""

_STATEMENT_EXPORTS: dict[str, Json] = {
    "csv": {
        "summary": "All rows of a result, for a spreadsheet",
        "value": {"sql": "FROM data ORDER BY _row_id DESC", "bom": True, "delimiter": "semicolon"},
    },
    "parquet": {
        "summary": "What is new since the run before, as Parquet",
        "value": {"sql": "FROM data ANTI JOIN previous USING (_row_id)", "previous": True, "format": "parquet"},
    },
}


def _query() -> Json:
    rows = answer("The result of the statement", "X-Row-Count", "X-Limit-Reached", schema=ref("QueryAnswer"))
    rows["content"] |= {FORMATS[name].content_type: {} for name in ("csv", "jsonl")}
    return {
        "operationId": "queryWorkflowData",
        "summary": "Query one run by SQL",
        "description": "One statement that reads. The table `data` has the rows of the run, and `_row_id`; `previous` "
        "has those of another run, if one was chosen. The statement runs in a separate process that can neither open "
        "files nor connect to hosts.",
        "security": KEY_OR_TOKEN,
        "parameters": [REQUEST_ID],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ref("QueryRequest"), "examples": _STATEMENTS}},
        },
        "responses": {"200": rows} | errors(400, 401, 404, 405, 413, 500, 503),
    }


def _export() -> Json:
    return {
        "operationId": "exportQueryResult",
        "summary": "Export the result of a statement as one file",
        "description": "All rows that the statement returns, as a file like that of any export: with a signed URL, a "
        "status, and a place in the list. Equal requests on the same runs get the same file while it is retained, also "
        "if the statement depends on the time or on chance.",
        "security": KEY_OR_TOKEN,
        "parameters": [PREFER, REQUEST_ID],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ref("StatementExportRequest"), "examples": _STATEMENT_EXPORTS}},
        },
        "responses": export_answers() | errors(400, 401, 404, 405, 413, 429, 500, 503),
    }
