"""The responses of the export endpoint (web/API.md, section 2)."""

import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tests.helpers.server import KEY, OTHER_KEY, TEAM, Server
from tests.helpers.sheets import read_sheet
from tests.web.conftest import EXECUTED_AT, ROWS

EXPORT = "/v4/workflows/people/data/export"


class StrictAnswer(BaseModel):
    """The 200 as a strict generated client parses it: without coercion, and without unknown members."""

    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel)

    workflow_id: str
    run_id: str
    format: Literal["csv", "json", "jsonl", "xlsx", "parquet"]
    row_count: int
    url: str
    expires_at: Annotated[AwareDatetime, Field(strict=False)]
    executed_at: Annotated[AwareDatetime | None, Field(strict=False)]
    export_id: Annotated[UUID, Field(strict=False)]
    size_bytes: int
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    schema_: Annotated[list[dict[str, str]], Field(alias="schema")]


@pytest.mark.parametrize(
    ("method", "path", "headers", "message"),
    [
        ("DELETE", f"/v4/workflows/people/data/exports/{UUID(int=1)}?x=1", {}, "A DELETE takes no parameters."),
        ("POST", f"{EXPORT}?x=1", {}, "A POST takes its parameters in the JSON body, none in the URL."),
        ("POST", EXPORT, {"content-encoding": "gzip"}, "A compressed JSON body is not read here: send it plain, "),
        ("GET", "/v4/workflows/people?x=1", {}, "Unknown parameter 'x'; this request takes none."),
    ],
)
def test_a_request_of_another_form_is_told_the_right_one(
    people: Server, method: str, path: str, headers: dict[str, str], message: str
) -> None:
    body = b"{}" if method == "POST" else None
    answer = people.request(path, method, {"x-api-key": KEY, **headers}, body)
    assert (answer.status, answer.json()["error"]) == (400, True)
    assert answer.json()["message"].startswith(message)


@pytest.mark.parametrize("format_name", [None, "csv", "json", "jsonl", "xlsx", "parquet"])
def test_a_strict_client_accepts_the_answer(people: Server, format_name: str | None) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    parameters: dict[str, object] = {} if format_name is None else {"format": format_name}
    answer = people.export("people", KEY, **parameters)
    body = StrictAnswer.model_validate_json(answer.body)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert (body.workflow_id, body.run_id, body.row_count) == ("people", "r1", len(ROWS))
    assert body.format == (format_name or "csv")
    assert body.executed_at == datetime.fromisoformat(EXECUTED_AT)
    day = timedelta(seconds=86_400)
    assert before + day <= body.expires_at <= datetime.now(UTC) + day
    assert answer.json()["expiresAt"].endswith("Z")
    # Parsed and written again, it is the same text: hyphens and lower case.
    assert str(body.export_id) == answer.json()["exportId"]
    assert body.size_bytes == len(people.request(body.url).body)
    assert [field["name"] for field in body.schema_] == ["name", "age", "city", "tags", "home"]


@pytest.mark.parametrize(
    ("format_name", "content"),
    [
        ("csv", b'"name",age,"city","tags","home"\n'),
        ("json", b"[]"),
        ("jsonl", b""),
        ("parquet", None),
    ],
)
def test_an_export_without_rows_succeeds(people: Server, format_name: str, content: bytes | None) -> None:
    answer = people.export("people", format=format_name, rowIds="unknown").json()
    file = people.request(answer["url"]).body
    assert answer["rowCount"] == 0
    assert file.startswith(b"PAR1") if content is None else file == content


def test_a_sheet_without_rows_has_its_header(people: Server) -> None:
    (header,) = read_sheet(people.download("people", format="xlsx", rowIds="unknown"))
    assert [cell.text for cell in header] == ["name", "age", "city", "tags", "home"]


def test_row_ids_without_a_row_are_counted(people: Server) -> None:
    ids = "000000000000, 000000000001,unknown , %,unknown"
    answer = people.export("people", rowIds=ids, includeRowIds="true").json()
    assert (answer["rowCount"], answer["unmatchedRowIds"]) == (2, 2)
    # The same from the finished file, from a body, and with a filter.
    assert people.export("people", rowIds=ids, includeRowIds="true").json()["unmatchedRowIds"] == 2
    body = json.dumps({"rowIds": ["unknown"]}).encode()
    found = people.request(EXPORT, "POST", {"x-api-key": KEY, "content-type": "application/json"}, body).json()
    assert (found["rowCount"], found["unmatchedRowIds"]) == (0, 1)
    assert "unmatchedRowIds" not in people.export("people").json()


def test_a_url_lives_as_long_as_requested(people: Server) -> None:
    usual = people.export("people").json()
    for seconds in (60, 3600, 86_400):
        before = datetime.now(UTC).replace(microsecond=0)
        answer = people.export("people", expiresIn=seconds).json()
        expires = datetime.fromisoformat(answer["expiresAt"])
        assert before <= expires - timedelta(seconds=seconds) <= datetime.now(UTC)
        assert answer["exportId"] == usual["exportId"]
        assert f"expires={int(expires.timestamp())}&" in answer["url"]
        assert people.request(answer["url"]).status == 200


