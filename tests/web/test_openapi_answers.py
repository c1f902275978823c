"""The responses of the running service are those of the OpenAPI document."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import jsonschema_rs
import pytest
from starlette.requests import Request
from starlette.responses import Response

from engine.errors import Cancelled, EngineError, InvalidFilter, NotFound, SourceDamaged, StoreUnavailable
from tests.helpers.server import KEY, Answer, Server
from web.api.errors import answer_error, error_codes
from web.auth.authenticator import InvalidCredentials
from web.auth.signed_urls import ExpiredUrl, FutureUrl
from web.jobs.admission import ServiceOverloaded
from web.openapi.document import make_document, make_document_30

EXPORT = "/v4/workflows/{workflowId}/data/export"
FILE = "/v4/workflows/{workflowId}/data/exports/{exportId}"
FILES = (FILE, "/v4/workflows/{workflowId}/data/parquet")
"""They answer with files, which clients may store."""
WORKFLOW = "/v4/workflows/{workflowId}"
Json = dict[str, Any]


def found(document: Json, node: Json) -> Json:
    """Resolve a node that may be a reference."""
    if "$ref" not in node:
        return node
    kind, name = node["$ref"].split("/")[2:]
    component: Json = document["components"][kind][name]
    return component


def validator(document: Json, schema: Json) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}, validate_formats=True)


ERRORS: dict[str, tuple[Exception, int, str]] = {
    "filter": (InvalidFilter("m", parameter="filters", entry="filters[0]", field="é\n"), 400, "invalid_filter"),
    "denied": (InvalidCredentials(), 401, "unauthorized"),
    "expired": (ExpiredUrl(), 401, "url_expired"),
    "of the future": (FutureUrl(), 401, "clock_skew"),
    "not there": (NotFound("m"), 404, "not_found"),
    "full": (ServiceOverloaded(7), 503, "busy"),
    "cancelled": (Cancelled("m"), 503, "cancelled"),
    "store away": (StoreUnavailable("m"), 503, "store_unavailable"),
    "damaged": (SourceDamaged("m"), 500, "internal_error"),
    "any of ours": (EngineError("m"), 500, "internal_error"),
    "unforeseen": (ZeroDivisionError("m"), 500, "internal_error"),
}


def answered(error: Exception) -> Response:
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    return asyncio.run(answer_error(Request(scope), error))


@pytest.mark.parametrize("name", ERRORS)
def test_errors_have_the_documented_shape(name: str) -> None:
    error, status, code = ERRORS[name]
    answer = answered(error)
    body = json.loads(bytes(answer.body))
    assert (answer.status_code, body["code"]) == (status, code)
    assert code in error_codes()[status]
    assert list(body) == ["error", "message", "code", "details", "requestId"]
    assert bytes(answer.body) == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    check(make_document("http://x"), "get", EXPORT, Answer(status, answer.headers, bytes(answer.body)))


@pytest.mark.parametrize("seconds", [7, 3600])
def test_a_503_says_when_to_retry(seconds: int) -> None:
    answer = answered(ServiceOverloaded(seconds))
    assert answer.headers["retry-after"] == str(seconds)
    assert f" {seconds} s" in json.loads(bytes(answer.body))["message"]


def check(document: Json, method: str, path: str, answer: Answer) -> None:
    """Check an answer against the document: status, headers, type and body."""
    if path not in FILES:
        assert answer.headers["cache-control"] == "no-store"
    responses = document["paths"][path][method]["responses"]
    assert str(answer.status) in responses, answer.body
    told = found(document, responses[str(answer.status)])
    for name, header in told["headers"].items():
        header = found(document, header)
        assert name.lower() in answer.headers or not header.get("required"), name
    content = told.get("content", {})
    if not content:
        assert answer.body == b""
        return
    media_type = answer.headers["content-type"]
    assert media_type in content or media_type.partition(";")[0] in content
    schema = (content.get(media_type) or {}).get("schema")
    if schema:
        validator(document, schema).validate(answer.json())


AUTH = {"x-api-key": KEY}
ASKED: dict[str, tuple[str, str, str, dict[str, str], bytes | None, int]] = {
    "export": ("get", EXPORT, "", AUTH, None, 200),
    "export later": ("get", EXPORT, "?format=json", {**AUTH, "prefer": "respond-async"}, None, 202),
    "bad format": ("get", EXPORT, "?format=xml", AUTH, None, 400),
    "bad filter": ("get", EXPORT, "?filters=%5B1%5D", AUTH, None, 400),
    "no credentials": ("get", EXPORT, "", {}, None, 401),
    "no such run": ("get", EXPORT, "?runId=r9", AUTH, None, 404),
    "long query": ("get", EXPORT, f"?rowIds={'x' * 40_000}", AUTH, None, 414),
    "export by body": ("post", EXPORT, "", AUTH, b'{"format":"parquet"}', 200),
    "parameters in the URL": ("post", EXPORT, "?format=csv", AUTH, b"{}", 400),
    "long body": ("post", EXPORT, "", AUTH, b" " * (9 * 1024 * 1024), 413),
    "file": ("get", FILE, "", AUTH, None, 200),
    "range": ("get", FILE, "", {**AUTH, "range": "bytes=0-3"}, None, 206),
    "known version": ("get", FILE, "", {**AUTH, "if-none-match": "*"}, None, 304),
    "file in no format": ("get", FILE, "?format=xml", AUTH, None, 400),
    "tampered": ("get", FILE, "?format=csv&expires=1&kid=k1&sig=x", {}, None, 401),
    "another version": ("get", FILE, "", {**AUTH, "if-match": '"x"'}, None, 412),
    "behind the end": ("get", FILE, "", {**AUTH, "range": "bytes=99999-"}, None, 416),
    "headers of the file": ("head", FILE, "", AUTH, None, 200),
    "headers, tampered": ("head", FILE, "?sig=x", {}, None, 401),
    "status": ("get", f"{FILE}/status", "", AUTH, None, 200),
    "cancel what is done": ("delete", f"{FILE}/status", "", AUTH, None, 409),
    "exports": ("get", FILE.rpartition("/")[0], "?limit=1", AUTH, None, 200),
    "a page of exports that cannot be": ("get", FILE.rpartition("/")[0], "?page=0", AUTH, None, 400),
    "delete without credentials": ("delete", FILE, "", {}, None, 401),
    "status of nothing": ("get", f"{FILE}/status", "", {}, None, 401),
    "workflows": ("get", "/v4/workflows", "?limit=1", AUTH, None, 200),
    "a page of workflows that cannot be": ("get", "/v4/workflows", "?page=0", AUTH, None, 400),
    "workflow": ("get", WORKFLOW, "", AUTH, None, 200),
    "workflows by name": ("get", "/v4/workflows", "?search=PEO&state=ACTIVE&skip=0&limit=5", AUTH, None, 200),
    "workflows in no state": ("get", "/v4/workflows", "?state=unknown", AUTH, None, 400),
    "history": ("get", f"{WORKFLOW}/history", "?status=failed", AUTH, None, 200),
    "history of no outcome": ("get", f"{WORKFLOW}/history", "?status=lost", AUTH, None, 400),
    "job": ("get", f"{WORKFLOW}/jobs/{{runId}}", "", AUTH, None, 200),
    "all rows": ("get", f"{WORKFLOW}/data", "?limit=0&includeAnomalies=true", AUTH, None, 200),
    "link": ("get", f"{WORKFLOW}/data", "?download=link&format=csv", AUTH, None, 200),
    "link to JSON": ("get", f"{WORKFLOW}/data", "?download=link", AUTH, None, 400),
    "Parquet": ("get", f"{WORKFLOW}/data/parquet", "?runId=r1", AUTH, None, 200),
    "range of Parquet": ("get", f"{WORKFLOW}/data/parquet", "", {**AUTH, "range": "bytes=0-3"}, None, 206),
    "Parquet of no run": ("get", f"{WORKFLOW}/data/parquet", "?runId=r9", AUTH, None, 404),
    "workflow with a parameter": ("get", WORKFLOW, "?page=1", AUTH, None, 400),
    "rows": ("get", f"{WORKFLOW}/data", "?limit=2&includeRowIds=true", AUTH, None, 200),
    "rows as CSV": ("get", f"{WORKFLOW}/data", "?format=csv", AUTH, None, 200),
    "rows as Parquet": ("get", f"{WORKFLOW}/data", "?format=parquet", AUTH, None, 400),
    "column": ("get", f"{WORKFLOW}/data/column", "?field=age", AUTH, None, 200),
    "rows by body": ("post", f"{WORKFLOW}/data", "", AUTH, b'{"limit":2,"sortBy":"age"}', 200),
    "rows by no body": ("post", f"{WORKFLOW}/data", "", AUTH, None, 200),
    "rows by a wrong body": ("post", f"{WORKFLOW}/data", "", AUTH, b'{"page":0}', 400),
    "column by body": ("post", f"{WORKFLOW}/data/column", "", AUTH, b'{"field":"age"}', 200),
    "no column by body": ("post", f"{WORKFLOW}/data/column", "", AUTH, b"{}", 400),
    "column of text": ("get", f"{WORKFLOW}/data/column", "?field=name", AUTH, None, 200),
    "no column": ("get", f"{WORKFLOW}/data/column", "", AUTH, None, 400),
    "query": ("post", f"{WORKFLOW}/data/query", "", AUTH, b'{"sql":"FROM data"}', 200),
    "query as CSV": ("post", f"{WORKFLOW}/data/query", "", AUTH, b'{"sql":"FROM data","format":"csv"}', 200),
    "query, exported": ("post", f"{WORKFLOW}/data/query/export", "", AUTH, b'{"sql":"FROM data"}', 200),
    "query, exported later": (
        "post",
        f"{WORKFLOW}/data/query/export",
        "",
        {**AUTH, "prefer": "respond-async"},
        b'{"sql":"SELECT 1"}',
        202,
    ),
    "query of nothing, exported": ("post", f"{WORKFLOW}/data/query/export", "", AUTH, b"{}", 400),
    "query of nothing": ("post", f"{WORKFLOW}/data/query", "", AUTH, b"{}", 400),
    "health": ("get", "/healthz", "", {}, None, 200),
    "readiness": ("get", "/readyz", "", {}, None, 200),
    "metrics": ("get", "/metrics", "", {}, None, 200),
}


@pytest.fixture(scope="module")
def served(people: Server) -> Json:
    answer = people.request("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document: Json = answer.json()
    assert document == make_document(people.base)
    assert people.request("/openapi-3.0.json").json() == make_document_30(people.base)
    return document


@pytest.mark.parametrize("name", ASKED)
def test_responses_are_as_documented(people: Server, served: Json, name: str) -> None:
    method, path, query, headers, body, status = ASKED[name]
    export_id = people.export("people").json()["exportId"]
    there = path.replace("{workflowId}", "people").replace("{exportId}", export_id).replace("{runId}", "r1")
    answer = people.request(there + query, method.upper(), headers, body)
    assert answer.status == status, answer.body
    check(served, method, path, answer)


READS = (
    "/v4/workflows",
    WORKFLOW,
    f"{WORKFLOW}/history",
    f"{WORKFLOW}/jobs/{{runId}}",
    f"{WORKFLOW}/data",
    f"{WORKFLOW}/data/parquet",
)


OF_THE_SAMPLE = ("filters", "sortBy", "rowIds", "fields", "runId", "sinceRunId")


@pytest.mark.parametrize("path", READS)
def test_the_examples_of_parameters_run(people: Server, served: Json, path: str) -> None:
    there = path.replace("{workflowId}", "people").replace("{runId}", "r1")
    for parameter in served["paths"][path]["get"]["parameters"]:
        # Examples that name fields, rows or runs are about another workflow (tests/web/test_docs.py sends them).
        if parameter["in"] == "query" and "example" in parameter and parameter["name"] not in OF_THE_SAMPLE:
            value = parameter["example"]
            text = value if isinstance(value, str) else json.dumps(value)
            answer = people.request(f"{there}?{urlencode({parameter['name']: text})}", headers=AUTH)
            assert answer.status == 200, (parameter["name"], answer.body)
            if "content-encoding" not in answer.headers:
                check(served, "get", path, answer)


def test_every_parameter_of_lists_has_an_example(served: Json) -> None:
    without = {
        (path, parameter["name"])
        for path in READS
        for parameter in served["paths"][path]["get"]["parameters"]
        if parameter["in"] == "query" and "example" not in parameter
    }
    assert {name for path, name in without if not path.endswith(("/data", "/parquet"))} == set()


def test_every_path_allows_exactly_the_documented_methods(people: Server, served: Json) -> None:
    for path, item in served["paths"].items():
        there = path.replace("{workflowId}", "people").replace("{exportId}", "x")
        answer = people.request(there, "PUT", AUTH)
        methods = [name.upper() for name in item if name != "parameters"]
        assert answer.headers["allow"].split(", ") == methods
        for method in item.keys() - {"parameters", "head"}:
            check(served, method, path, answer)
