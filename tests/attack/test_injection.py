"""SQL as data: it finds the row that holds it, and does nothing else, wherever it stands."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.attack.payloads import PATHS, SQL
from tests.helpers.files import read_json, read_parquet
from tests.helpers.server import KEY, Answer, Server

_LEAKS = re.compile(r"SELECT |COPY |read_parquet|Traceback|\.parquet|root:|/etc/|duckdb\.|Error:")
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

TEXTS = [text for text in SQL if "\0" not in text]


def refused(answer: Answer, sent: str, *statuses: int) -> None:
    """An error that is documented, and tells of what was sent alone."""
    assert answer.status in statuses, (sent, answer.body)
    told = answer.json()["message"].replace(sent, "").replace(json.dumps(sent)[1:-1], "").replace(repr(sent)[1:-1], "")
    assert not _LEAKS.search(told), told


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


@pytest.mark.parametrize("parameter", ["sortBy", "order", "format", "delimiter", "runId", "bom", "page"])
def test_as_a_parameter_it_is_none(server: Server, parameter: str) -> None:
    path = "/v4/workflows/people/data" if parameter == "page" else "/v4/workflows/people/data/export"
    for text in SQL:
        answer = server.request(f"{path}?{parameter}={quote(text)}", headers={"x-api-key": KEY})
        refused(answer, text, 400, 404)


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


@pytest.mark.parametrize("place", ["workflow", "export", "run"])
def test_a_path_for_an_id_leads_nowhere(server: Server, place: str) -> None:
    for text in PATHS:
        path = {
            "workflow": f"/v4/workflows/{text}/data/export",
            "export": f"/v4/workflows/people/data/exports/{text}",
            "run": f"/v4/workflows/people/data/export?runId={quote(text, safe='%')}",
        }[place]
        answer = server.request(quote(path, safe="/?=%:;*~\\"), headers={"x-api-key": KEY})
        assert answer.status in (400, 404), (text, answer.status, answer.body)
        assert "set-cookie" not in answer.headers
        refused(answer, text, 400, 404)
