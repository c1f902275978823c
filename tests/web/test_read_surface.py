"""What clients of the public API read beyond a page: lists, runs, all rows as a stream, a link and the Parquet file.

`tests/clients/test_kadoa_sdks.py` reads the same with the clients themselves.
"""

import csv
import gzip
import http.client
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.helpers.server import KEY, OTHER_KEY, Answer, Server
from tests.web.conftest import EXECUTED_AT, ROWS

Json = dict[str, Any]
HEADERS = {"x-api-key": KEY}
COUNT = 12_000
MANY = [{"n": n, "text": f'row "{n}",\n{"x" * (n % 300)}', "kind": n % 3} for n in range(COUNT)]


def get(server: Server, path: str = "", /, key: str = KEY, **parameters: object) -> Answer:
    """Values that are no strings go as JSON."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    return server.request(f"/v4/workflows{path}?{urlencode(texts)}", headers={"x-api-key": key})


@pytest.fixture(scope="module")
def many(people_on: Server) -> Server:
    """With a workflow of more rows than a page may have, in several row groups."""
    source = people_on.folder / "many.ndjson"
    source.write_text("".join(f"{json.dumps(row)}\n" for row in MANY))
    people_on.publish("--workflow", "many", "--run", "r1", "--name", "Häufig", str(source))
    return people_on


OF_KIND = [{"field": "kind", "operator": "EQUALS", "value": 1}]
KIND = [row for row in MANY if row["kind"] == 1]
FALLING = MANY[::-1]
LONG: dict[str, tuple[Json, list[Json], int]] = {
    "all": ({"limit": 0}, MANY, COUNT),
    "all that match": ({"limit": 0, "filters": OF_KIND}, KIND, len(KIND)),
    "all sorted": ({"limit": 0, "sortBy": "n", "order": "desc"}, FALLING, COUNT),
    "all of none": ({"limit": 0, "filters": [{"field": "n", "operator": "LESS_THAN", "value": 0}]}, [], 0),
    "a limit above the rows": ({"limit": 10**15}, MANY, COUNT),
    "one less than all": ({"limit": COUNT - 1}, MANY[:-1], COUNT),
    "a page": ({"limit": 5_000, "page": 2}, MANY[5_000:10_000], COUNT),
    "the last page": ({"limit": 5_000, "page": 3}, MANY[10_000:], COUNT),
    "a page after the last": ({"limit": 5_000, "page": 4}, [], COUNT),
    "a page of what matches": ({"limit": 1_500, "page": 2, "filters": OF_KIND}, KIND[1_500:3_000], len(KIND)),
    "a sorted page": ({"limit": 4_500, "page": 2, "sortBy": "n", "order": "desc"}, FALLING[4_500:9_000], COUNT),
}
"""Parameters, the rows of the answer, and the rows on all pages."""


@pytest.mark.parametrize("name", LONG)
def test_any_number_of_rows_is_answered(many: Server, name: str) -> None:
    asked, rows, total = LONG[name]
    answer = get(many, "/many/data", **asked)
    body = answer.json()
    assert answer.status == 200, answer.body
    assert body["data"] == rows
    limit = asked["limit"]
    pages = -(-total // limit) if limit else 1
    assert body["pagination"] == {
        "totalCount": total, "page": asked.get("page", 1), "totalPages": pages, "limit": limit,
    }  # fmt: skip
    as_csv = get(many, "/many/data", format="csv", **asked)
    assert (as_csv.headers["content-type"], as_csv.headers["x-total-count"]) == ("text/csv; charset=utf-8", str(total))
    assert list(csv.DictReader(io.StringIO(as_csv.body.decode()))) == [
        {column: str(value) for column, value in row.items()} for row in rows
    ]


@pytest.mark.parametrize("limit", [2, 5_000, 0])
@pytest.mark.parametrize("format_name", ["json", "csv"])
def test_gzip_is_an_encoding_of_the_same_body(many: Server, limit: int, format_name: str) -> None:
    plain, packed = (get(many, "/many/data", format=format_name, limit=limit, gzip=flag) for flag in (False, True))
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) or limit == 2


def test_all_rows_of_a_small_run_need_no_export(people: Server) -> None:
    assert get(people, "/people/data", limit=0).json()["data"] == ROWS
    assert get(people, "/people/data/exports").json()["exports"] == []


def test_long_sorted_pages_are_cut_out_of_one_export(many: Server) -> None:
    def exports() -> int:
        return int(get(many, "/many/data/exports").json()["pagination"]["totalCount"])

    def page(number: int, limit: int) -> list[Json]:
        return list(get(many, "/many/data", sortBy="text", page=number, limit=limit).json()["data"])

    wanted, before = sorted(MANY, key=lambda row: str(row["text"])), exports()
    assert page(2, 2_500) == wanted[2_500:5_000]
    assert exports() == before, "the first rows of a sort are found without the others"
    assert [row for number in (3, 2, 1) for row in page(number, 5_001)] == wanted[10_002:] + wanted[5_001:10_002] + (
        wanted[:5_001]
    )
    assert exports() == before + 1


def test_long_pages_of_changes_are_cut_out_of_one_export(many: Server) -> None:
    rows = [[{"n": str(n), "x": n + run} for n in range(1_500)] for run in (0, 1)]
    for run, content in enumerate(rows):
        source = many.folder / "pair.json"
        source.write_text(json.dumps(content))
        many.publish("--workflow", "pair", "--run", f"r{run}", "--row-id", "n", str(source))
    found = [get(many, "/pair/data", sinceRunId="r0", limit=1_200, page=page).json()["data"] for page in (1, 2)]
    assert [len(page) for page in found] == [1_200, 300]
    assert found[0] + found[1] == [{"_change": "changed", "_row_id": row["n"], **row} for row in rows[1]]
    assert get(many, "/pair/data/exports").json()["pagination"]["totalCount"] == 1
    # Other tests list all workflows.
    assert many.command("delete", "pair", "--yes").returncode == 0


def test_rows_have_no_anomalies_to_include(many: Server) -> None:
    with_them, without = (get(many, "/people/data", includeAnomalies=flag).json() for flag in (True, False))
    assert with_them == without


def test_a_link_is_the_csv_file_of_all_rows(many: Server) -> None:
    answer = get(many, "/many/data", download="link", format="csv", limit=10, filters=OF_KIND).json()
    assert {name: answer[name] for name in ("workflowId", "runId", "format", "totalRows")} == {
        "workflowId": "many", "runId": "r1", "format": "csv", "totalRows": len(KIND),
    }  # fmt: skip
    assert "executedAt" not in answer, "null is not an instant"
    assert many.request(answer["downloadPath"]).status == 401
    assert many.request(answer["downloadPath"], headers={"x-api-key": OTHER_KEY}).status == 404
    file = many.request(answer["downloadPath"], headers=HEADERS)
    assert file.body == many.download("many", filters=OF_KIND)
    assert get(many, "/people/data", download="link", format="csv").json()["executedAt"] == EXECUTED_AT
    page = get(many, "/people/data", format="csv")
    assert get(many, "/people/data", download="stream", format="csv").body == page.body


def test_the_parquet_file_is_that_of_an_export(many: Server) -> None:
    answer = get(many, "/many/data/parquet")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/vnd.apache.parquet")
    assert answer.body == many.download("many", format="parquet")
    assert get(many, "/people/data/parquet", runId="r1").body == many.download("people", format="parquet")
    assert get(many, "/people/data/parquet", runId="r2").status == 404, "it has failed"
    part = many.request("/v4/workflows/many/data/parquet", headers={**HEADERS, "range": "bytes=-4"})
    assert (part.status, part.body) == (206, b"PAR1")


LISTED: dict[str, tuple[Json, list[str], Json]] = {
    "all": ({}, ["many", "people", "unfinished"], {"page": 1, "totalPages": 1, "limit": 25}),
    "a page": ({"page": 2, "limit": 2}, ["unfinished"], {"page": 2, "totalPages": 2, "limit": 2}),
    "skipped": ({"skip": 1, "limit": 1}, ["people"], {"page": 2, "totalPages": 3, "limit": 1}),
    "skipped within a page": (
        {"skip": 1, "limit": 2},
        ["people", "unfinished"],
        {"page": 1, "totalPages": 2, "limit": 2},
    ),
    "all skipped": ({"skip": 10**15}, [], {"page": 40_000_000_000_001, "totalPages": 1, "limit": 25}),
    "by id": ({"search": "PEO"}, ["people"], {"totalCount": 1}),
    "by name": ({"search": "häUFIG"}, ["many"], {"totalCount": 1}),
    "by a pattern, which is text": ({"search": "%"}, [], {"totalCount": 0, "totalPages": 0}),
    "by nothing": ({"search": ""}, ["many", "people", "unfinished"], {"totalCount": 3}),
    "active": ({"state": "ACTIVE"}, ["many", "people", "unfinished"], {"totalCount": 3}),
    "paused": ({"state": "PAUSED"}, [], {"totalCount": 0}),
    "by tag": ({"tags": "a,b"}, [], {"totalCount": 0}),
    "by a list of tags": ({"tags": ["a"]}, [], {"totalCount": 0}),
    "by no tag": ({"tags": ""}, ["many", "people", "unfinished"], {"totalCount": 3}),
    "only counted": ({"limit": 0}, [], {"totalCount": 3, "totalPages": 0}),
}


@pytest.mark.parametrize("name", LISTED)
def test_workflows_are_listed(many: Server, name: str) -> None:
    asked, ids, pagination = LISTED[name]
    answer = get(many, **asked).json()
    assert [row["id"] for row in answer["workflows"]] == ids
    assert answer["pagination"].items() >= pagination.items()


def test_tags_may_be_repeated(many: Server) -> None:
    assert many.request("/v4/workflows?tags=a&tags=b", headers=HEADERS).json()["workflows"] == []


def test_members_without_a_value_are_left_out(many: Server) -> None:
    rows = {row["id"]: row for row in get(many).json()["workflows"]}
    assert rows["people"] == {
        "id": "people", "workflowId": "people", "name": "people", "state": "ACTIVE", "publishedJobId": "r1",
        "totalRecords": 3, "latestRunId": "r1", "latestRunAt": EXECUTED_AT,
    }  # fmt: skip
    assert (rows["many"]["name"], rows["many"]["totalRecords"]) == ("Häufig", COUNT)
    assert rows["unfinished"] == {
        "id": "unfinished", "workflowId": "unfinished", "name": "unfinished", "state": "ACTIVE",
        "latestRunId": None, "latestRunAt": None,
    }  # fmt: skip


def test_a_workflow_has_the_state_of_its_last_run(many: Server) -> None:
    found = {workflow: get(many, f"/{workflow}").json() for workflow in ("people", "unfinished")}
    assert {name: found["people"][name] for name in ("id", "publishedJobId", "jobId", "runState", "totalRecords")} == {
        "id": "people", "publishedJobId": "r1", "jobId": "r2", "runState": "FAILED", "totalRecords": 3,
    }  # fmt: skip
    assert found["people"]["startedAt"] <= found["people"]["finishedAt"]
    assert (found["unfinished"]["jobId"], found["unfinished"]["runState"]) == ("r1", "RUNNING")
    assert not {"publishedJobId", "totalRecords", "finishedAt"} & found["unfinished"].keys()
    types = [field["dataType"] for field in found["people"]["schema"]]
    assert types == ["STRING", "NUMBER", "STRING", "ARRAY", "OBJECT"]


def test_the_rows_of_workflows_of_older_versions_are_counted_by_their_manifests(people: Server) -> None:
    (document,) = (people.folder / "store/results").rglob("workflow=people/workflow.json")
    text = document.read_text()
    older = json.loads(text)
    del older["latest"]["rows"]
    document.write_text(json.dumps(older))
    try:
        assert get(people, search="people").json()["workflows"][0]["totalRecords"] == 3
    finally:
        document.write_text(text)


RUNS: dict[str, tuple[Json, list[tuple[str, str]], int]] = {
    "all": ({}, [("r2", "FAILED"), ("r1", "FINISHED")], 2),
    "a page": ({"page": 2, "limit": 1}, [("r1", "FINISHED")], 2),
    "the largest page": ({"limit": 1000}, [("r2", "FAILED"), ("r1", "FINISHED")], 2),
    "a page after the last": ({"page": 9}, [], 2),
    "successful": ({"status": "success"}, [("r1", "FINISHED")], 1),
    "failed": ({"status": "failed"}, [("r2", "FAILED")], 1),
    "failed, on page 2": ({"status": "failed", "page": 2}, [], 1),
    "in progress": ({"status": "in_progress"}, [], 0),
}


@pytest.mark.parametrize("name", RUNS)
def test_runs_are_listed(many: Server, name: str) -> None:
    asked, runs, total = RUNS[name]
    answer = get(many, "/people/history", **asked).json()
    assert [(run["id"], run["state"]) for run in answer["workflowRuns"]] == runs
    assert (answer["workflowId"], answer["totalCount"], answer["pagination"]["totalCount"]) == ("people", total, total)


def test_a_run_has_its_times_and_rows(many: Server) -> None:
    failed, finished = get(many, "/people/history").json()["workflowRuns"]
    assert finished.keys() == {"id", "state", "startedAt", "finishedAt", "executedAt", "records"}
    assert (finished["executedAt"], finished["records"]) == (EXECUTED_AT, 3)
    assert "executedAt" not in failed
    (running,) = get(many, "/unfinished/history", status="in_progress").json()["workflowRuns"]
    assert running.keys() == {"id", "state", "startedAt", "records"}
    job = get(many, "/people/jobs/r1").json()
    assert job == {
        "id": "r1", "workflowId": "people", "state": "FINISHED", "startedAt": finished["startedAt"],
        "finishedAt": finished["finishedAt"], "records": 3,
    }  # fmt: skip
    assert get(many, "/unfinished/jobs/r1").json()["state"] == "IN_PROGRESS"
    assert get(many, "/people/jobs/r9").status == 404


LARGE = str(10**30)
WRONG: dict[str, tuple[str, Json, str, str]] = {
    "page 0": ("", {"page": 0}, "page", "page must be an integer from 1"),
    "a negative limit": ("", {"limit": -1}, "limit", "limit must be an integer from 0 to 1000."),
    "a huge limit": ("", {"limit": LARGE}, "limit", "limit must be an integer from 0 to 1000."),
    "a huge page": ("", {"page": LARGE}, "page", "page must be an integer from 1"),
    "a huge skip": ("", {"skip": LARGE}, "skip", "skip must be an integer from 0"),
    "a negative skip": ("", {"skip": -1}, "skip", "skip must be an integer from 0"),
    "skip with page": ("", {"skip": 1, "page": 1}, "skip", "page and skip cannot be used together"),
    "no state": ("", {"state": "unknown"}, "state", "state must be one of ACTIVE, DRAFT"),
    "a state in lower case": ("", {"state": "active"}, "state", "state must be one of ACTIVE"),
    "tags of numbers": ("", {"tags": [1]}, "tags", "tags must be a,b or a JSON array of strings."),
    "tags of broken JSON": ("", {"tags": "[a"}, "tags", "tags is not JSON"),
    "an unknown parameter": ("", {"serch": "x"}, "serch", "did you mean search?"),
    "runs of page 0": ("/people/history", {"page": 0}, "page", "page must be an integer from 1"),
    "runs, too many": ("/people/history", {"limit": 1001}, "limit", "limit must be an integer from 0 to 1000."),
    "runs of no outcome": ("/people/history", {"status": "FAILED"}, "status", "one of success, failed, in_progress."),
    "runs skipped": ("/people/history", {"skip": 1}, "skip", "Unknown parameter 'skip'"),
    "a job with parameters": ("/people/jobs/r1", {"page": 1}, "page", "Unknown parameter 'page'"),
    "rows of page 0": ("/people/data", {"page": 0}, "page", "page must be an integer from 1"),
    "rows, less than none": ("/people/data", {"limit": -1}, "limit", "limit must be an integer from 0"),
    "rows, a huge limit": ("/people/data", {"limit": LARGE}, "limit", "limit must be an integer from 0"),
    "all rows, page 2": ("/people/data", {"limit": 0, "page": 2}, "page", "leave page out, or set a limit"),
    "rows skipped": ("/people/data", {"skip": 1}, "skip", "Unknown parameter 'skip'"),
    "gzip of words": ("/people/data", {"gzip": "yes"}, "gzip", "gzip must be true or false."),
    "anomalies of words": ("/people/data", {"includeAnomalies": "1"}, "includeAnomalies", "must be true or false."),
    "a download of nothing": ("/people/data", {"download": "file"}, "download", "must be one of stream, link."),
    "a link to JSON": ("/people/data", {"download": "link"}, "download", "use it with format=csv"),
    "a link to a page": ("/people/data", {"download": "link", "format": "csv", "page": 2}, "download", "without page"),
    "Parquet, filtered": ("/people/data/parquet", {"filters": "[]"}, "filters", "Unknown parameter 'filters'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_parameter_and_the_remedy(many: Server, name: str) -> None:
    path, parameters, parameter, reason = WRONG[name]
    answer = get(many, path, **parameters)
    assert answer.status == 400, answer.body
    assert answer.json()["details"]["parameter"] == parameter
    assert reason in answer.json()["message"]


LONG_ROWS, CELL_BYTES = 2_000, 8_000


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Server]:
    """A directory with a run of 16 MB, more than all buffers between the service and a client."""
    with Server((str(tmp_path / "store"), {}), tmp_path) as server:
        chance = random.Random(7)
        rows = (f"{n},{chance.randbytes(CELL_BYTES // 2).hex()}\n" for n in range(LONG_ROWS))
        (tmp_path / "wide.csv").write_text("id,text\n" + "".join(rows))
        server.publish("--workflow", "wide", "--run", "r1", str(tmp_path / "wide.csv"))
        yield server


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def _truncate(path: Path) -> None:
    os.truncate(path, 1024)


FAILURES: dict[str, tuple[str, str, Callable[[Path], None]]] = {
    "a long page": (f"limit={LONG_ROWS - 1}", "results/**/*.parquet", _grow),
    "a long page with gzip": (f"limit={LONG_ROWS - 1}&gzip=true", "results/**/*.parquet", _grow),
    "all rows": ("limit=0", "exports/wide/*.json", _truncate),
    "all rows with gzip": ("limit=0&gzip=true", "exports/wide/*.json", _truncate),
    "all rows as CSV": ("limit=0&format=csv", "exports/wide/*.csv", _truncate),
}
"""The query, and what happens to which file while the body is sent."""


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_while_rows_are_sent_aborts_the_connection(wide: Server, name: str) -> None:
    query, pattern, damage = FAILURES[name]
    connection = http.client.HTTPConnection("127.0.0.1", wide.port, timeout=60)
    connection.request("GET", f"/v4/workflows/wide/data?{query}", headers=HEADERS)
    answer = connection.getresponse()
    assert answer.status == 200
    (file,) = [path for path in (wide.folder / "store").glob(pattern) if path.is_file()]
    damage(file)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    connection.close()
    assert wide.request("/readyz").status == 200


def test_a_client_that_disconnects_ends_the_reading(wide: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", wide.port, timeout=60)
    connection.request("GET", f"/v4/workflows/wide/data?limit={LONG_ROWS - 1}", headers=HEADERS)
    assert connection.getresponse().read(10) == b'{"workflow'
    connection.close()
    # Its query slot is free: as many other pages as there are slots can be read.
    for _ in range(5):
        assert get(wide, "/wide/data", limit=1).status == 200
    assert b"never retrieved" not in wide.log.read_bytes()


def test_a_part_of_many_bytes_is_read_in_smaller_parts(wide: Server) -> None:
    """A page of 1,000 rows exceeds the maximum of bytes, and is halved until it does not."""
    letters = [chr(97 + n % 26) for n in range(1_000)]
    source = wide.folder / "huge.ndjson"
    source.write_text("".join(f'{{"text": "{letter * 40_000}"}}\n' for letter in letters))
    wide.publish("--workflow", "huge", "--run", "r1", str(source))
    page = get(wide, "/huge/data", limit=1_000)
    assert "The page exceeds the maximum of 33,554,432 bytes" in page.json()["message"]
    answer = get(wide, "/huge/data", limit=0)
    assert answer.status == 200, answer.body
    assert [row["text"] for row in answer.json()["data"]] == [letter * 40_000 for letter in letters]
