"""Callers' SQL over HTTP: parameters, a second run, formats and types."""

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.server import KEY, OTHER_KEY, Answer, Server
from tests.helpers.statements import ENDLESS, children, until
from tests.helpers.stores import any_store
from web.openapi.document import make_document

Json = dict[str, Any]

BEFORE: list[Json] = [
    {"sku": "a", "price": 1.5, "stock": 3, "listed": "2026-01-02", "tags": ["x"]},
    {"sku": "b", "price": 2.5, "stock": None, "listed": "2026-02-03", "tags": []},
    {"sku": "c", "price": 10.0, "stock": 9007199254740993, "listed": None, "tags": None},
]
AFTER: list[Json] = [
    {"sku": "b", "price": 3.0, "stock": 0, "listed": "2026-02-03", "tags": ["y", "z"]},
    {"sku": "c", "price": 10.0, "stock": 9007199254740993, "listed": None, "tags": None},
    {"sku": 'd "1", 100%', "price": 0.1, "stock": 7, "listed": "2026-03-04", "tags": ["x"]},
]


@pytest.fixture(scope="module")
def shop(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service on either store, with two finished runs of a workflow and a failed one between them."""
    folder: Path = tmp_path_factory.mktemp("shop")
    with Server(module_store_url, folder) as server:
        for run, state, rows in (("r1", "FINISHED", BEFORE), ("r2", "FAILED", BEFORE), ("r3", "FINISHED", AFTER)):
            source = folder / f"{run}.json"
            source.write_text(json.dumps(rows))
            at = f"2026-11-0{run[1]}T00:00:00Z"
            server.publish(
                *("--workflow", "shop", "--run", run, "--state", state, "--executed-at", at, "--row-id", "sku"),
                str(source),
            )
        yield server


def ask(server: Server, **members: object) -> Answer:
    body = json.dumps(members).encode()
    return server.request("/v4/workflows/shop/data/query", "POST", {"x-api-key": KEY}, body)


def rows(answer: Answer) -> list[Json]:
    assert answer.status == 200, answer.body
    found: list[Json] = answer.json()["rows"]
    return found


def skus(kept: object, of: list[Json] = AFTER) -> list[Json]:
    """The rows that a test in plain Python keeps, as a statement `SELECT sku` returns them."""
    assert callable(kept)
    return [{"sku": row["sku"]} for row in of if kept(row)]


BOUND: dict[str, tuple[str, Json, object]] = {
    "text": ("sku = $p", {"p": "b"}, lambda row: row["sku"] == "b"),
    "text is never SQL": ("sku = $p", {"p": "b' OR '1' = '1"}, lambda row: False),
    "text with quotes": ("sku = $p", {"p": 'd "1", 100%'}, lambda row: row["sku"] == 'd "1", 100%'),
    "an integer that no double holds": ("stock = $p", {"p": 9007199254740993}, lambda row: row["sku"] == "c"),
    "the integer beside it": ("stock = $p", {"p": 9007199254740992}, lambda row: False),
    "a decimal": ("price > $p", {"p": 2.999}, lambda row: row["price"] > 2.999),
    "a boolean": ("(stock > 5) = $p", {"p": True}, lambda row: row["stock"] > 5),
    "null": ("$p IS NULL AND listed IS NULL", {"p": None}, lambda row: row["listed"] is None),
    "a date as text": ("listed >= $p", {"p": "2026-03-01"}, lambda row: (row["listed"] or "") >= "2026-03-01"),
    "an array of text": ("sku IN $p", {"p": ["b", "c", "x"]}, lambda row: row["sku"] in ("b", "c", "x")),
    "an array of numbers": ("stock IN $p", {"p": [0, 7.0, None]}, lambda row: row["stock"] in (0, 7)),
    "an empty array": ("sku IN $p", {"p": []}, lambda row: False),
    "in a list": ("list_contains(tags, $p)", {"p": "x"}, lambda row: "x" in (row["tags"] or ())),
    "in any letter case": ("sku = $Name", {"nAME": "b"}, lambda row: row["sku"] == "b"),
    "twice": ("price BETWEEN $a AND $a + 1", {"a": 2.5}, lambda row: 2.5 <= row["price"] <= 3.5),
    "not in strings or comments": ("sku <> '$x' -- $y", {}, lambda row: True),
}


@any_store
@pytest.mark.parametrize("name", BOUND)
def test_parameters_are_bound_as_their_json_values(shop: Server, name: str) -> None:
    condition, params, kept = BOUND[name]
    sql = f"SELECT sku FROM (SELECT * FROM data WHERE {condition}\n) ORDER BY sku"
    assert rows(ask(shop, sql=sql, params=params)) == skus(kept)


@any_store
def test_parameters_are_allowed_wherever_duckdb_takes_them(shop: Server) -> None:
    sql = "WITH a AS (SELECT sku, price * $by AS p FROM data) SELECT * FROM a ORDER BY p LIMIT $n"
    found = rows(ask(shop, sql=sql, params={"by": 10, "n": 2}))
    assert found == [{"sku": 'd "1", 100%', "p": 1.0}, {"sku": "b", "p": 30.0}]
    assert rows(ask(shop, sql="SELECT $n + 1 AS m FROM range($n);", params={"n": 2})) == [{"m": 3}, {"m": 3}]
    assert rows(ask(shop, sql="SELECT ($j::JSON)->>'a' AS a", params={"j": '{"a": "x"}'})) == [{"a": "x"}]


WRONG: dict[str, tuple[Json, Json, str]] = {
    "a missing value": (
        {"sql": "SELECT $city"}, {"parameter": "params", "entry": "params.city"}, "the parameter $city: give its value",
    ),
    "an unused value": (
        {"sql": "SELECT 1", "params": {"x": 1}}, {"parameter": "params", "entry": "params.x"}, "statement has no $x",
    ),
    "a position": ({"sql": "SELECT ?", "params": {"x": 1}}, {"parameter": "sql"}, "Parameters have names"),
    "a number as name": (
        {"sql": "SELECT $1", "params": {"1": 1}}, {"parameter": "params", "entry": "params['1']"}, "names have letters",
    ),
    "an object": (
        {"sql": "SELECT $x", "params": {"x": {"a": 1}}}, {"parameter": "params", "entry": "params.x"}, "$x::JSON",
    ),
    "an array of arrays": (
        {"sql": "SELECT $x", "params": {"x": [[1]]}}, {"parameter": "params", "entry": "params.x"}, "an array of these",
    ),
    "an array of several types": (
        {"sql": "SELECT $x", "params": {"x": [1, "a"]}}, {"parameter": "params", "entry": "params.x"}, "integer, text",
    ),
    "two letter cases": (
        {"sql": "SELECT $x", "params": {"x": 1, "X": 1}}, {"parameter": "params", "entry": "params.X"}, "letter case",
    ),
    "too many digits": (
        {"sql": "SELECT $x", "params": {"x": 10**38}}, {"parameter": "params", "entry": "params.x"}, "38 digits",
    ),
    "too many": (
        {"sql": "SELECT 1", "params": {f"p{n}": n for n in range(101)}}, {"parameter": "params"}, "the maximum is 100",
    ),
    "too many values": (
        {"sql": "SELECT $x", "params": {"x": [0] * 100_001}}, {"parameter": "params"}, "the maximum is 100,000",
    ),
    "a list as params": ({"sql": "SELECT 1", "params": [1]}, {"parameter": "params"}, "params: must be an object"),
    "a table without previous": ({"sql": "FROM previous"}, {"parameter": "sql"}, "set the parameter previous"),
    "a number as previous": ({"sql": "FROM data", "previous": 1}, {"parameter": "previous"}, "must be true"),
    "nothing before": (
        {"sql": "FROM data", "runId": "r1", "previous": True}, {"parameter": "previous"}, "no finished run before r1",
    ),
    "an unknown format": ({"sql": "FROM data", "format": "parquet"}, {"parameter": "format"}, "'json', 'csv' or"),
}  # fmt: skip


@any_store
@pytest.mark.parametrize("name", WRONG)
def test_an_error_names_what_is_wrong(shop: Server, name: str) -> None:
    members, details, reason = WRONG[name]
    answer = ask(shop, **members)
    assert (answer.status, answer.json()["details"]) == (400, details), answer.body
    assert reason in answer.json()["message"]


def test_the_previous_run_is_a_table(shop: Server) -> None:
    sql = "SELECT sku, data.price - previous.price AS rise FROM data JOIN previous USING (sku) ORDER BY sku"
    before = {row["sku"]: row["price"] for row in BEFORE}
    expected = [{"sku": row["sku"], "rise": row["price"] - before[row["sku"]]} for row in AFTER if row["sku"] in before]
    for previous in (True, "r1"):
        answer = ask(shop, sql=sql, previous=previous)
        assert rows(answer) == expected
        assert (answer.json()["runId"], answer.json()["previousRunId"]) == ("r3", "r1")
    # The other way round, and the same run twice.
    sql = "SELECT sku FROM data ANTI JOIN previous USING (sku) ORDER BY sku"
    assert rows(ask(shop, sql=sql, runId="r1", previous="r3")) == [{"sku": "a"}]
    assert rows(ask(shop, sql=sql, runId="r1", previous="r1")) == []
    assert ask(shop, sql="FROM data", previous=False).json()["previousRunId"] is None


@any_store
@pytest.mark.parametrize("run", ["r2", "r9", "../r1", ""])
def test_a_run_that_is_not_finished_or_not_there_cannot_be_previous(shop: Server, run: str) -> None:
    answer = ask(shop, sql="FROM previous", previous=run)
    assert (answer.status, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_rows_alone_have_the_bytes_of_an_export(shop: Server, name: str) -> None:
    exported = shop.download("shop", format=name)
    answer = ask(shop, sql="SELECT * EXCLUDE (_row_id) FROM data", format=name)
    assert (answer.status, answer.body) == (200, exported)
    headers = {"cache-control": "no-store", "x-row-count": "3", "x-limit-reached": "false"}
    assert headers.items() <= answer.headers.items()
    assert answer.headers["content-type"] == {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}[name]
    first = ask(shop, sql="SELECT sku FROM data", format=name, limit=1)
    assert (first.headers["x-row-count"], first.headers["x-limit-reached"]) == ("1", "true")
    assert first.body == {"csv": b'"sku"\nb\n', "jsonl": b'{"sku":"b"}\n'}[name]


@any_store
def test_rows_with_times_are_cut_at_the_limit(shop: Server) -> None:
    answer = ask(shop, sql="SELECT sku, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS t FROM data", limit=1).json()
    assert (answer["rows"], answer["limitReached"]) == ([{"sku": "b", "t": "2026-01-01T00:00:00Z"}], True)


@any_store
def test_columns_have_the_types_of_duckdb(shop: Server) -> None:
    sql = "SELECT sum(stock) AS s, 'a'::ENUM('a') AS e, price, [TIMESTAMP '2026-01-01'] AS t, $n AS n FROM data"
    sql += " GROUP BY ALL"
    columns = ask(shop, sql=sql, params={"n": 10**30}).json()["columns"]
    assert [(column["name"], column["storedAs"], column["duckdbType"]) for column in columns] == [
        ("s", "DECIMAL(38,0)", "HUGEINT"),
        ("e", "VARCHAR", "ENUM('a')"),
        ("price", "DOUBLE", "DOUBLE"),
        ("t", "TIMESTAMP WITH TIME ZONE[]", "TIMESTAMP[]"),
        ("n", "DECIMAL(38,0)", "HUGEINT"),
    ]


def export(server: Server, prefer: str | None = None, key: str = KEY, **members: object) -> Answer:
    headers = {"x-api-key": key} | ({} if prefer is None else {"prefer": prefer})
    return server.request("/v4/workflows/shop/data/query/export", "POST", headers, json.dumps(members).encode())


def test_a_result_becomes_a_file_with_a_signed_url(shop: Server) -> None:
    sql = "SELECT sku, price * $by AS p FROM data WHERE sku IN (SELECT sku FROM previous) ORDER BY sku"
    asked: Json = {"sql": sql, "params": {"by": 2}, "previous": True, "format": "jsonl", "expiresIn": 600}
    answer = export(shop, **asked)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store"), answer.body
    made = answer.json()
    assert (made["runId"], made["format"], made["rowCount"]) == ("r3", "jsonl", 2)
    assert made["schema"] == [{"name": "sku", "type": "STRING"}, {"name": "p", "type": "NUMBER"}]
    file = shop.request(made["url"])
    assert file.body == b'{"sku":"b","p":6.0}\n{"sku":"c","p":20.0}\n'
    assert made["sha256"] == sha256(file.body).hexdigest()
    assert 'filename="shop-r3-query.jsonl"' in file.headers["content-disposition"]
    # The same again is the same file, and it is listed with what was asked for.
    assert export(shop, **asked).json()["exportId"] == made["exportId"]
    listed = shop.request("/v4/workflows/shop/data/exports", headers={"x-api-key": KEY}).json()["exports"]
    (entry,) = (one for one in listed if one["exportId"] == made["exportId"])
    assert entry["request"] == {"sql": sql, "params": {"by": 2}, "previous": "r1"}
    # A signature opens its own file only.
    other = export(shop, sql="SELECT 1 AS one").json()
    swapped = made["url"].replace(made["exportId"], other["exportId"])
    assert shop.request(swapped).status == 401


def test_an_export_of_a_result_can_be_asynchronous(shop: Server) -> None:
    def ended(sql: str) -> Json:
        answer = export(shop, "respond-async", sql=sql)
        assert (answer.status, answer.headers["preference-applied"]) == (202, "respond-async"), answer.body
        status: Json = {}
        while status.get("phase", "queued") in ("queued", "running") and "url" not in status:
            status = shop.request(answer.headers["location"], headers={"x-api-key": KEY}).json()
        return status

    made = ended(sql="SELECT count(*) AS n FROM data")
    assert shop.request(made["url"]).body == b"n\n3\n"
    failed = ended(sql="SELECT nme FROM data")
    assert (failed["phase"], failed["code"]) == ("failed", "invalid_sql")
    assert "LINE 1: SELECT nme" in failed["message"]
    refused = ended(sql="FROM read_text('/etc/passwd')")
    assert (refused["code"], "root:" in refused["message"]) == ("invalid_sql", False)


def test_a_running_export_of_a_result_is_cancelled(shop: Server) -> None:
    answer = export(shop, "respond-async", sql=ENDLESS)
    status = answer.headers["location"]
    assert until(lambda: bool(children(shop.pid)))
    assert shop.request(status, "DELETE", {"x-api-key": KEY}).status == 202
    assert until(lambda: not children(shop.pid))
    assert until(lambda: shop.request(status, headers={"x-api-key": KEY}).json()["phase"] == "cancelled")


WRONG_EXPORTS: dict[str, tuple[Json, Json, str]] = {
    "no statement": ({}, {"parameter": "sql"}, "Field required"),
    "null": ({"sql": None}, {"parameter": "sql"}, "must not be null"),
    "a limit": ({"sql": "FROM data", "limit": 1}, {"parameter": "limit"}, "Unknown parameter 'limit'"),
    "filters": ({"sql": "FROM data", "filters": []}, {"parameter": "filters"}, "Unknown parameter"),
    "more rows than a sheet has": (
        {"sql": "SELECT i FROM range(1048576) t(i)", "format": "xlsx"}, {"parameter": "format"}, "at most 1,048,575",
    ),
    "a cell that is too long": (
        {"sql": "SELECT 1 AS n, repeat('x', 32768) AS t", "format": "xlsx"}, {"parameter": "sql"}, "its column is t",
    ),
    "a format": ({"sql": "FROM data", "format": "xml"}, {"parameter": "format"}, "one of csv"),
    "a compressed Parquet file": (
        {"sql": "FROM data", "format": "parquet", "compression": "gzip"}, {"parameter": "compression"}, "already",
    ),
    "a byte order mark": ({"sql": "FROM data", "format": "json", "bom": True}, {"parameter": "format"}, "CSV only"),
    "a life": ({"sql": "FROM data", "expiresIn": 1}, {"parameter": "expiresIn"}, "integer from 60"),
    "a value too few": ({"sql": "SELECT $x"}, {"parameter": "params", "entry": "params.x"}, "give its value"),
    "two columns of one name": ({"sql": "SELECT 1 AS a, 2 AS a"}, {"parameter": "sql"}, "Duplicate column name 'a'"),
}  # fmt: skip


@any_store
@pytest.mark.parametrize("name", WRONG_EXPORTS)
def test_an_error_of_an_export_names_what_is_wrong(shop: Server, name: str) -> None:
    members, details, reason = WRONG_EXPORTS[name]
    answer = export(shop, **members)
    assert (answer.status, answer.json()["details"]) == (400, details), answer.body
    assert reason in answer.json()["message"]


@any_store
@pytest.mark.parametrize("ask_for", [ask, export])
def test_nobody_reads_the_runs_of_another_team(shop: Server, ask_for: Callable[..., Answer]) -> None:
    members = {"sql": "FROM data", "previous": "r1"}
    path = "/v4/workflows/shop/data/query" + ("/export" if ask_for is export else "")
    answer = shop.request(path, "POST", {"x-api-key": OTHER_KEY}, json.dumps(members).encode())
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert ask_for(shop, **members).status == 200
    assert shop.request(path, "POST", {}, json.dumps(members).encode()).status == 401


@any_store
def test_the_examples_of_the_documentation_run(shop: Server) -> None:
    paths = make_document(shop.base)["paths"]
    for path, send in (("query", ask), ("query/export", export)):
        body = paths[f"/v4/workflows/{{workflowId}}/data/{path}"]["post"]["requestBody"]
        examples = body["content"]["application/json"]["examples"]
        assert examples
        for name, example in examples.items():
            assert send(shop, **example["value"]).status == 200, name
