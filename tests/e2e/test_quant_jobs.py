"""Real input from publishing to download, on both stores, against an oracle in plain Python."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.helpers.files import csv_cell, read_csv_cells, read_json, read_parquet
from tests.helpers.operator_oracle import matching_rows, sorted_rows
from tests.helpers.server import KEY, Server
from tests.helpers.shared import DATA, missing

JOBS = DATA / "quant_jobs.json"

pytestmark = pytest.mark.skipif(not JOBS.exists(), reason=missing(JOBS))

Row = dict[str, Any]


@pytest.fixture(scope="module")
def jobs() -> list[Row]:
    rows: list[Row] = json.loads(JOBS.read_text("utf-8"))
    return rows


@pytest.fixture(scope="module")
def server(module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(module_store_url, tmp_path_factory.mktemp("server")) as running:
        running.publish("--workflow", "jobs", "--run", "r1", "--row-id", "id", str(JOBS))
        yield running


def test_json_holds_every_value(server: Server, jobs: list[Row]) -> None:
    assert read_json(server.download("jobs", format="json")) == jobs


def test_parquet_holds_every_value(server: Server, jobs: list[Row]) -> None:
    assert read_parquet(server.download("jobs", format="parquet")) == jobs


def test_csv_holds_every_value_as_text(server: Server, jobs: list[Row]) -> None:
    header, cells = read_csv_cells(server.download("jobs", format="csv"))
    assert header == list(jobs[0])
    assert cells == [[csv_cell(row[name]) for name in header] for row in jobs]


NOW = datetime.now(UTC)

FILTERS: dict[str, dict[str, object]] = {
    "firm type": {"field": "firmType", "operator": "EQUALS", "value": "hedge_fund"},
    "title in another case": {"field": "jobTitle", "operator": "CONTAINS", "value": "qUaNT"},
    "salary": {"field": "salary", "operator": "GREATER_THAN", "value": 150000},
    "posted lately": {"field": "datePosted", "operator": "WITHIN_LAST_DAYS", "value": 120},
    "posted before": {"field": "datePosted", "operator": "BEFORE", "value": "2026-08-01"},
    "any technology": {"field": "technologies", "operator": "CONTAINS", "value": "salesFORCE"},
    "one of the roles": {"field": "roleCategory", "operator": "IN", "value": ["sales_trading", "quant_research"]},
    "within an object": {"field": "experienceYears.min", "operator": "GREATER_THAN", "value": 4.5},
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_returns_the_rows_of_the_oracle(server: Server, jobs: list[Row], name: str) -> None:
    entry = FILTERS[name]
    wanted = matching_rows(jobs, [entry], NOW)
    assert 0 < len(wanted) < len(jobs), "a filter that matches all rows or none proves nothing"
    answer = server.export("jobs", format="json", filters=[entry]).json()
    assert answer["rowCount"] == len(wanted)
    assert read_json(server.request(answer["url"]).body) == wanted
    assert read_parquet(server.download("jobs", format="parquet", filters=[entry])) == wanted
    _, cells = read_csv_cells(server.download("jobs", format="csv", filters=[entry]))
    assert cells == [[csv_cell(value) for value in row.values()] for row in wanted]


def test_rows_must_match_all_filters(server: Server, jobs: list[Row]) -> None:
    entries = [FILTERS["firm type"], FILTERS["title in another case"]]
    wanted = matching_rows(jobs, entries, NOW)
    assert wanted
    assert read_json(server.download("jobs", format="json", filters=entries)) == wanted


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("format_name", ["json", "parquet"])
def test_sorting_puts_nulls_last_and_ties_in_run_order(
    server: Server, jobs: list[Row], order: str, format_name: str
) -> None:
    content = server.download("jobs", format=format_name, sortBy="salary", order=order)
    rows = read_json(content) if format_name == "json" else read_parquet(content)
    assert rows == sorted_rows(jobs, "salary", descending=order == "desc")


def test_row_ids_pick_rows_in_run_order(server: Server, jobs: list[Row]) -> None:
    wanted = [jobs[4000], jobs[7], jobs[1234]]
    ids = [row["id"] for row in wanted]
    for spelled in (",".join([*ids, ids[0], "unknown"]), json.dumps(ids)):
        rows = read_json(server.download("jobs", format="json", rowIds=spelled))
        assert rows == sorted(wanted, key=jobs.index)


def test_the_same_request_gives_the_same_bytes(server: Server) -> None:
    first, second = (server.export("jobs", format="csv", sortBy="jobTitle").json() for _ in range(2))
    assert (first["sha256"], first["exportId"]) == (second["sha256"], second["exportId"])


def test_the_post_twin_makes_the_same_export(server: Server, jobs: list[Row]) -> None:
    ids = [row["id"] for row in jobs[:3000]]
    body = json.dumps({"format": "json", "rowIds": ids, "filters": [FILTERS["firm type"]]}).encode()
    answer = server.request("/v4/workflows/jobs/data/export", "POST", {"x-api-key": KEY}, body)
    assert answer.status == 200, answer.body
    wanted = [row for row in jobs[:3000] if row["firmType"] == "hedge_fund"]
    assert read_json(server.request(answer.json()["url"]).body) == wanted
