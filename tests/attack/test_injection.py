"""SQL as data: it finds the row that holds it, and does nothing else, wherever it stands."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.request.operators import OPERATORS
from tests.attack.payloads import SQL
from tests.helpers.files import read_json, read_parquet
from tests.helpers.server import KEY, Answer, Server
from web.api.parameters import COLUMN_PARAMETERS, PAGE_PARAMETERS, PARAMETERS

DATA = "/v4/workflows/people/data"

LEAKS = re.compile(r"SELECT |COPY |read_parquet|Traceback|\.parquet|root:|/etc/|duckdb\.|Error:")
"""What is ours, and is told to nobody."""


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


HOLDS: dict[str, Callable[[str, str], bool]] = {
    "EQUALS": lambda cell, text: cell == text,
    "IN": lambda cell, text: cell == text,
    "CONTAINS": lambda cell, text: text.lower() in cell.lower(),
    "STARTS_WITH": lambda cell, text: cell.lower().startswith(text.lower()),
    "ENDS_WITH": lambda cell, text: cell.lower().endswith(text.lower()),
}
"""What the operators mean, in plain Python."""

COMPLEMENTS = {"NOT_EQUALS": "EQUALS", "NOT_IN": "IN", "NOT_CONTAINS": "CONTAINS"}

OTHERS = [name for name in OPERATORS if name not in HOLDS and name not in COMPLEMENTS]
"""Operators that take no such text: they want none, a number or a date."""

NUMBER = "1e999"
"""The one piece that spells a number, which is that of one row."""

TEXTS = [text for text in SQL if "\0" not in text]


def refused(answer: Answer, sent: str, *statuses: int) -> None:
    """An error that is documented, and tells of what was sent alone."""
    assert answer.status in statuses, (sent, answer.body)
    told = answer.json()["message"].replace(sent, "").replace(json.dumps(sent)[1:-1], "").replace(repr(sent)[1:-1], "")
    assert not LEAKS.search(told), told


@pytest.mark.parametrize("operator", HOLDS)
@pytest.mark.parametrize("column", ["text", "list"])
def test_as_a_value_it_finds_what_holds_it(server: Server, operator: str, column: str) -> None:
    for text in TEXTS:
        value: Any = [text] if operator == "IN" else text
        asked = {"filters": [{"field": column, "operator": operator, "value": value}], "limit": 0}
        query = "&".join(f"{name}={quote(json.dumps(one))}" for name, one in asked.items())
        answer = server.request(f"/v4/workflows/people/data?{query}", headers={"x-api-key": KEY})
        assert answer.status == 200, (text, answer.body)
        cells = [[other] if column == "text" else [other, "x"] for other in TEXTS]
        wanted = sum(any(HOLDS[operator](cell, text) for cell in row) for row in cells)
        assert answer.json()["pagination"]["totalCount"] == wanted, text


@pytest.mark.parametrize("operator", COMPLEMENTS)
def test_its_complement_finds_all_else(server: Server, operator: str) -> None:
    for text in TEXTS:
        entry = {"field": "text", "operator": operator, "value": [text] if operator == "NOT_IN" else text}
        query = urlencode({"filters": json.dumps([entry]), "limit": 0})
        answer = server.request(f"{DATA}?{query}", headers={"x-api-key": KEY})
        wanted = sum(not HOLDS[COMPLEMENTS[operator]](cell, text) for cell in TEXTS)
        assert (answer.status, answer.json()["pagination"]["totalCount"]) == (200, wanted), text


@pytest.mark.parametrize("operator", OTHERS)
def test_an_operator_of_other_values_takes_none_of_it(server: Server, operator: str) -> None:
    for text in SQL:
        query = urlencode({"filters": json.dumps([{"field": "text", "operator": operator, "value": text}]), "limit": 0})
        answer = server.request(f"{DATA}?{query}", headers={"x-api-key": KEY})
        if text == NUMBER and "THAN" in operator:
            wanted = int(operator.endswith("OR_EQUAL"))
            assert (answer.status, answer.json()["pagination"]["totalCount"]) == (200, wanted)
        else:
            refused(answer, text, 400)


def test_every_operator_is_tried() -> None:
    assert {*HOLDS, *COMPLEMENTS, *OTHERS} == {*OPERATORS}
    assert len(OPERATORS) == 19


TAKEN = {
    "/export": (PARAMETERS, {"filters", "rowIds"}),
    "": (PAGE_PARAMETERS, {"filters", "rowIds"}),
    "/column": (COLUMN_PARAMETERS, {"filters", "rowIds"}),
}
"""The parameters of each route; but for two that take texts, whose tests are others."""

PLACES = [(route, name) for route, (names, but) in TAKEN.items() for name in names if name not in but]


@pytest.mark.parametrize(("route", "parameter"), PLACES)
def test_as_a_parameter_it_is_none(server: Server, route: str, parameter: str) -> None:
    for text in SQL:
        query = urlencode({"field": "n", parameter: text} if route == "/column" else {parameter: text})
        refused(server.request(f"{DATA}{route}?{query}", headers={"x-api-key": KEY}), text, 400, 404)


@pytest.mark.parametrize("route", TAKEN)
def test_as_the_name_of_a_parameter_it_is_none(server: Server, route: str) -> None:
    for text in SQL:
        refused(server.request(f"{DATA}{route}?{urlencode({text: 'x'})}", headers={"x-api-key": KEY}), text, 400)


@pytest.mark.parametrize("name", [*PARAMETERS, None, "inside"])
def test_as_a_member_of_a_body_it_is_none(server: Server, name: str | None) -> None:
    for text in SQL:
        inside = [{"field": "n", "operator": "IS_NULL", text: 1}]
        body = {text: "x"} if name is None else {"filters": inside} if name == "inside" else {name: text}
        sent = json.dumps(body).encode()
        refused(server.request(f"{DATA}/export", "POST", {"x-api-key": KEY}, sent), text, 400, 404)


@pytest.mark.parametrize("name", ["runId", "limit", None])
def test_beside_a_statement_it_is_none(server: Server, name: str | None) -> None:
    for text in SQL:
        sent = json.dumps({"sql": "FROM data", text if name is None else name: text}).encode()
        refused(server.request(f"{DATA}/query", "POST", {"x-api-key": KEY}, sent), text, 400, 404)


@pytest.mark.parametrize("member", ["field", "operator"])
def test_as_a_member_of_a_filter_it_is_none(server: Server, member: str) -> None:
    for text in SQL:
        entry = {"field": "text", "operator": "EQUALS", "value": "x", member: text}
        refused(server.export("people", filters=[entry]), text, 400)


def test_as_a_row_id_it_matches_nothing(server: Server) -> None:
    for text in SQL:
        answer = server.export("people", rowIds=[text])
        assert (answer.status, answer.json()["rowCount"]) == (200, 0), text


def test_as_a_value_of_another_type_it_is_refused(server: Server) -> None:
    for text in SQL:
        for operator in ("EQUALS", "GREATER_THAN"):
            answer = server.export("people", filters=[{"field": "n", "operator": operator, "value": text}])
            if answer.status != 200:
                refused(answer, text, 400)


def test_as_the_names_of_columns_it_is_what_is_exported(server: Server) -> None:
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
