"""The tools that assistants can call, and their descriptions."""

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Annotated, Any, Literal

import httpx2
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, InputRequiredResult, Tool, ToolAnnotations
from pydantic import Field

from engine.errors import InvalidRequest
from engine.request.formats import COMPRESSIONS, FORMATS
from engine.request.operators import OPERATORS
from web.api.parameters import check_name

MAX_PAGE_ROWS = 100
"""Small, since rows take up an assistant's context; files are for more."""

ClientOf = Callable[[Context[Any, Any]], AbstractAsyncContextManager[httpx2.AsyncClient]]
"""Returns a client of the API with the credentials of the tool's caller."""

_INSTRUCTIONS = (
    "Tailrace serves the results of web-data workflows: a workflow has runs, and a run has rows. Start with "
    "list_workflows, then use describe_workflow for the columns and the operators that each accepts. read_rows and "
    "count_rows are for a first look, query_rows answers questions by SQL; export_rows and export_query make one file "
    "of any size and return a link that opens without a key: give that link to the user or to a sandbox instead of "
    "reading many pages. list_changes and since_run_id show what was added, changed or removed since an earlier run."
)
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_DELETES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)

Workflow = Annotated[str, Field(description="The id of a workflow, from list_workflows")]
RunId = Annotated[str | None, Field(description="A finished run; default: the latest one")]
SinceRunId = Annotated[
    str | None,
    Field(
        description="An earlier run: only the rows that were added, changed or removed since; removed rows have their "
        "old values. The columns _change and _row_id come first"
    ),
]
Filters = Annotated[
    list[dict[str, Any]] | None,
    Field(
        description="Conditions on the rows; all must hold: "
        '[{"field": "price", "operator": "GREATER_THAN", "value": 100}]. '
        f"A dotted path reaches into an object. Operators: {', '.join(OPERATORS)}"
    ),
]
SortBy = Annotated[str | None, Field(description="One field or dotted path; default: the order of the run")]
Order = Annotated[Literal["asc", "desc"], Field(description="Order of sort_by; nulls come last in both")]
RowIds = Annotated[list[str] | None, Field(description="Only the rows with these ids")]
Fields = Annotated[
    list[str] | None,
    Field(description="Only these columns, in this order; a dotted path such as price.amount is one column"),
]
Flatten = Annotated[bool, Field(description="Objects become columns with dotted names: price.amount, price.currency")]
ExpiresIn = Annotated[int | None, Field(ge=60, description="For how many seconds the link is valid; default: longest")]
Sql = Annotated[
    str,
    Field(
        description="One SELECT in DuckDB's dialect. The table `data` has the rows of the run; `previous` has those of "
        "another run, if one was chosen"
    ),
]
Params = Annotated[
    dict[str, Any] | None,
    Field(description='Values of $name in the statement: {"city": "Rome", "ids": ["a1", "a2"]}'),
]
Previous = Annotated[
    bool | str | None,
    Field(description="Another finished run for the table `previous`: its id, or true for the run before"),
]
FormatName = Annotated[str, Field(description="The format of the file", json_schema_extra={"enum": [*FORMATS]})]

CompressionName = Annotated[
    str, Field(description="For csv, json and jsonl files", json_schema_extra={"enum": [*COMPRESSIONS]})
]

_READERS = {
    "csv": "pandas.read_csv(url{options}), polars.read_csv(url) or DuckDB: FROM read_csv('<url>')",
    "json": "pandas.read_json(url{options}) or DuckDB: FROM read_json('<url>')",
    "jsonl": "pandas.read_json(url, lines=True{options}) or DuckDB: FROM read_json('<url>')",
    "xlsx": "Excel, pandas.read_excel(url) or DuckDB, after LOAD excel: FROM read_xlsx('<url>', stop_at_empty = false)",
    "parquet": "pandas.read_parquet(url), polars.scan_parquet(url) or DuckDB: FROM read_parquet('<url>')",
}


def how_to_read(format_name: str, compression: str) -> str:
    """How to read a file by its URL."""
    # pandas does not see the compression, since the URL ends with its signature.
    options = "" if compression == "none" else f", compression='{compression}'"
    return _READERS[format_name].format(options=options)


