"""Reading rows over HTTP: pages equal the export, and statistics equal those of plain Python."""

import json
import urllib.parse
from typing import Any

import pytest

from tests.helpers.server import KEY, Answer, Server
from tests.helpers.stores import any_store
from tests.web.conftest import EXECUTED_AT, ROWS

Json = dict[str, Any]


def get(server: Server, path: str, **parameters: object) -> Answer:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    query = f"?{urllib.parse.urlencode(texts)}" if texts else ""
    return server.request(f"/v4/workflows{path}{query}", headers={"x-api-key": KEY})


def post(server: Server, **members: object) -> Answer:
    body = json.dumps(members).encode()
    return server.request("/v4/workflows/people/data/query", "POST", {"x-api-key": KEY}, body)


ASKED: dict[str, Json] = {
    "all": {},
    "a filter": {"filters": [{"field": "age", "operator": "IS_NOT_NULL"}]},
    "a filter that nothing matches": {"filters": [{"field": "name", "operator": "EQUALS", "value": "nobody"}]},
    "sorted": {"sortBy": "age", "order": "desc"},
    "rows by id": {"rowIds": "000000000002,000000000000"},
    "ids": {"includeRowIds": True, "sortBy": "name"},
    "chosen columns": {"fields": "home.zip,name", "sortBy": "age"},
    "flattened": {"flatten": True, "fields": "home,age", "order": "desc", "sortBy": "home.zip"},
}