def test_an_unknown_time_of_a_run_is_left_out(people: Server) -> None:
    assert None not in people.export("people").json().values()


def test_a_run_may_be_chosen_by_its_id(people: Server) -> None:
    assert people.export("people", runId="r1").json()["runId"] == "r1"


FILTER = {"field": "age", "operator": "GREATER_THAN", "value": 1}

BAD_REQUESTS: dict[str, tuple[dict[str, object], str, str]] = {
    "format unknown": ({"format": "xml"}, "format", "csv, json, jsonl, xlsx, parquet"),
    "compression unknown": ({"compression": "br"}, "compression", "none, gzip, zstd"),
    "compression of Parquet": (
        {"compression": "gzip", "format": "parquet"}, "compression", "is for csv, json, jsonl: parquet is compressed"
    ),
    "compression of a sheet": (
        {"compression": "zstd", "format": "xlsx"}, "compression", "is for csv, json, jsonl: xlsx is compressed already"
    ),
    "expiresIn too short": ({"expiresIn": "59"}, "expiresIn", "an integer from 60 to 86400"),
    "expiresIn too long": ({"expiresIn": "86401"}, "expiresIn", "an integer from 60 to 86400"),
    "expiresIn not a number": ({"expiresIn": "1h"}, "expiresIn", "an integer from 60 to 86400"),
    "fields unknown": ({"fields": "name,agee"}, "fields", "Did you mean age?"),
    "fields internal": ({"fields": "_row_id"}, "fields", "includeRowIds=true"),
    "sortBy unknown": ({"sortBy": "nope"}, "sortBy", "name, age, city"),
    "sortBy an object": ({"sortBy": "home"}, "sortBy", "dotted path"),
    "sortBy internal": ({"sortBy": "_row_id"}, "sortBy", "no field"),
    "rowIds empty": ({"rowIds": ""}, "rowIds", "empty"),
    "filters not JSON": ({"filters": "{"}, "filters", "JSON"),
    "filter on an unknown field": ({"filters": [FILTER, {**FILTER, "field": "x"}]}, "filters", "filters[1]"),
    "operator unknown": ({"filters": [{**FILTER, "operator": "LIKE"}]}, "filters", "CONTAINS"),
    "value ill-typed": ({"filters": [{**FILTER, "value": "old"}]}, "filters", "NUMBER"),
    "IN without array": ({"filters": [{**FILTER, "operator": "IN"}]}, "filters", "array"),
    "days not positive": ({"filters": [{**FILTER, "operator": "WITHIN_LAST_DAYS", "value": 0}]}, "filters", "positive"),
    "operator means nothing": (
        {"filters": [{**FILTER, "operator": "CONTAINS", "value": "3"}]},
        "filters",
        "use one of EQUALS,",
    ),
    "parameter unknown": ({"sortby": "age"}, "sortby", "sortBy"),
    "delimiter without CSV": ({"format": "json", "delimiter": "tab"}, "format", "CSV"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_the_message_of_a_bad_request_says_what_is_valid(people: Server, name: str) -> None:
    parameters, parameter, hint = BAD_REQUESTS[name]
    answer = people.export("people", KEY, **parameters)
    body = answer.json()
    assert answer.status == 400, body
    assert set(body) == {"error", "message", "code", "details", "requestId"}
    assert body["error"] is True
    assert body["details"]["parameter"] == parameter
    assert hint in body["message"]
    assert answer.headers["x-request-id"] == body["requestId"]


@pytest.mark.parametrize("query", ["format=csv&format=csv", "runId=r1&runId=r2", "filters=[]&filters=[]"])
def test_a_repeated_parameter_is_refused(people: Server, query: str) -> None:
    answer = people.request(f"{EXPORT}?{query}", headers={"x-api-key": KEY})
    assert (answer.status, answer.json()["details"]["parameter"]) == (400, query.partition("=")[0])


def test_empty_filters_match_every_row(people: Server) -> None:
    assert people.export("people", filters=[]).json()["rowCount"] == len(ROWS)


def test_a_url_encoded_filter_matches_its_cell(people: Server) -> None:
    entry = json.dumps([{"field": "name", "operator": "ENDS_WITH", "value": "100%"}])
    answer = people.request(f"{EXPORT}?filters={quote(entry, safe='')}", headers={"x-api-key": KEY})
    assert answer.json()["rowCount"] == 1


CREDENTIALS: dict[str, dict[str, str]] = {
    "none": {},
    "wrong key": {"x-api-key": "wrong"},
    "empty key": {"x-api-key": ""},
    "wrong scheme": {"authorization": f"Basic {KEY}"},
    "key as token": {"authorization": f"Bearer {KEY}"},
    "right key beside a wrong token": {"x-api-key": KEY, "authorization": "Bearer x.y.z"},
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_every_kind_of_wrong_credentials_gets_the_same_401(people: Server, name: str) -> None:
    answer = people.request(EXPORT, headers=CREDENTIALS[name])
    body = answer.json() | {"requestId": ""}
    assert answer.status == 401
    assert body == people.request(EXPORT).json() | {"requestId": ""}
    assert "x-api-key" in body["message"]


NOT_THERE: dict[str, tuple[str, str, dict[str, object]]] = {
    "no such workflow": ("nowhere", KEY, {}),
    "no workflow could be called so": ("%2e%2e", KEY, {}),
    "no such run": ("people", KEY, {"runId": "r9"}),
    "a run that failed": ("people", KEY, {"runId": "r2"}),
    "no run could be called so": ("people", KEY, {"runId": "../r1"}),
    "a workflow without a finished run": ("unfinished", KEY, {}),
    "another team's workflow": ("people", OTHER_KEY, {}),
    "another team's run": ("people", OTHER_KEY, {"runId": "r1"}),
}


@pytest.mark.parametrize("name", NOT_THERE)
def test_missing_data_and_data_of_another_team_get_the_same_404(people: Server, name: str) -> None:
    workflow, key, parameters = NOT_THERE[name]
    answer = people.export(workflow, key, **parameters)
    assert answer.status == 404
    assert answer.json() | {"requestId": ""} == people.export("never-made").json() | {"requestId": ""}


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_405(people: Server, method: str) -> None:
    answer = people.request(EXPORT, method, {"x-api-key": KEY})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")


def test_a_query_that_is_too_long_is_414(people: Server) -> None:
    answer = people.export("people", rowIds="x" * 40_000)
    assert (answer.status, answer.json()["code"]) == (414, "uri_too_long")
    assert "POST" in answer.json()["message"]


def test_a_body_that_is_too_long_is_413(people: Server) -> None:
    """The client closes the connection afterwards, and is still sending when the response comes."""
    answer = people.request(EXPORT, "POST", {"x-api-key": KEY}, b" " * (9 * 1024 * 1024))
    assert (answer.status, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("head", ["HTTP/1.1\r\nconnection: close", "HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize(("key", "status"), [(KEY, 413), ("wrong", 401)])
def test_a_long_body_does_not_cost_the_answer(people: Server, head: str, key: str, status: int) -> None:
    """A client that sends all of its body before it reads gets the answer, and not a reset connection."""
    size = 9 * 1024 * 1024
    with socket.create_connection(("127.0.0.1", people.port), 60) as client:
        client.sendall(
            f"POST {EXPORT} {head}\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: {size}\r\n\r\n".encode()
        )
        client.sendall(b" " * size)
        answer = client.recv(65536)
    assert answer.split(b" ")[1] == str(status).encode()


def test_a_request_id_is_echoed(people: Server) -> None:
    for sent in ("abc-1", "Root=1-67891233-abcdef012345678912345678", "q3k/9A+b==", "_abc", "a;b,c@d~e"):
        assert people.request(EXPORT, headers={"x-request-id": sent}).headers["x-request-id"] == sent


def test_a_request_id_that_could_forge_log_lines_is_replaced(people: Server) -> None:
    for sent in ("a b", '"', "<b>", "\\", "a" * 129, "%0a", "{}"):
        made = people.request(EXPORT, headers={"x-request-id": sent}).headers["x-request-id"]
        assert made != sent
        assert len(made) == 36


def test_a_bearer_token_is_enough(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tokens")
    secret = "a-secret-of-32-bytes-or-more-for-tokens"
    now = int(datetime.now(UTC).timestamp())
    claims: dict[str, Any] = {"team": TEAM, "sub": "someone", "iat": now, "exp": now + 60, "aud": "exports"}
    source = folder / "rows.csv"
    source.write_text("a\n1\n")
    settings = {"TAILRACE_API_KEYS": "", "TAILRACE_JWT_SECRET": secret, "TAILRACE_JWT_AUDIENCE": "exports"}
    with Server((str(folder / "store"), {}), folder, **settings) as server:
        server.publish("--workflow", "w", "--run", "r", str(source))
        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))
        made = server.request("/v4/workflows/w/data/export", headers={"authorization": f"Bearer {token}"}).json()
        file = urlsplit(made["url"]).path
        for changes, status in (({}, 200), ({"team": "rival"}, 404), ({"aud": "x"}, 401), ({"exp": 1}, 401)):
            token = jwt.encode({"alg": "HS256"}, {**claims, **changes}, OctKey.import_key(secret))
            headers = {"authorization": f"Bearer {token}"}
            assert server.request("/v4/workflows/w/data/export", headers=headers).status == status
            assert server.request(file, headers=headers).status == status


@pytest.mark.parametrize("setting", ["TAILRACE_API_KEYS", "TAILRACE_SIGNING_KEYS"])
def test_without_keys_the_service_does_not_start(tmp_path_factory: pytest.TempPathFactory, setting: str) -> None:
    folder = tmp_path_factory.mktemp("keyless")
    done = Server((str(folder / "store"), {}), folder, **{setting: ""}).command("serve")
    assert done.returncode == 1
    assert setting in done.stderr
    assert "Traceback" not in done.stderr
