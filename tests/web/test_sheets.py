"""Exports as xlsx over HTTP, on both stores: what arrives, and that a file which cannot be is not there in part."""

import json
import time
from typing import Any

import pytest

from tests.helpers.server import KEY, Server
from tests.helpers.sheets import agrees, read_sheet
from tests.web.conftest import ROWS

PATH = "/v4/workflows/long/data/export"
LONG = {"message": "format: the cell in row 3 and column 'text' of the sheet has more than 32,767 UTF-16 code units"}


@pytest.fixture(scope="module")
def long(people_on: Server) -> Server:
    """The service with a run that has a cell which is too long."""
    source = people_on.folder / "long.json"
    source.write_text(json.dumps([{"n": 1, "text": "short"}, {"n": 2, "text": "x" * 32_768}]))
    people_on.publish("--workflow", "long", "--run", "r1", str(source))
    return people_on


def test_get_and_post_give_the_same_sheet(people_on: Server) -> None:
    by_get = people_on.export("people", format="xlsx", sortBy="name", order="desc").json()
    body = json.dumps({"format": "xlsx", "sortBy": "name", "order": "desc"})
    headers = {"x-api-key": KEY, "content-type": "application/json"}
    by_post = people_on.request("/v4/workflows/people/data/export", "POST", headers=headers, body=body.encode()).json()
    assert by_get["exportId"] == by_post["exportId"]
    header, *rows = read_sheet(people_on.request(by_get["url"]).body)
    assert [cell.text for cell in header] == list(ROWS[0])
    for row, cells in zip(reversed(ROWS), rows, strict=True):
        texts = {name: _as_text(value) for name, value in row.items()}
        assert all(agrees(value, cell) for value, cell in zip(texts.values(), cells, strict=True))


def _as_text(value: Any) -> Any:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list | dict) else value


def test_a_cell_that_is_too_long_is_a_400_and_leaves_nothing(long: Server) -> None:
    answer = long.export("long", format="xlsx")
    body = answer.json()
    assert (answer.status, body["code"]) == (400, "invalid_parameter")
    assert body["message"].startswith(LONG["message"])
    assert body["details"] == {"parameter": "format", "field": "text", "row": 3}
    assert long.request("/v4/workflows/long/data/exports", headers={"x-api-key": KEY}).json()["exports"] == []
    assert long.export("long", format="xlsx", fields="n").json()["rowCount"] == 2


def test_a_cell_that_is_too_long_fails_an_asynchronous_export(long: Server) -> None:
    headers = {"x-api-key": KEY, "prefer": "respond-async"}
    status_url = long.request(f"{PATH}?format=xlsx&includeRowIds=true", headers=headers).headers["location"]
    deadline = time.monotonic() + 60
    while (body := long.request(status_url, headers={"x-api-key": KEY}).json()).get("phase") not in ("failed", "done"):
        assert time.monotonic() < deadline, body
        time.sleep(0.05)
    assert LONG["message"] in json.dumps(body)