@any_store
@pytest.mark.parametrize("limit", [1, 2, 25])
@pytest.mark.parametrize("name", ASKED)
def test_pages_together_are_the_export(people_on: Server, name: str, limit: int) -> None:
    exported = json.loads(people_on.download("people", format="json", **ASKED[name]))
    rows: list[Json] = []
    page = 0
    while True:
        page += 1
        answer = get(people_on, "/people/data", page=page, limit=limit, **ASKED[name]).json()
        assert answer["pagination"] == {
            "totalCount": len(exported), "page": page, "totalPages": -(-len(exported) // limit), "limit": limit,
        }  # fmt: skip
        if not answer["data"]:
            break
        assert len(answer["data"]) <= limit
        rows += answer["data"]
    assert rows == exported
    assert page == -(-len(exported) // limit) + 1


def test_a_page_describes_its_run_and_position(people_on: Server) -> None:
    answer = get(people_on, "/people/data").json()
    assert (answer["workflowId"], answer["runId"], answer["executedAt"]) == ("people", "r1", EXECUTED_AT)
    assert answer["data"] == ROWS
    fields = {field["name"]: field for field in answer["schema"]}
    assert list(fields) == list(ROWS[0])
    assert "CONTAINS" in fields["name"]["operators"]
    assert "CONTAINS" not in fields["age"]["operators"]
    assert "GREATER_THAN" in fields["age"]["operators"]
    assert [member["name"] for member in fields["home"]["members"]] == ["zip"]


def test_a_page_as_csv_equals_the_export(people_on: Server) -> None:
    answer = get(people_on, "/people/data", format="csv", sortBy="age")
    assert answer.body == people_on.download("people", format="csv", sortBy="age")
    assert (answer.headers["x-total-count"], answer.headers["x-total-pages"]) == ("3", "1")
    beyond = get(people_on, "/people/data", format="csv", page=9)
    assert beyond.body == answer.body.splitlines(keepends=True)[0]


WRONG: dict[str, tuple[str, Json, str, str]] = {
    "page 0": ("/people/data", {"page": "0"}, "page", "page must be an integer from 1"),
    "a page of words": ("/people/data", {"page": "two"}, "page", "page must be an integer from 1"),
    "a long page of workflows": ("", {"limit": "1001"}, "limit", "limit must be an integer from 0 to 1000."),
    "digits of another script": ("/people/data", {"limit": "٣"}, "limit", "limit must be an integer"),
    "parquet": ("/people/data", {"format": "parquet"}, "format", "format must be one of json, csv"),
    "an option of files": ("/people/data", {"bom": "true"}, "bom", "Unknown parameter 'bom'"),
    "no field": ("/people/data/column", {}, "field", "field must be the name of a column"),
    "an unknown field": ("/people/data/column", {"field": "nme"}, "field", "Fields: name, age, city, tags, home."),
    "an internal field": ("/people/data/column", {"field": "_row_id"}, "field", "There is no field '_row_id'"),
    "a bad filter": ("/people/data/column", {"field": "name", "filters": "[1]"}, "filters", "filters[0]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_parameter_and_the_remedy(people: Server, name: str) -> None:
    path, parameters, parameter, reason = WRONG[name]
    answer = get(people, path, **parameters)
    assert answer.status == 400
    assert answer.json()["details"]["parameter"] == parameter
    assert reason in answer.json()["message"]


def test_statistics_of_columns(people_on: Server) -> None:
    facts = {field: get(people_on, "/people/data/column", field=field).json() for field in (*ROWS[0], "home.zip")}
    nulls = {field: facts[field]["nullCount"] for field in facts}
    assert nulls == {"name": 0, "age": 1, "city": 1, "tags": 1, "home": 1, "home.zip": 2}
    assert {field: found["rowCount"] for field, found in facts.items()} == dict.fromkeys(facts, 3)
    age = facts["age"]
    assert (age["minimum"], age["maximum"], age["distinctCount"], age["distinctExact"]) == ("7", "31", 2, True)
    assert sum(one["count"] for one in age["histogram"]) == 2
    assert {value["value"]: value["count"] for value in facts["city"]["topValues"]} == {"": 1, "Zürich\nWest": 1}
    assert facts["tags"]["distinctCount"] is None
    kept = [{"field": "name", "operator": "EQUALS", "value": "Bob"}]
    assert get(people_on, "/people/data/column", field="age", filters=kept).json()["nullCount"] == 1


def test_a_workflow_and_its_runs(people_on: Server) -> None:
    answer = get(people_on, "/people").json()
    assert (answer["workflowId"], answer["latestRunId"], answer["runCount"]) == ("people", "r1", 2)
    runs = {run["runId"]: run for run in answer["runs"]}
    assert {run_id: run["state"] for run_id, run in runs.items()} == {"r1": "FINISHED", "r2": "FAILED"}
    assert runs["r1"]["rowCount"] == len(ROWS)
    assert [field["name"] for field in answer["schema"]] == list(ROWS[0])
    unfinished = get(people_on, "/unfinished").json()
    assert (unfinished["latestRunId"], unfinished["schema"], unfinished["runCount"]) == (None, [], 1)


def test_workflows_are_paged(people_on: Server) -> None:
    pages = [get(people_on, "", page=page, limit=1).json() for page in (1, 2, 3)]
    assert [[row["workflowId"] for row in page["workflows"]] for page in pages] == [["people"], ["unfinished"], []]
    assert pages[0]["pagination"] == {"totalCount": 2, "page": 1, "totalPages": 2, "limit": 1}


def test_sql_over_one_run(people_on: Server) -> None:
    answer = post(people_on, sql="SELECT name, age * 2 AS twice, tags FROM data ORDER BY name", limit=2).json()
    assert answer["columns"] == [
        {"name": "name", "type": "STRING", "storedAs": "VARCHAR", "duckdbType": "VARCHAR"},
        {"name": "twice", "type": "NUMBER", "storedAs": "BIGINT", "duckdbType": "BIGINT"},
        {"name": "tags", "type": "ARRAY", "storedAs": "VARCHAR[]", "duckdbType": "VARCHAR[]"},
    ]
    assert answer["rows"] == [
        {"name": "Ann", "twice": 62, "tags": ["a", "b"]}, {"name": "Bob", "twice": None, "tags": []},
    ]  # fmt: skip
    assert (answer["rowCount"], answer["limitReached"], answer["runId"]) == (2, True, "r1")
    assert post(people_on, sql="SELECT count(*) AS n FROM data", runId="r1").json()["rows"] == [{"n": 3}]


def test_the_limit_is_reached_only_if_rows_are_left_out(people_on: Server) -> None:
    for limit, reached in ((1, True), (2, True), (3, False), (4, False)):
        answer = post(people_on, sql="SELECT name FROM data ORDER BY name DESC", limit=limit).json()
        names = [row["name"] for row in answer["rows"]]
        assert (answer["limitReached"], names) == (reached, sorted(names, reverse=True)), limit
        assert answer["rowCount"] == len(names) == min(limit, 3)


def test_an_error_shows_its_place_in_the_statement_of_the_caller(people: Server) -> None:
    answer = post(people, sql="SELECT name,\n  nme\nFROM data")
    message = answer.json()["message"]
    assert (answer.status, message.split("\n")[1:]) == (400, ["LINE 2:   nme", "          ^"])
    assert "query(" not in message
    never = post(people, sql="SELECT DATE '0044-03-15 (BC)' AS ides").json()["message"]
    assert never.startswith("The column ides has a value that an export cannot hold exactly")


WRONG_SQL: dict[str, tuple[Json, str, str]] = {
    "none": ({}, "sql", "sql: Field required."),
    "empty": ({"sql": ""}, "sql", "at least 1 character"),
    "blank": ({"sql": " "}, "sql", "Use one read-only statement"),
    "no text": ({"sql": 1}, "sql", "valid string"),
    "an unknown member": ({"sql": "FROM data", "run": "r1"}, "run", "Unknown parameter 'run'; did you mean runId?"),
    "too many rows": ({"sql": "FROM data", "limit": 1001}, "limit", "less than or equal to 1000"),
    "two statements": ({"sql": "FROM data; FROM data"}, "sql", "Use one read-only statement"),
    "a write": ({"sql": "COPY data TO 'x.csv'"}, "sql", "Use one read-only statement"),
    "a syntax error": ({"sql": "SELEC 1"}, "sql", "syntax error"),
    "an unknown column": ({"sql": "SELECT nme FROM data"}, "sql", 'Candidate bindings: "name"'),
    "a file": ({"sql": "FROM read_text('/etc/passwd')"}, "sql", "'read_text' is not allowed: it reads files"),
    "too long": ({"sql": f"SELECT '{'x' * 70_000}'"}, "sql", "exceeds the maximum of 65,536 bytes"),
}


@pytest.mark.parametrize("name", WRONG_SQL)
def test_invalid_sql_requests_are_refused(people: Server, name: str) -> None:
    body, parameter, reason = WRONG_SQL[name]
    answer = post(people, **body)
    assert answer.status == 400, answer.body
    assert answer.json()["details"]["parameter"] == parameter
    assert reason in answer.json()["message"]
    assert str(people.folder) not in answer.body.decode()


def test_a_forbidden_statement_has_its_own_error_code(people: Server) -> None:
    for sql in ("FROM query('SELECT 1')", "FROM 'x.csv'", "SELECT 1; SELECT 2", "SELEC 1", "SELECT nme FROM data"):
        answer = post(people, sql=sql)
        assert (answer.status, answer.json()["code"], answer.json()["details"]) == (
            400, "invalid_sql", {"parameter": "sql"},
        )  # fmt: skip


def test_a_query_is_cancelled_after_its_timeout(people: Server, tmp_path: Any) -> None:
    with Server(
        (f"{people.environment['TAILRACE_RESULTS']}/..", {}), tmp_path, TAILRACE_QUERY_TIMEOUT_SECONDS="10"
    ) as server:
        assert post(server, sql="SELECT 1 AS one").json()["rows"] == [{"one": 1}]
        endless = post(server, sql="SELECT count(*) FROM range(10000000) a, range(10000000) b")
        assert (endless.status, endless.json()["code"]) == (400, "limit_exceeded")
        assert post(server, sql="SELECT 2 AS two").json()["rows"] == [{"two": 2}]


def test_sql_can_be_disabled(people: Server, tmp_path: Any) -> None:
    with Server((f"{people.environment['TAILRACE_RESULTS']}/..", {}), tmp_path, TAILRACE_USER_SQL="off") as server:
        answer = post(server, sql="SELECT 1")
        assert (answer.status, answer.json()["message"][:23]) == (400, "SQL is disabled on this")
