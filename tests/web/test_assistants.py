"""The tools for assistants, by the official client: over HTTP and over stdio."""

import asyncio
import gzip
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from engine.request.formats import FORMATS
from tests.helpers.server import KEY, OTHER_KEY, Server
from tests.helpers.sheets import read_sheet
from tests.web.conftest import ROWS
from web.mcp.tools import how_to_read

Use = Callable[[Client], Awaitable[Any]]


def over_http(server: Server, use: Use, key: str = KEY) -> Any:
    """What comes of it over streamable HTTP."""

    async def run() -> Any:
        async with (
            httpx2.AsyncClient(headers={"x-api-key": key}) as http,
            Client(streamable_http_client(f"{server.base}/mcp", http_client=http)) as client,
        ):
            return await use(client)

    return asyncio.run(run())


@contextmanager
def stdio_client(server: Server, **settings: str) -> Iterator[Callable[[Use], Any]]:
    """A client of ``tailrace mcp``, a process that stays for the block: what comes of a use."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-c", "from web.cli import main; main()", "mcp"],
        env={**server.environment, "TAILRACE_URL": server.base, "TAILRACE_KEY": KEY, **settings},
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Client(command)) as client:
        yield lambda use: portal.call(use, client)


def call(name: str, **arguments: object) -> Use:
    """A call of one tool: its text, and whether it is an error."""

    async def use(client: Client) -> tuple[str, bool]:
        found = await client.call_tool(name, arguments)
        (content,) = found.content
        assert isinstance(content, TextContent)
        return content.text, bool(found.is_error)

    return use


@pytest.fixture(scope="module")
def at_stdio(people: Server) -> Iterator[Callable[[Use], Any]]:
    """A client of ``tailrace mcp`` for all tests."""
    with stdio_client(people) as use:
        yield use


@pytest.fixture(params=["over HTTP", "over stdio"])
def ask(request: pytest.FixtureRequest, people: Server) -> Callable[..., Any]:
    """Call a tool; its JSON."""
    use_at = request.getfixturevalue("at_stdio") if request.param == "over stdio" else partial(over_http, people)

    def asking(name: str, **arguments: object) -> Any:
        text, failed = use_at(call(name, **arguments))
        assert not failed, text
        return json.loads(text)

    return asking


def test_the_tools_say_what_they_are(people: Server) -> None:
    async def use(client: Client) -> Any:
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in over_http(people, use)}
    assert set(tools) == {
        "list_workflows",
        "describe_workflow",
        "read_rows",
        "list_changes",
        "count_rows",
        "export_rows",
        "query_rows",
        "export_query",
        "list_exports",
        "delete_export",
    }
    for tool in tools.values():
        assert tool.description
        assert tool.annotations.read_only_hint is (tool.name != "delete_export")
        assert bool(tool.annotations.destructive_hint) is (tool.name == "delete_export")
        assert "context" not in tool.input_schema["properties"]
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools.values())
    assert "WITHIN_LAST_DAYS" in json.dumps(tools["read_rows"].input_schema)
    assert tools["read_rows"].input_schema["required"] == ["workflow_id"]
    assert tools["export_rows"].input_schema["properties"]["format"]["enum"] == [*FORMATS]
    assert all(how_to_read(name, "none") for name in FORMATS)
    assert "compression='zstd'" in how_to_read("csv", "zstd")


def test_from_the_list_to_the_file(ask: Callable[..., Any], people: Server) -> None:
    assert [row["workflowId"] for row in ask("list_workflows")["workflows"]] == ["people", "unfinished"]
    described = ask("describe_workflow", workflow_id="people")
    assert [field["name"] for field in described["schema"]] == list(ROWS[0])
    kept = [{"field": "age", "operator": "IS_NOT_NULL"}]
    wanted = sorted((row for row in ROWS if row["age"] is not None), key=lambda row: row["age"])
    page = ask("read_rows", workflow_id="people", filters=kept, sort_by="age", limit=1)
    assert (page["data"], page["pagination"]["totalCount"]) == (wanted[:1], 2)
    assert ask("count_rows", workflow_id="people", filters=kept) == {"runId": "r1", "totalCount": 2}
    made = ask("export_rows", workflow_id="people", format="json", filters=kept, sort_by="age")
    assert made["rowCount"] == 2
    assert "curl" in made["howToOpen"]
    assert people.request(made["url"]).json() == wanted
    latest = ask("list_exports", workflow_id="people")["exports"][0]
    assert latest["request"] == {"filters": kept, "sortBy": "age", "order": "asc"}
    assert ask("delete_export", workflow_id="people", export_id=latest["exportId"]) == {"deleted": made["exportId"]}
    assert people.request(made["url"]).status == 404


def test_a_file_of_chosen_columns(ask: Callable[..., Any], people: Server) -> None:
    page = ask("read_rows", workflow_id="people", fields=["home.zip", "name"], limit=1)
    assert [list(row) for row in page["data"]] == [["home.zip", "name"]]
    asked: dict[str, Any] = {"format": "jsonl", "compression": "gzip", "fields": ["home", "name"], "flatten": True}
    made = ask("export_rows", workflow_id="people", expires_in=60, **asked)
    assert "pandas.read_json(url, lines=True, compression='gzip')" in made["howToOpen"]
    assert datetime.fromisoformat(made["expiresAt"]) <= datetime.now(UTC) + timedelta(seconds=60)
    lines = gzip.decompress(people.request(made["url"]).body).splitlines()
    assert [list(json.loads(line)) for line in lines] == [["home.zip", "name"]] * len(ROWS)
    listed = next(
        row for row in ask("list_exports", workflow_id="people")["exports"] if row["exportId"] == made["exportId"]
    )
    assert listed["request"] == {"fields": ["home", "name"], "flatten": True, "compression": "gzip"}


def test_an_assistant_exports_a_sheet(ask: Callable[..., Any], people: Server) -> None:
    made = ask("export_rows", workflow_id="people", format="xlsx", fields=["name", "age"])
    assert "pandas.read_excel(url)" in made["howToOpen"]
    header, *rows = read_sheet(people.request(made["url"]).body)
    assert [cell.text for cell in header] == ["name", "age"]
    assert len(rows) == len(ROWS)


def test_an_assistant_runs_a_statement_and_exports_its_result(ask: Callable[..., Any], people: Server) -> None:
    asked: dict[str, Any] = {
        "workflow_id": "people",
        "sql": "SELECT name, age + $more AS older FROM data WHERE name IN (SELECT name FROM previous) AND age > $least",
        "params": {"more": 1, "least": 7},
        "previous": "r1",
    }
    assert ask("query_rows", **asked)["rows"] == [{"name": "Ann", "older": 32}]
    made = ask("export_query", **asked, format="jsonl", expires_in=60)
    assert "lines=True" in made["howToOpen"]
    assert people.request(made["url"]).body == b'{"name":"Ann","older":32}\n'
    text, failed = over_http(
        people, call("query_rows", workflow_id="people", sql="SELECT name FROM data", format="csv")
    )
    assert (failed, text.splitlines()[0]) == (False, '"name"')


ERRORS: dict[str, tuple[str, dict[str, object], str]] = {
    "an unknown column": ("export_rows", {"workflow_id": "people", "fields": ["nmae"]}, "Did you mean name?"),
    "compressed Parquet": (
        "export_rows",
        {"workflow_id": "people", "format": "parquet", "compression": "gzip"},
        "omit compression",
    ),
    "a missing value": (
        "query_rows",
        {"workflow_id": "people", "sql": "SELECT $city"},
        "the parameter $city: give its value in params",
    ),
    "a forbidden function": (
        "export_query",
        {"workflow_id": "people", "sql": "FROM read_text('/etc/passwd')"},
        "it reads files",
    ),
    "an unknown workflow": ("describe_workflow", {"workflow_id": "nobody"}, "check the ids"),
    "a path for a workflow": ("describe_workflow", {"workflow_id": "people/data"}, "list_workflows lists"),
    "an unknown run": ("read_rows", {"workflow_id": "people", "run_id": "r9"}, "check the ids"),
    "an unknown field": (
        "count_rows",
        {"workflow_id": "people", "filters": [{"field": "nme", "operator": "IS_NULL"}]},
        "filters[0]: there is no field 'nme'. Fields: name, age",
    ),
    "an unknown operator": (
        "export_rows",
        {"workflow_id": "people", "filters": [{"field": "name", "operator": "LIKE", "value": "x"}]},
        "use one of EQUALS",
    ),
    "an export that is gone": (
        "delete_export",
        {"workflow_id": "people", "export_id": "00000000-0000-8000-8000-000000000000"},
        "There is no such export",
    ),
    "a path for an export": ("delete_export", {"workflow_id": "people", "export_id": "x/status"}, "list_exports"),
    "too many rows": ("read_rows", {"workflow_id": "people", "limit": 101}, "100"),
    "a misspelt argument": (
        "export_rows",
        {"workflow_id": "people", "filter": [{"field": "name", "operator": "IS_NULL"}]},
        "Unknown parameter 'filter'; did you mean filters?",
    ),
    "another format": ("export_rows", {"workflow_id": "people", "format": "xls"}, "parquet"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_can_be_acted_on(people: Server, name: str) -> None:
    tool, arguments, reason = ERRORS[name]
    text, failed = over_http(people, call(tool, **arguments))
    assert failed
    assert reason in text
    assert str(people.folder) not in text


def test_another_team_sees_nothing(people: Server) -> None:
    for tool in ("describe_workflow", "read_rows", "count_rows", "export_rows", "query_rows", "export_query"):
        more = {"sql": "FROM data"} if "query" in tool else {}
        text, failed = over_http(people, call(tool, workflow_id="people", **more), OTHER_KEY)
        assert failed
        unknown, _ = over_http(people, call(tool, workflow_id="nobody", **more), OTHER_KEY)
        assert text.partition("request")[0] == unknown.partition("request")[0]
    text, failed = over_http(people, call("list_workflows"), OTHER_KEY)
    assert (json.loads(text)["workflows"], failed) == ([], False)


def test_a_wrong_key_is_a_401(people: Server) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    for headers in ({}, {"x-api-key": "wrong"}):
        answer = people.request("/mcp", "POST", {**headers, "content-type": "application/json"}, body)
        assert (answer.status, answer.json()["code"]) == (401, "unauthorized")
    with stdio_client(people, TAILRACE_KEY="wrong") as use:
        text, failed = use(call("list_workflows"))
    assert failed
    assert "Send a valid API key" in text


def test_numbers_keep_their_digits(tmp_path: Any) -> None:
    with Server((str(tmp_path / "store"), {}), tmp_path) as server:
        (tmp_path / "big.csv").write_text("n\n12345678901234567.123456789012345\n")
        server.publish("--workflow", "big", "--run", "r1", str(tmp_path / "big.csv"))
        text, _ = over_http(server, call("read_rows", workflow_id="big"))
        assert '{"n":12345678901234567.123456789012345}' in text


def test_a_service_that_is_not_there_is_told(people: Server) -> None:
    with stdio_client(people, TAILRACE_URL="http://127.0.0.1:9") as use:
        text, failed = use(call("list_workflows"))
    assert failed
    assert "The service does not respond: is it running, and is the address right?" in text


def _post(server: Server, body: bytes, **headers: str) -> Any:
    known = {"x-api-key": KEY, "content-type": "application/json", "accept": "application/json"}
    return server.request("/mcp", "POST", {**known, **headers}, body)


_LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'


def test_pages_of_other_origins_are_refused(people: Server) -> None:
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{people.port + 1}"):
        answer = _post(people, _LIST, origin=origin)
        assert (answer.status, answer.json()["code"]) == (403, "forbidden"), origin
        # Before anything else: a page learns nothing about keys.
        assert _post(people, _LIST, origin=origin, **{"x-api-key": "wrong"}).status == 403
    rebound = _post(people, _LIST, origin=f"http://evil.example:{people.port}", host=f"evil.example:{people.port}")
    assert rebound.status == 403
    for allowed in ({}, {"origin": people.base}):
        assert len(_post(people, _LIST, **allowed).json()["result"]["tools"]) == 10


def test_no_cache_keeps_rows(people: Server) -> None:
    arguments = {"workflow_id": "people"}
    read = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read_rows", "arguments": arguments}}
    key, sql = {"x-api-key": KEY}, json.dumps({"sql": "FROM data"}).encode()
    workflow = "/v4/workflows/people"
    answers = {
        "mcp": _post(people, json.dumps(read).encode()),
        "page": people.request(f"{workflow}/data", headers=key),
        "page as CSV": people.request(f"{workflow}/data?format=csv", headers=key),
        "column": people.request(f"{workflow}/data/column?field=name", headers=key),
        "SQL": people.request(f"{workflow}/data/query", "POST", key, sql),
    }
    for name, answer in answers.items():
        assert answer.status == 200, name
        assert b"Ann" in answer.body, name
        assert answer.headers["cache-control"] == "no-store", name
    assert people.request(workflow, headers=key).headers["cache-control"] == "no-store"


def test_deep_bodies_are_refused(people: Server) -> None:
    for depth in (500, 100_000):
        body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":%b}}' % (b"[" * depth + b"]" * depth)
        assert _post(people, body).status == 400
    assert _post(people, _LIST).status == 200
