"""SQL as data: as a filter value it finds the rows that have it; anywhere else it is refused or matches nothing."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.request.operators import OPERATORS
from tests.attack.payloads import SQL as ALL_SQL
from tests.helpers.engine import NOW
from tests.helpers.files import read_json, read_parquet
from tests.helpers.operator_oracle import SUBSTRINGS, matches
from tests.helpers.server import KEY, Answer, Server
from web.api.parameters import COLUMN_PARAMETERS, PAGE_PARAMETERS, PARAMETERS

DATA = "/v4/workflows/people/data"

_EVERY = max(1, 2_000 // int(os.environ.get("TAILRACE_CASES") or 2_000))
SQL = [text for number, text in enumerate(ALL_SQL) if number % _EVERY == 0 or text in ("'", "%", "_", "1e999")]
"""What is tried: all of them but in `make test`, which tries every fifth, and the four that mean something to SQL."""

LEAKS = re.compile(r"SELECT |COPY |read_parquet|Traceback|\.parquet|root:|/etc/|duckdb\.|Error:")
"""Internals that no answer may contain."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("attack")
    with Server((str(folder / "store"), {}), folder) as server:
        table = pa.table({"n": list(range(len(TEXTS))), "text": TEXTS, "list": [[text, "x"] for text in TEXTS]})
        pq.write_table(table, folder / "texts.parquet")
        server.publish("--workflow", "people", "--run", "r1", str(folder / "texts.parquet"))
        before = sorted(path.name for path in Path("/tmp").glob("tailrace-x*"))
        yield server
        assert sorted(path.name for path in Path("/tmp").glob("tailrace-x*")) == before == []


TEXT_OPERATORS = ("EQUALS", "IN", *SUBSTRINGS)
TEXT_COMPLEMENTS = ("NOT_EQUALS", "NOT_IN", "NOT_CONTAINS")

OTHERS = [name for name in OPERATORS if name not in (*TEXT_OPERATORS, *TEXT_COMPLEMENTS)]
"""Operators that take no value, a number or a date."""

NUMBER = "1e999"
"""The one payload that is also a number, of one row."""

TEXTS = [text for text in SQL if "\0" not in text]


def refused(answer: Answer, sent: str, *statuses: int) -> None:
    """Check for a documented error that reveals nothing but what was sent."""
    assert answer.status in statuses, (sent, answer.body)
    told = answer.json()["message"].replace(sent, "").replace(json.dumps(sent)[1:-1], "").replace(repr(sent)[1:-1], "")
    assert not LEAKS.search(told), told


def count(server: Server, field: str, operators: Sequence[str], text: str) -> int:
    """The number of rows that filters with one text find together, which is checked against the oracle.

    One operator filters an export, which is made more quickly than a page; several filter a page.
    """
    values: dict[str, Any] = {name: [text] if name in ("IN", "NOT_IN") else text for name in operators}
    entries = [{"field": field, "operator": name, "value": value} for name, value in values.items()]
    if len(entries) == 1:
        answer = server.export("people", filters=entries)
    else:
        query = urlencode({"filters": json.dumps(entries), "limit": 0})
        answer = server.request(f"{DATA}?{query}", headers={"x-api-key": KEY})
    assert answer.status == 200, (text, answer.body)
    cells: list[Any] = [[cell, "x"] for cell in TEXTS] if field == "list" else list(TEXTS)
    found = answer.json()["rowCount"] if len(entries) == 1 else answer.json()["pagination"]["totalCount"]
    assert found == sum(all(matches(name, cell, value, NOW) for name, value in values.items()) for cell in cells), text
    return int(found)


def alone(operators: Sequence[str], number: int, text: str) -> Sequence[str]:
    """The operators that try a text alone: each if it has a wildcard of SQL, otherwise one in turn."""
    return operators if "%" in text or "_" in text else [operators[number % len(operators)]]


def test_filters_find_the_rows_that_have_it(server: Server) -> None:
    for number, text in enumerate(TEXTS):
        for operator in alone(TEXT_OPERATORS, number, text):
            assert count(server, "text", [operator], text) >= 1
        assert count(server, "text", TEXT_OPERATORS, text) >= 1
        assert count(server, "list", [TEXT_OPERATORS[number % len(TEXT_OPERATORS)]], text) >= 1


def test_the_complements_find_all_other_rows(server: Server) -> None:
    for number, text in enumerate(TEXTS):
        for operator in alone(TEXT_COMPLEMENTS, number, text):
            assert count(server, "text", [operator], text) < len(TEXTS)
        assert count(server, "text", TEXT_COMPLEMENTS, text) < len(TEXTS)