class _Server(MCPServer[Any]):
    """Refuses arguments that a tool does not have; the SDK ignores them, and a misspelt filter would select all."""

    async def list_tools(self) -> list[Tool]:
        """List the tools, with schemas that say so."""
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema = {**tool.input_schema, "additionalProperties": False}
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. Raises ToolError."""
        for tool in await super().list_tools():
            for argument in arguments if tool.name == name else ():
                try:
                    check_name(argument, list(tool.input_schema["properties"]))
                except InvalidRequest as error:
                    raise ToolError(error.message) from error
        return await super().call_tool(name, arguments, context)


def make_server(client_of: ClientOf) -> MCPServer[Any]:
    """Return a server whose tools use these clients."""
    server = _Server("tailrace", instructions=_INSTRUCTIONS, version=version("tailrace"), log_level="ERROR")

    async def send(
        context: Context[Any, Any], method: str, path: str, *, root: str = "/v4/workflows", **sent: Any
    ) -> str:
        async with client_of(context) as client:
            try:
                answer = await client.request(method, f"{root}{path}", **sent)
            except httpx2.HTTPError as error:
                raise ToolError("The service does not respond: is it running, and is the address right?") from error
        if answer.status_code not in (200, 204):
            raise ToolError(_reason(answer))
        # Unparsed: re-encoding could change numbers.
        return answer.text

    @server.tool(annotations=_READS, structured_output=False)
    async def list_workflows(
        context: Context[Any, Any],
        page: Annotated[int, Field(ge=1, description="Number of the page; a page has 100 workflows")] = 1,
    ) -> str:
        """List the workflows that you have access to, with their latest finished runs."""
        return await send(context, "GET", "", params={"page": page, "limit": 100})

    @server.tool(annotations=_READS, structured_output=False)
    async def describe_workflow(context: Context[Any, Any], workflow_id: Workflow) -> str:
        """Describe a workflow: its columns, each with type and filter operators, and its runs."""
        return await send(context, "GET", _path(workflow_id))

    @server.tool(annotations=_READS, structured_output=False)
    async def read_rows(
        context: Context[Any, Any],
        workflow_id: Workflow,
        run_id: RunId = None,
        filters: Filters = None,
        sort_by: SortBy = None,
        order: Order = "asc",
        row_ids: RowIds = None,
        fields: Fields = None,
        since_run_id: SinceRunId = None,
        page: Annotated[int, Field(ge=1)] = 1,
        limit: Annotated[int, Field(ge=1, le=MAX_PAGE_ROWS)] = 25,
    ) -> str:
        """Read a small page of the matching rows, and the number of all matching rows."""
        members = _selection(run_id, filters, row_ids, fields, since_run_id) | _sorted(sort_by, order)
        return await send(
            context, "GET", f"{_path(workflow_id)}/data", params=_as_query(members) | {"page": page, "limit": limit}
        )

    @server.tool(annotations=_READS, structured_output=False)
    async def count_rows(
        context: Context[Any, Any], workflow_id: Workflow, run_id: RunId = None, filters: Filters = None
    ) -> str:
        """Count the matching rows."""
        members = _as_query(_selection(run_id, filters)) | {"limit": 1}
        found = json.loads(await send(context, "GET", f"{_path(workflow_id)}/data", params=members))
        return json.dumps({"runId": found["runId"], "totalCount": found["pagination"]["totalCount"]})

    @server.tool(annotations=_READS, structured_output=False)
    async def export_rows(
        context: Context[Any, Any],
        workflow_id: Workflow,
        format: FormatName = "csv",  # noqa: A002  # the name that callers know
        compression: CompressionName = "none",
        run_id: RunId = None,
        filters: Filters = None,
        sort_by: SortBy = None,
        order: Order = "asc",
        row_ids: RowIds = None,
        fields: Fields = None,
        flatten: Flatten = False,
        since_run_id: SinceRunId = None,
        expires_in: ExpiresIn = None,
    ) -> str:
        """Export all matching rows to one file of any size; returns a link that opens without a key."""
        members = {"format": format, "compression": compression, "flatten": flatten} | _selection(
            run_id, filters, row_ids, fields, since_run_id
        )
        members |= _sorted(sort_by, order) | ({} if expires_in is None else {"expiresIn": expires_in})
        text = await send(context, "POST", f"{_path(workflow_id)}/data/export", json=members)
        return _with_advice(text, format, compression)

    @server.tool(annotations=_READS, structured_output=False)
    async def list_changes(
        context: Context[Any, Any],
        workflow_id: Annotated[str | None, Field(description="The id of a workflow; default: all")] = None,
        page: Annotated[int, Field(ge=1, description="Number of the page; a page has 25 changes")] = 1,
    ) -> str:
        """List what changed from run to run, the newest first: how many rows were added, changed and removed, and
        in which columns.

        To get these rows, pass the runId and sinceRunId of an entry to read_rows or export_rows.
        """
        members = {"skip": 25 * (page - 1)} | ({} if workflow_id is None else {"workflowIds": workflow_id})
        return await send(context, "GET", "/changes", root="/v5", params=members)

    _add_sql_tools(server, send)
    _add_export_tools(server, send)
    return server


def _add_sql_tools(server: MCPServer[Any], send: Callable[..., Awaitable[str]]) -> None:
    """Add the tools for SQL statements."""

    @server.tool(annotations=_READS, structured_output=False)
    async def query_rows(
        context: Context[Any, Any],
        workflow_id: Workflow,
        sql: Sql,
        params: Params = None,
        run_id: RunId = None,
        previous: Previous = None,
        format: Annotated[Literal["json", "csv", "jsonl"], Field(description="The format of the rows")] = "json",  # noqa: A002  # the name that callers know
        limit: Annotated[int, Field(ge=1, le=MAX_PAGE_ROWS)] = 25,
    ) -> str:
        """Run one SQL statement on one or two runs of a workflow: counts, groups, joins, differences."""
        members = _statement(sql, params, run_id, previous) | {"format": format, "limit": limit}
        return await send(context, "POST", f"{_path(workflow_id)}/data/query", json=members)

    @server.tool(annotations=_READS, structured_output=False)
    async def export_query(
        context: Context[Any, Any],
        workflow_id: Workflow,
        sql: Sql,
        params: Params = None,
        run_id: RunId = None,
        previous: Previous = None,
        format: FormatName = "csv",  # noqa: A002  # the name that callers know
        compression: CompressionName = "none",
        expires_in: ExpiresIn = None,
    ) -> str:
        """Export all rows of a statement's result to one file; returns a link that opens without a key."""
        members = _statement(sql, params, run_id, previous) | {"format": format, "compression": compression}
        members |= {} if expires_in is None else {"expiresIn": expires_in}
        text = await send(context, "POST", f"{_path(workflow_id)}/data/query/export", json=members)
        return _with_advice(text, format, compression)


