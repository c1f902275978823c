"""Hostile texts as arguments of an assistant's tools are values, or are refused without internals in the message."""

import asyncio
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from tests.attack.payloads import PATHS, SQL
from tests.attack.test_injection import LEAKS
from tests.helpers.server import KEY, Server

TEXTS = [text for text in (*SQL[::3], *PATHS[::3]) if text != "null"]
"""Every third: the tools ask the API, which is tried with all of them. The protocol's library takes "null" for null."""

ARGUMENTS: dict[str, tuple[str, Any]] = {
    "workflow_id": ("read_rows", lambda text: {"workflow_id": text}),
    "workflow_id of a description": ("describe_workflow", lambda text: {"workflow_id": text}),
    "run_id": ("count_rows", lambda text: {"workflow_id": "people", "run_id": text}),
    "sort_by": ("export_rows", lambda text: {"workflow_id": "people", "sort_by": text}),
    "order": ("read_rows", lambda text: {"workflow_id": "people", "order": text}),
    "format": ("export_rows", lambda text: {"workflow_id": "people", "format": text}),
    "page": ("list_workflows", lambda text: {"page": text}),
    "a parameter": ("query_rows", lambda text: {"workflow_id": "people", "sql": "SELECT $x", "params": {text: 1}}),
    "a parameter of a file": (
        "export_query",
        lambda text: {"workflow_id": "people", "sql": "SELECT $x", "params": {text: 1}},
    ),
    "previous": ("query_rows", lambda text: {"workflow_id": "people", "sql": "FROM previous", "previous": text}),
    "a field": ("count_rows", lambda text: _filters(field=text)),
    "an operator": ("count_rows", lambda text: _filters(operator=text)),
    "a member": ("count_rows", lambda text: _filters(**{text: 1})),
}


def _filters(**members: Any) -> dict[str, Any]:
    entry = {"field": "name", "operator": "EQUALS", "value": "x", **members}
    return {"workflow_id": "people", "filters": [entry]}


def answers(server: Server, tool: str, arguments: list[dict[str, Any]]) -> list[tuple[bool, str]]:
    """What a tool says to each of these, and whether it is an error."""

    async def run() -> list[tuple[bool, str]]:
        async with (
            httpx2.AsyncClient(headers={"x-api-key": KEY}) as http,
            Client(streamable_http_client(f"{server.base}/mcp", http_client=http)) as client,
        ):
            found = []
            for one in arguments:
                told = await client.call_tool(tool, one)
                (content,) = told.content
                assert isinstance(content, TextContent)
                found.append((bool(told.is_error), content.text))
            return found

    return asyncio.run(run())


@pytest.mark.parametrize("name", ARGUMENTS)
def test_hostile_arguments_are_refused(people: Server, name: str) -> None:
    tool, arguments = ARGUMENTS[name]
    for text, (failed, told) in zip(TEXTS, answers(people, tool, [arguments(text) for text in TEXTS]), strict=True):
        assert failed, (text, told)
        assert not LEAKS.search(told.replace(text, "").replace(repr(text)[1:-1], "")), told


@pytest.mark.parametrize("place", ["row_ids", "value"])
def test_hostile_values_match_nothing(people: Server, place: str) -> None:
    row_ids = place == "row_ids"
    asked = [{"workflow_id": "people", "row_ids": [text]} if row_ids else _filters(value=text) for text in TEXTS]
    for text, (failed, told) in zip(TEXTS, answers(people, "read_rows", asked), strict=True):
        assert not failed, (text, told)
        assert '"totalCount":0' in told
