"""The tools: what an assistant may ask of the API, in its words."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Annotated, Any, Literal

import httpx2
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from engine.request.formats import FORMATS
from engine.request.operators import OPERATORS

MOST_ROWS = 100
"""Rows of a page: what an assistant reads costs its context; files are for more."""

ClientOf = Callable[[Context[Any, Any]], AbstractAsyncContextManager[httpx2.AsyncClient]]
"""A client of the API that has the credentials of whoever calls a tool."""

_INSTRUCTIONS = (
    "Tailrace holds the results of web-data workflows: workflows have runs, runs have rows. Begin with list_workflows, "
    "then describe_workflow for columns and the operators that each takes. read_rows and count_rows are for looking; "
    "export_rows makes one file of any size and gives a link that opens without a key: hand that link to the user or "
    "to a sandbox rather than reading many pages."
)
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Workflow = Annotated[str, Field(description="The id of a workflow, from list_workflows")]
RunId = Annotated[str | None, Field(description="A finished run; the latest one if left out")]
Filters = Annotated[
    list[dict[str, Any]] | None,
    Field(
        description="What rows have to be, all must hold: "
        '[{"field": "price", "operator": "GREATER_THAN", "value": 100}]. '
        f"A dotted path reaches into an object. Operators: {', '.join(OPERATORS)}"
    ),
]
SortBy = Annotated[str | None, Field(description="One field or dotted path; the run's own order if left out")]
Order = Annotated[Literal["asc", "desc"], Field(description="Of sort_by; nulls are last in both")]
RowIds = Annotated[list[str] | None, Field(description="The rows that are wanted, by their ids")]
FormatName = Annotated[str, Field(description="Of the file", json_schema_extra={"enum": [*FORMATS]})]

READERS = {
    "csv": "pandas.read_csv(url) or DuckDB: FROM read_csv('<url>')",
    "json": "pandas.read_json(url) or DuckDB: FROM read_json('<url>')",
    "parquet": "pandas.read_parquet(url), polars.scan_parquet(url) or DuckDB: FROM read_parquet('<url>')",
}
"""How to read a file of each format by its URL."""


def make_server(client_of: ClientOf) -> MCPServer[Any]:
    """A server whose tools ask the API through these clients."""
    server: MCPServer[Any] = MCPServer(
        "tailrace", instructions=_INSTRUCTIONS, version=version("tailrace"), log_level="ERROR"
    )

    async def ask(context: Context[Any, Any], method: str, path: str, **sent: Any) -> str:
        async with client_of(context) as client:
            try:
                answer = await client.request(method, f"/v4/workflows{path}", **sent)
            except httpx2.HTTPError as error:
                raise ToolError("The service does not answer: is it running, and is the address right?") from error
        if answer.status_code != 200:
            raise ToolError(_reason(answer))
        # The text as it came: parsed and spelled anew, a number could change.
        return answer.text

    @server.tool(annotations=_READS, structured_output=False)
    async def list_workflows(
        context: Context[Any, Any], page: Annotated[int, Field(ge=1, description="Which page of 100")] = 1
    ) -> str:
        """The workflows that you may see, with their latest finished runs."""
        return await ask(context, "GET", "", params={"page": page, "limit": 100})

    @server.tool(annotations=_READS, structured_output=False)
    async def describe_workflow(context: Context[Any, Any], workflow_id: Workflow) -> str:
        """The columns of a workflow, each with its type and the operators that filters on it take, and its runs."""
        return await ask(context, "GET", _path(workflow_id))

    @server.tool(annotations=_READS, structured_output=False)
    async def read_rows(
        context: Context[Any, Any],
        workflow_id: Workflow,
        run_id: RunId = None,
        filters: Filters = None,
        sort_by: SortBy = None,
        order: Order = "asc",
        row_ids: RowIds = None,
        page: Annotated[int, Field(ge=1)] = 1,
        limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25,
    ) -> str:
        """A small page of the rows that match, and how many there are in all."""
        asked = _asked(run_id, filters, row_ids) | _sorted(sort_by, order)
        return await ask(
            context, "GET", f"{_path(workflow_id)}/data", params=_as_query(asked) | {"page": page, "limit": limit}
        )

    @server.tool(annotations=_READS, structured_output=False)
    async def count_rows(
        context: Context[Any, Any], workflow_id: Workflow, run_id: RunId = None, filters: Filters = None
    ) -> str:
        """How many rows match."""
        asked = _as_query(_asked(run_id, filters, None)) | {"limit": 0}
        found = json.loads(await ask(context, "GET", f"{_path(workflow_id)}/data", params=asked))
        return json.dumps({"runId": found["runId"], "totalCount": found["pagination"]["totalCount"]})

    @server.tool(annotations=_READS, structured_output=False)
    async def export_rows(
        context: Context[Any, Any],
        workflow_id: Workflow,
        format: FormatName = "csv",  # noqa: A002  # the name that callers know
        run_id: RunId = None,
        filters: Filters = None,
        sort_by: SortBy = None,
        order: Order = "asc",
        row_ids: RowIds = None,
    ) -> str:
        """One file of all rows that match, of any size: a link that opens without a key, and how to open it."""
        asked = {"format": format} | _asked(run_id, filters, row_ids) | _sorted(sort_by, order)
        text = await ask(context, "POST", f"{_path(workflow_id)}/data/export", json=asked)
        made = json.loads(text)
        return json.dumps(
            {
                **made,
                "howToOpen": f"Until {made['expiresAt']} without any header: a browser, curl -o FILE '<url>', "
                f"{READERS[format]}.",
            }
        )

    return server


def _path(workflow_id: str) -> str:
    # What is no id is no path either: it must not lead to another route.
    if not workflow_id or any(character in workflow_id for character in "/?#%\\") or workflow_id.startswith("."):
        raise ToolError("There is no such workflow: list_workflows tells which there are.")
    return f"/{workflow_id}"


def _asked(run_id: str | None, filters: list[dict[str, Any]] | None, row_ids: list[str] | None) -> dict[str, Any]:
    members = {"runId": run_id, "filters": filters, "rowIds": row_ids}
    return {name: value for name, value in members.items() if value is not None}


def _sorted(sort_by: str | None, order: str) -> dict[str, Any]:
    return {"sortBy": sort_by, "order": order} if sort_by else {}


def _as_query(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in members.items()}


def _reason(answer: httpx2.Response) -> str:
    """What went wrong, as the API says it: the message names the parameter and the remedy."""
    try:
        body = answer.json()
        reason = f"{body['message']} ({body['code']}, request {body['requestId']})"
    except (ValueError, KeyError, TypeError):
        reason = f"The service answered {answer.status_code}."
    wait = answer.headers.get("retry-after")
    return f"{reason} Try again in {wait} s." if wait else reason