@pytest.mark.parametrize("operator", OTHERS)
def test_other_operators_refuse_it_as_a_value(server: Server, operator: str) -> None:
    for text in SQL:
        query = urlencode({"filters": json.dumps([{"field": "text", "operator": operator, "value": text}]), "limit": 0})
        answer = server.request(f"{DATA}?{query}", headers={"x-api-key": KEY})
        if text == NUMBER and "THAN" in operator:
            wanted = int(operator.endswith("OR_EQUAL"))
            assert (answer.status, answer.json()["pagination"]["totalCount"]) == (200, wanted)
        else:
            refused(answer, text, 400)


def test_every_operator_is_tried() -> None:
    assert {*TEXT_OPERATORS, *TEXT_COMPLEMENTS, *OTHERS} == {*OPERATORS}
    assert len(OPERATORS) == 19


PARAMETERS_BY_ROUTE = {
    "/export": (PARAMETERS, {"filters", "rowIds"}),
    "": (PAGE_PARAMETERS, {"filters", "rowIds"}),
    "/column": (COLUMN_PARAMETERS, {"filters", "rowIds"}),
}
"""The parameters of each route, and those that accept any text, which have their own tests."""

REFUSING = [
    (route, name)
    for route, (names, accepting) in PARAMETERS_BY_ROUTE.items()
    for name in names
    if name not in accepting
]


@pytest.mark.parametrize(("route", "parameter"), REFUSING)
def test_a_parameter_refuses_it(server: Server, route: str, parameter: str) -> None:
    for text in SQL:
        query = urlencode({"field": "n", parameter: text} if route == "/column" else {parameter: text})
        refused(server.request(f"{DATA}{route}?{query}", headers={"x-api-key": KEY}), text, 400, 404)


@pytest.mark.parametrize("route", PARAMETERS_BY_ROUTE)
def test_it_is_not_the_name_of_a_parameter(server: Server, route: str) -> None:
    for text in SQL:
        refused(server.request(f"{DATA}{route}?{urlencode({text: 'x'})}", headers={"x-api-key": KEY}), text, 400)


@pytest.mark.parametrize("name", [*PARAMETERS, None, "inside"])
def test_a_body_refuses_it_as_a_name_or_value(server: Server, name: str | None) -> None:
    for text in SQL:
        inside = [{"field": "n", "operator": "IS_NULL", text: 1}]
        body = {text: "x"} if name is None else {"filters": inside} if name == "inside" else {name: text}
        sent = json.dumps(body).encode()
        refused(server.request(f"{DATA}/export", "POST", {"x-api-key": KEY}, sent), text, 400, 404)


@pytest.mark.parametrize("name", ["runId", "limit", None])
def test_a_query_body_refuses_it_as_a_name_or_value(server: Server, name: str | None) -> None:
    for text in SQL:
        sent = json.dumps({"sql": "FROM data", text if name is None else name: text}).encode()
        refused(server.request(f"{DATA}/query", "POST", {"x-api-key": KEY}, sent), text, 400, 404)


@pytest.mark.parametrize("member", ["field", "operator"])
def test_a_filter_refuses_it_as_field_or_operator(server: Server, member: str) -> None:
    for text in SQL:
        entry = {"field": "text", "operator": "EQUALS", "value": "x", member: text}
        refused(server.export("people", filters=[entry]), text, 400)


def test_a_row_id_of_it_matches_nothing(server: Server) -> None:
    for text in SQL:
        answer = server.export("people", rowIds=[text])
        assert (answer.status, answer.json()["rowCount"]) == (200, 0), text


def test_a_filter_on_numbers_refuses_it_or_reads_it_as_a_number(server: Server) -> None:
    for text in SQL:
        for operator in ("EQUALS", "GREATER_THAN"):
            answer = server.export("people", filters=[{"field": "n", "operator": operator, "value": text}])
            if answer.status != 200:
                refused(answer, text, 400)


def test_columns_with_such_names_are_exported_unchanged(server: Server) -> None:
    names = [text for text in TEXTS if not text.startswith("_") and text not in ("file_row_number", "file_index")]
    names = list({name.lower(): name for name in names}.values())
    table = pa.table({name: [number, None] for number, name in enumerate(names)})
    struct = pa.StructArray.from_arrays([pa.array([n, n]) for n in range(len(names))], names=names)
    table = table.append_column("struct", struct)
    pq.write_table(table, server.folder / "names.parquet")
    server.publish("--workflow", "names", "--run", "r1", str(server.folder / "names.parquet"))
    wanted = table.to_pylist()
    assert read_json(server.download("names", format="json")) == wanted
    assert read_parquet(server.download("names", format="parquet")) == wanted
    for number, name in enumerate(names):
        kept = [{"field": f"struct.{name}", "operator": "EQUALS", "value": number}]
        answer = server.export("names", filters=kept, sortBy=name)
        assert (answer.status, answer.json().get("rowCount")) == (200, 2), (name, answer.body)
        answer = server.request(f"/v4/workflows/names/data/column?field={quote(name)}", headers={"x-api-key": KEY})
        assert (answer.status, answer.json().get("nullCount")) == (200, 1), (name, answer.body)
