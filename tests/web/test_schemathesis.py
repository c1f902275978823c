"""Generated requests, right and broken, against the running service: every answer is one that the document tells of.

``TAILRACE_CASES_SCHEMATHESIS`` is how many requests are made. They are the same each time, unless ``TAILRACE_SEED``
says otherwise.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.request.operators import OPERATORS, ValueShape
from tests.helpers.server import PUBLISH_KEY, Server

CASES = int(os.environ.get("TAILRACE_CASES_SCHEMATHESIS") or 150)
SEED = os.environ.get("TAILRACE_SEED")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]

FIELDS = ["name", "age", "city", "tags", "home", "home.zip", "nope"]
VALUES: dict[ValueShape, list[object]] = {
    ValueShape.SCALAR: ["Bob", 7, 7.5, True, "100%"],
    ValueShape.TEXT: ["o", "", "Zürich\n", "%"],
    ValueShape.ORDERED: [7, -0.5, "2026-11-01", "old"],
    ValueShape.DATE: ["2026-11-01", "2026-11-01T10:00:00+01:00"],
    ValueShape.ARRAY: [[], ["Ann", "a"], [7, 31]],
    ValueShape.DAYS: [1, 10**6, 0],
    ValueShape.NONE: [None],
}
OPERATIONS = {
    "GET /v4/workflows/{workflowId}/data/export": (0.35, {200, 202, 400, 404}),
    "POST /v4/workflows/{workflowId}/data/export": (0.3, {200, 202, 400, 404}),
    "GET /v4/workflows/{workflowId}/data/exports/{exportId}": (0.9, {200, 206, 401, 404}),
    "GET /v4/workflows/{workflowId}/data/exports/{exportId}/{fileName}": (0.07, {200, 404}),
    "HEAD /v4/workflows/{workflowId}/data/exports/{exportId}/{fileName}": (0.05, {200, 404}),
    "HEAD /v4/workflows/{workflowId}/data/exports/{exportId}": (0.03, {200, 401, 404}),
    "GET /v4/workflows/{workflowId}/data/exports/{exportId}/status": (0.05, {200, 404}),
    "DELETE /v4/workflows/{workflowId}/data/exports/{exportId}/status": (0.05, {404, 409}),
    "GET /v4/workflows/{workflowId}/data/exports": (0.05, {200, 400, 404}),
    "GET /v4/workflows": (0.05, {200, 400}),
    "GET /v4/workflows/{workflowId}": (0.03, {200, 404}),
    "GET /v4/workflows/{workflowId}/history": (0.05, {200, 400, 404}),
    "GET /v4/workflows/{workflowId}/jobs/{runId}": (0.03, {200, 404}),
    "GET /v4/workflows/{workflowId}/data": (0.1, {200, 400, 404}),
    "GET /v4/workflows/{workflowId}/data/parquet": (0.05, {200, 404}),
    "GET /delta-sharing/shares": (0.04, {200, 400}),
    "GET /delta-sharing/shares/{share}": (0.03, {200, 404}),
    "GET /delta-sharing/shares/{share}/schemas": (0.03, {200, 404}),
    "GET /delta-sharing/shares/{share}/all-tables": (0.03, {200, 404}),
    "GET /delta-sharing/shares/{share}/schemas/{schema}/tables": (0.03, {200, 404}),
    "HEAD /delta-sharing/shares/{share}/schemas/{schema}/tables/{table}": (0.03, {200, 404}),
    "GET /delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/version": (0.1, {200, 400, 404}),
    "GET /delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/metadata": (0.05, {200, 400, 404}),
    "POST /delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/query": (0.1, {200, 400, 404}),
    "GET /delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/changes": (0.03, {400, 404}),
    "GET /v5/changes": (0.05, {200, 400}),
    "GET /v5/changes/{changeId}": (0.03, {200, 404}),
    "GET /v4/changes": (0.03, {200, 400}),
    "GET /v4/changes/{changeId}": (0.03, {200, 404}),
    "POST /v4/workflows/{workflowId}/data": (0.05, {200, 400, 404}),
    "GET /v4/workflows/{workflowId}/data/column": (0.05, {200, 400, 404}),
    "POST /v4/workflows/{workflowId}/data/column": (0.05, {200, 400, 404}),
    "POST /v4/workflows/{workflowId}/data/query": (0.05, {200, 400, 404}),
    "POST /v4/workflows/{workflowId}/data/query/export": (0.05, {200, 400, 404}),
    "POST /v4/workflows/{workflowId}/runs": (0.08, {201, 400}),
    "DELETE /v4/workflows/{workflowId}/runs/{runId}": (0.05, {204, 404}),
    "DELETE /v4/workflows/{workflowId}": (0.05, {204, 404}),
    # Last, since it deletes the export that the others know.
    "DELETE /v4/workflows/{workflowId}/data/exports/{exportId}": (0.05, {204, 404}),
}
"""Each operation: its share of all requests, and the statuses without which these were not worth making."""

BODIES = ("ExportRequest", "RowsRequest", "ColumnRequest", "QueryRequest", "StatementExportRequest")
STATEMENTS = ["FROM data", "SELECT count(*) AS n FROM data", "FROM data WHERE age > $least", "FROM nothing", "FROM"]
CHANGING = (
    "POST /v4/workflows/{workflowId}/runs",
    "DELETE /v4/workflows/{workflowId}/runs/{runId}",
    "DELETE /v4/workflows/{workflowId}",
)
"""They publish and delete."""
FILES = {"text/csv": "a,b\n1,x\n2,y\n", "application/x-ndjson": '{"a": 1}\n{"a": 2, "b": "y"}\n'}
PROBES = [f"{method} {path}" for path in ("/healthz", "/readyz", "/metrics") for method in ("GET", "HEAD")]


def known_words(document: dict[str, Any], export_id: str, etag: str) -> dict[str, Any]:
    """The document with what this server knows in place of any text, so that most requests mean something."""
    entries = [
        {"field": field, "operator": row.name, "value": value}
        for row in OPERATORS.values()
        for value in VALUES[row.value]
        for field in FIELDS
    ]
    words: dict[str, list[str]] = {
        "workflowId": ["people"],
        "exportId": [export_id],
        "runId": ["r1", "r2"],
        "filters": [json.dumps(chosen) for chosen in ([], *([entry] for entry in entries), entries[:2])],
        "sortBy": FIELDS,
        "fields": ["name,age", "home.zip", '["city"]', "name,nope"],
        "expiresIn": ["60", "3600", "86401"],
        "share": ["acme", "ACME"],
        "table": ["people", "people@r1", "people@r2"],
        "version": ["1", "2"],
        "pageToken": ["YWZ0ZXI6", "x"],
        "delta-sharing-capabilities": ["responseformat=delta", "responseformat=delta,parquet", "responseformat=x"],
        "fileidhash": ["parquet", "delta", "x"],
        "startingTimestamp": ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"],
        "workflowIds": ["people", "paired", "people,paired"],
        "changeId": ["paired:r2", "paired:r1", "x"],
        "startDate": ["2020-01-01T00:00:00Z", "2999-01-01"],
        "field": FIELDS,
        "rowId": ["a", "b"],
        "schema": ["default"],
        "Content-Encoding": ["gzip", "identity"],
        "fileName": ["people-r1.csv", "x.csv", "people-r1.json"],
        "rowIds": ["000000000001", "000000000000,000000000002", '["000000000001"]'],
        "Prefer": ["respond-async", "wait=5", "respond-async, wait=0"],
        "Range": ["bytes=0-3", "bytes=-1", "bytes=999999-", "bytes=3-1"],
        "If-Range": [etag, '"other"'],
        "If-None-Match": [etag, "*", '"other"'],
        "If-Match": [etag, "*", '"other"'],
    }
    found: dict[str, Any] = json.loads(json.dumps(document))
    for item in found["paths"].values():
        for operation in item.values():
            parameters = operation if isinstance(operation, list) else operation["parameters"]
            # Whoever has a key sends no part of a signature.
            parameters[:] = [parameter for parameter in parameters if parameter["name"] not in ("expires", "kid")]
            for parameter in parameters:
                if parameter["name"] in words:
                    parameter["schema"] = {"type": "string", "enum": words[parameter["name"]]}
    for alternative in found["components"]["schemas"]["Filter"]["oneOf"]:
        alternative["properties"]["field"]["enum"] = FIELDS
    known = {"runId": words["runId"], "sortBy": FIELDS, "field": FIELDS, "expiresIn": [60, 3600, 86_401]}
    known["sql"] = STATEMENTS
    for name in BODIES:
        body = found["components"]["schemas"][name]["properties"]
        for member in known.keys() & body.keys():
            body[member]["enum"] = known[member]
        if "fields" in body:
            body["fields"]["items"]["enum"] = FIELDS
    publishing = found["paths"]["/v4/workflows/{workflowId}/runs"]["post"]
    publishing["requestBody"]["content"] = {
        kind: {"schema": {"type": "string", "enum": [text, "a"]}} for kind, text in FILES.items()
    }
    for label in CHANGING:
        # What is published and deleted is what no other request reads. An operation's parameters are before its path's.
        method, path = label.split()
        item = found["paths"][path]
        own = next(parameter for parameter in item["parameters"] if parameter["name"] == "workflowId")
        item[method.lower()]["parameters"].append({**own, "schema": {"type": "string", "enum": ["made"]}})
    return found


@pytest.fixture(scope="module")
def documents(people: Server) -> list[dict[str, Any]]:
    """The document as it is served, and with the words of this server."""
    document = people.request("/openapi.json").json()
    made = people.export("people").json()
    source = people.folder / "paired.json"
    for run in ("r1", "r2"):
        source.write_text(json.dumps([{"id": "a", "run": run}]))
        for workflow in ("paired", "made"):
            people.publish("--workflow", workflow, "--run", run, "--row-id", "id", str(source))
    return [document, known_words(document, made["exportId"], f'"{made["sha256"]}"')]


def load(document: dict[str, Any]) -> Any:
    """The document as schemathesis reads it; credentials come from the test."""
    config = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
    return schemathesis.openapi.from_dict(json.loads(json.dumps(document)), config=config)


def test_every_operation_is_asked(documents: list[dict[str, Any]]) -> None:
    operations = {
        f"{method.upper()} {path}"
        for path, item in documents[0]["paths"].items()
        for method in item.keys() - {"parameters"}
    }
    assert operations == {*OPERATIONS, *PROBES}


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_documented(
    people: Server, documents: list[dict[str, Any]], label: str, record_property: Callable[[str, object], None]
) -> None:
    (method, path), (of_all, seen) = label.split(), OPERATIONS[label]
    answers: Counter[int] = Counter()
    session = requests.Session()
    session.trust_env = False
    for document, mode, share in (
        (documents[0], GenerationMode.POSITIVE, 0.15),
        (documents[0], GenerationMode.NEGATIVE, 0.15),
        (documents[1], GenerationMode.POSITIVE, 0.5),
        (documents[1], GenerationMode.NEGATIVE, 0.2),
    ):
        cases = load(document)[path][method].as_strategy(generation_mode=mode)
        generate(cases, max(1, round(CASES * of_all * share)), people.base, session, answers)
    record_property("answers", dict(answers))
    # On a busy machine, an export may not be over when the time that its caller waits for it is.
    assert {200 if status == 202 and status not in seen else status for status in answers} >= seen, answers


@pytest.mark.parametrize("label", PROBES)
def test_every_answer_of_a_probe_is_documented(people: Server, documents: list[dict[str, Any]], label: str) -> None:
    method, path = label.split()
    answers: Counter[int] = Counter()
    generate(load(documents[0])[path][method].as_strategy(), 5, people.base, requests.Session(), answers)
    assert set(answers) == {200}


def generate(
    cases: "st.SearchStrategy[Any]", count: int, base: str, session: requests.Session, answers: Counter[int]
) -> None:
    """Make that many requests, and check each answer."""

    # Many of the broken requests are thrown away, since they would not be broken once they are text in a URL.
    @settings(
        max_examples=count,
        derandomize=SEED is None,
        database=None,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(cases)
    def ask(case: Any) -> None:
        answer = case.call(base_url=base, session=session, headers={"x-api-key": PUBLISH_KEY}, timeout=60)
        answers[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    (ask if SEED is None else seed(int(SEED))(ask))()


def test_an_answer_that_is_not_documented_is_seen(people: Server, documents: list[dict[str, Any]]) -> None:
    forgetful = json.loads(json.dumps(documents[1]))
    operation = forgetful["paths"]["/v4/workflows/{workflowId}/data/export"]["get"]
    del operation["responses"]["400"]
    cases = load(forgetful)["/v4/workflows/{workflowId}/data/export"]["GET"].as_strategy()
    with pytest.raises(FailureGroup, match="Undocumented status code"):
        generate(cases, 40, people.base, requests.Session(), Counter())