def _add_export_tools(server: MCPServer[Any], send: Callable[..., Awaitable[str]]) -> None:
    """Add the tools for finished exports."""

    @server.tool(annotations=_READS, structured_output=False)
    async def list_exports(
        context: Context[Any, Any],
        workflow_id: Workflow,
        page: Annotated[int, Field(ge=1, description="Number of the page; a page has 25 exports")] = 1,
    ) -> str:
        """List the finished exports of a workflow, the newest first: what was asked for, rows, bytes, time left."""
        return await send(context, "GET", f"{_path(workflow_id)}/data/exports", params={"page": page})

    @server.tool(annotations=_DELETES, structured_output=False)
    async def delete_export(
        context: Context[Any, Any],
        workflow_id: Workflow,
        export_id: Annotated[str, Field(description="The exportId of a finished export")],
    ) -> str:
        """Delete the file of a finished export. Its links stop working for everyone, for ever."""
        await send(context, "DELETE", f"{_path(workflow_id)}/data/exports{_path(export_id)}")
        return json.dumps({"deleted": export_id})


def _with_advice(answer: str, format_name: str, compression: str) -> str:
    """The answer of an export, and how to open its file."""
    created = json.loads(answer)
    advice = (
        f"Until {created['expiresAt']} without any header: a browser, curl -o FILE '<url>', "
        f"{how_to_read(format_name, compression)}."
    )
    return json.dumps({**created, "howToOpen": advice})


def _path(given_id: str) -> str:
    # Anything that is not an id must not lead to another route.
    if not given_id or any(character in given_id for character in "/?#%\\") or given_id.startswith("."):
        raise ToolError(
            "There is no such workflow or export: list_workflows lists workflows, and list_exports their exports."
        )
    return f"/{given_id}"


def _selection(
    run_id: str | None,
    filters: list[dict[str, Any]] | None,
    row_ids: list[str] | None = None,
    fields: list[str] | None = None,
    since_run_id: str | None = None,
) -> dict[str, Any]:
    members = {
        "runId": run_id,
        "filters": filters,
        "rowIds": row_ids,
        "fields": fields,
        "sinceRunId": since_run_id,
    }
    return {name: value for name, value in members.items() if value is not None}


def _statement(
    sql: str, params: dict[str, Any] | None, run_id: str | None, previous: bool | str | None
) -> dict[str, Any]:
    members = {"sql": sql, "params": params, "runId": run_id, "previous": previous}
    return {name: value for name, value in members.items() if value is not None}


def _sorted(sort_by: str | None, order: str) -> dict[str, Any]:
    return {"sortBy": sort_by, "order": order} if sort_by else {}


def _as_query(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in members.items()}


def _reason(answer: httpx2.Response) -> str:
    """Return the API's error message, which names the parameter and the remedy."""
    try:
        body = answer.json()
        reason = f"{body['message']} ({body['code']}, request {body['requestId']})"
    except (ValueError, KeyError, TypeError):
        reason = f"The service responded with status {answer.status_code}."
    wait = answer.headers.get("retry-after")
    return f"{reason} Retry after {wait} s." if wait else reason
