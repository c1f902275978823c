"""The protocol, statement by statement, in the order of PROTOCOL.md of github.com/delta-io/delta-sharing."""

import base64
import io
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from tests.delta_sharing.conftest import COLUMNS, ROWS, Shared, file_of, lines_of
from tests.helpers.server import OTHER_KEY, Answer

ORDERS = "/shares/acme/schemas/default/tables/~my~0~orders"
RUN = f"{ORDERS}@2026~01"
EMPTY = "/shares/acme/schemas/default/tables/empty"
DELTA = {"delta-sharing-capabilities": "responseformat=delta;readerfeatures=deletionvectors"}
EITHER = {"delta-sharing-capabilities": "responseFormat=delta,parquet;readerfeatures=deletionvectors,columnmapping"}
JSON_TYPE = "application/json; charset=utf-8"
LINES_TYPE = "application/x-ndjson; charset=utf-8"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Told:
    """A statement: the request, and what the answer has. ``body`` is as `_content` makes it."""

    path: str
    status: int = 200
    method: str = "GET"
    sent: dict[str, Any] | bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)
    body: Any = None


def _share(**page: Any) -> dict[str, Any]:
    return {"items": [{"name": "acme", "displayName": "acme"}], **page}


TABLES = ["~my~0~orders", "empty", "my-orders"]
START, AFTER_ORDERS = (base64.urlsafe_b64encode(text).decode() for text in (b"after:", b"after:My.Orders"))

STATEMENTS: dict[str, Told] = {
    "List Shares": Told("/shares", answered={"content-type": JSON_TYPE}, body=_share()),
    "List Shares: maxResults": Told("/shares?maxResults=10", body=_share()),
    "List Shares: 0 returns no results but may return a token": Told(
        "/shares?maxResults=0", body={"items": [], "nextPageToken": START}
    ),
    "List Shares: pageToken": Told(f"/shares?pageToken={START}", body=_share()),
    "List Shares: 400, a negative maxResults": Told("/shares?maxResults=-1", 400),
    "List Shares: 400, no Int32": Told("/shares?maxResults=2147483648", 400),
    "List Shares: 400, no number": Told("/shares?maxResults=many", 400),
    "List Shares: 400, a token of nobody": Told("/shares?pageToken=x", 400),
    "List Shares: 400, maxResults twice": Told("/shares?maxResults=1&maxResults=2", 400),
    "List Shares: an unknown parameter is ignored": Told("/shares?later=1", body=_share()),
    "Get Share": Told("/shares/acme", answered={"content-type": JSON_TYPE}, body={"share": _share()["items"][0]}),
    "Get Share: it is case-insensitive": Told("/shares/ACME", body={"share": _share()["items"][0]}),
    "Get Share: 404": Told("/shares/nobody", 404),
    "List Schemas": Told(
        "/shares/acme/schemas",
        answered={"content-type": JSON_TYPE},
        body={"items": [{"name": "default", "share": "acme"}]},
    ),
    "List Schemas: 404": Told("/shares/nobody/schemas", 404),
    "List Tables": Told("/shares/acme/schemas/default/tables", answered={"content-type": JSON_TYPE}, body=TABLES),
    "List Tables: names are case-insensitive": Told("/shares/Acme/schemas/DEFAULT/tables", body=TABLES),
    "List Tables: a page": Told("/shares/acme/schemas/default/tables?maxResults=1", body=[*TABLES[:1], AFTER_ORDERS]),
    "List Tables: the next page": Told(
        f"/shares/acme/schemas/default/tables?maxResults=5&pageToken={AFTER_ORDERS}", body=TABLES[1:]
    ),
    "List Tables: 404, no such schema": Told("/shares/acme/schemas/other/tables", 404),
    "List all Tables": Told("/shares/acme/all-tables", answered={"content-type": JSON_TYPE}, body=TABLES),
    "List all Tables: 404": Told("/shares/nobody/all-tables", 404),
    "Query Table Version": Told(f"{ORDERS}/version", answered={"delta-table-version": "2"}, body=b""),
    "Query Table Version: HEAD (deprecated)": Told(
        ORDERS, method="HEAD", answered={"delta-table-version": "2"}, body=b""
    ),
    "Query Table Version: the table name is case-insensitive": Told(
        f"{ORDERS.replace('orders', 'ORDERS')}/version", answered={"delta-table-version": "2"}
    ),
    "Query Table Version: startingTimestamp before version 0": Told(
        f"{ORDERS}/version?startingTimestamp=1999-01-01T00:00:00Z", answered={"delta-table-version": "1"}
    ),
    "Query Table Version: 400, after the last version": Told(
        f"{ORDERS}/version?startingTimestamp=2999-01-01T00:00:00Z", 400
    ),
    "Query Table Version: 400, another form of time": Told(f"{ORDERS}/version?startingTimestamp=yesterday", 400),
    "Query Table Version: of a table that is one run": Told(f"{RUN}/version", answered={"delta-table-version": "1"}),
    "Query Table Version: of one run, from a time": Told(
        f"{RUN}/version?startingTimestamp=1999-01-01T00:00:00Z", answered={"delta-table-version": "1"}
    ),
    "Query Table Version: 400, after one run": Told(f"{RUN}/version?startingTimestamp=2999-01-01T00:00:00Z", 400),
    "Query Table Version: 404, no such run": Told(f"{ORDERS}@nothing/version", 404),
    "Query Table Version: 404, no name of a run": Told(f"{ORDERS}@/version", 404),
    "Query Table Version: 404": Told("/shares/acme/schemas/default/tables/nobody/version", 404),
    "Query Table Metadata": Told(
        f"{ORDERS}/metadata",
        answered={"content-type": LINES_TYPE, "delta-table-version": "2", "delta-sharing-capabilities": ""},
        body=["protocol", "metaData"],
    ),
    "Query Table Metadata: version": Told(
        f"{ORDERS}/metadata?version=1", answered={"delta-table-version": "1"}, body=["protocol", "metaData"]
    ),
    "Query Table Metadata: 400, version and timestamp": Told(
        f"{ORDERS}/metadata?version=1&timestamp=2026-01-01T00:00:00Z", 400
    ),
    "Query Table Metadata: of a table that is one run": Told(
        f"{RUN}/metadata?version=1", answered={"delta-table-version": "1"}, body=["protocol", "metaData"]
    ),
    "Query Table Metadata: 400, another version of one run": Told(f"{RUN}/metadata?version=2", 400),
    "Query Table Metadata: 400, one run before it was published": Told(
        f"{RUN}/metadata?timestamp=1999-01-01T00:00:00Z", 400
    ),
    "Query Table Metadata: 404": Told("/shares/nobody/schemas/default/tables/x/metadata", 404),
    "Read Data": Told(
        f"{ORDERS}/query",
        method="POST",
        sent={},
        answered={"content-type": LINES_TYPE, "delta-table-version": "2"},
        body=["protocol", "metaData", "file"],
    ),
    "Read Data: a body may be missing": Told(
        f"{ORDERS}/query", method="POST", sent=b"", body=["protocol", "metaData", "file"]
    ),
    "Read Data: version": Told(
        f"{ORDERS}/query",
        method="POST",
        sent={"version": 1},
        answered={"delta-table-version": "1"},
        body=["protocol", "metaData", "file"],
    ),
    "Read Data: hints may be ignored": Told(
        f"{ORDERS}/query",
        method="POST",
        sent={"predicateHints": ["n < 0", ")("], "jsonPredicateHints": "{", "limitHint": 1},
        body=["protocol", "metaData", "file"],
    ),
    "Read Data: a table without files": Told(f"{EMPTY}/query", method="POST", sent={}, body=["protocol", "metaData"]),
    "Read Data: members of later versions are ignored": Told(
        f"{ORDERS}/query", method="POST", sent={"idempotencyKey": "x"}, body=["protocol", "metaData", "file"]
    ),
    "Read Data: 400, no JSON": Told(f"{ORDERS}/query", 400, "POST", b"{"),
    "Read Data: 400, no object": Told(f"{ORDERS}/query", 400, "POST", b"[]"),
    "Read Data: 400, limitHint is no Int32": Told(f"{ORDERS}/query", 400, "POST", {"limitHint": -1}),
    "Read Data: 400, predicateHints is no list": Told(f"{ORDERS}/query", 400, "POST", {"predicateHints": "n"}),
    "Read Data: 400, jsonPredicateHints is no text": Told(f"{ORDERS}/query", 400, "POST", {"jsonPredicateHints": {}}),
    "Read Data: 400, version is no number": Told(f"{ORDERS}/query", 400, "POST", {"version": True}),
    "Read Data: 400, no such version": Told(f"{ORDERS}/query", 400, "POST", {"version": 3}),
    "Read Data: 400, before the first version": Told(
        f"{ORDERS}/query", 400, "POST", {"timestamp": "1999-01-01T00:00:00Z"}
    ),
    "Read Data: 400, startingVersion without a change data feed": Told(
        f"{ORDERS}/query", 400, "POST", {"startingVersion": 0, "endingVersion": 1}
    ),
    "Read Data: 404": Told("/shares/acme/schemas/default/tables/nobody/query", 404, "POST", {}),
    "Read Change Data Feed: 400, it is not enabled": Told(f"{ORDERS}/changes?startingVersion=0", 400),
    "Read Change Data Feed: 404": Told("/shares/acme/schemas/default/tables/nobody/changes?startingVersion=0", 404),
    "Capabilities: the only format is respected": Told(
        f"{ORDERS}/metadata",
        headers=DELTA,
        answered={"delta-sharing-capabilities": "responseformat=delta"},
        body=["protocol", "metaData"],
    ),
    "Capabilities: of a list, parquet may be chosen": Told(
        f"{ORDERS}/query",
        method="POST",
        sent={},
        headers=EITHER,
        answered={"delta-sharing-capabilities": "responseformat=parquet"},
        body=["protocol", "metaData", "file"],
    ),
    "Capabilities: without a format it is parquet, and asyncquery is ignored": Told(
        f"{ORDERS}/query",
        method="POST",
        sent={},
        headers={"delta-sharing-capabilities": "asyncquery=true;includeEndStreamAction=true"},
        answered={"delta-sharing-capabilities": "responseformat=parquet"},
        body=["protocol", "metaData", "file"],
    ),
    "Capabilities: 400, a format that is not supported": Told(
        f"{ORDERS}/metadata", 400, headers={"delta-sharing-capabilities": "responseformat=iceberg"}
    ),
    "File ID Hash: it is echoed in lower case": Told(
        f"{ORDERS}/query",
        method="POST",
        sent={},
        headers={"fileidhash": "DELTA"},
        answered={"fileidhash": "delta"},
        body=["protocol", "metaData", "file"],
    ),
    "File ID Hash: 400, another value": Told(f"{ORDERS}/query", 400, "POST", {}, {"fileidhash": "md5"}),
    "Generate Temporary Table Credential is not offered": Told(
        f"{ORDERS}/temporary-table-credentials", 404, "POST", {}
    ),
}


def _content(answer: Answer) -> Any:
    """The names of tables with the token of the next page, the kinds of lines, or any other body as it is."""
    if not answer.body:
        return b""
    if answer.headers["content-type"] == LINES_TYPE:
        return [next(iter(line)) for line in lines_of(answer)]
    found = answer.json()
    if all("accessModes" in item for item in found.get("items", [{}])) and found["items"]:
        return [item["name"] for item in found["items"]] + [
            value for name, value in found.items() if name == "nextPageToken"
        ]
    return found


CODES = {400: {"INVALID_PARAMETER_VALUE", "UNSUPPORTED_OPERATION"}, 404: {"RESOURCE_DOES_NOT_EXIST"}}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_statement_of_the_protocol_holds(shared: Shared, statement: str) -> None:
    told = STATEMENTS[statement]
    sent = json.dumps(told.sent).encode() if isinstance(told.sent, dict) else told.sent
    answer = shared.ask(told.path, told.method, sent, told.headers)
    assert answer.status == told.status, answer.body
    for name, value in told.answered.items():
        assert answer.headers.get(name, "") == value
    if told.body is not None:
        assert _content(answer) == told.body
    if told.status != 200 and "temporary" not in told.path:
        assert answer.headers["content-type"] == "application/json"
        error = answer.json()
        assert list(error) == ["errorCode", "message"]
        assert error["errorCode"] in CODES[told.status]


@pytest.mark.parametrize("token", ["", "wrong", "tr_00000000_" + "x" * 43])
def test_without_the_right_token_everything_is_401(shared: Shared, token: str) -> None:
    for path in ("/shares", "/shares/acme", f"{ORDERS}/metadata", f"{ORDERS}/version"):
        answer = shared.ask(path, token=token)
        assert (answer.status, answer.json()["errorCode"]) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_another_method_is_a_405_that_names_the_allowed_ones(shared: Shared) -> None:
    answer = shared.ask("/shares", "DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert list(answer.json()) == ["errorCode", "message"]


def test_the_pages_together_have_every_table_once(shared: Shared) -> None:
    found: list[str] = []
    token = ""
    while True:
        page = shared.ask(f"/shares/acme/all-tables?maxResults=2&pageToken={quote(token)}").json()
        found += [item["name"] for item in page["items"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert found == TABLES


def test_the_metadata_describes_the_columns(shared: Shared) -> None:
    first, second = lines_of(shared.ask(f"{ORDERS}/metadata"))
    assert first == {"protocol": {"minReaderVersion": 1}}
    metadata = second["metaData"]
    assert UUID.fullmatch(metadata.pop("id"))
    schema = json.loads(metadata.pop("schemaString"))
    assert metadata == {
        "name": "~my~0~orders",
        "format": {"provider": "parquet"},
        "partitionColumns": [],
        "configuration": {},
        "accessModes": ["url"],
    }
    types = [
        "long",
        "decimal(20,0)",
        "string",
        "string",
        "string",
        "decimal(12,2)",
        "date",
        "timestamp",
        {"type": "array", "elementType": "string", "containsNull": True},
        {"type": "struct", "fields": [_field("u", "short"), _field("deep", _struct(_field("text", "string")))]},
    ]
    assert schema["type"] == "struct"
    assert schema["fields"] == [_field(name, type_) for name, type_ in zip(COLUMNS, types, strict=True)]


def _field(name: str, type_: object) -> dict[str, object]:
    return {"name": name, "type": type_, "nullable": True, "metadata": {}}


def _struct(*fields: dict[str, object]) -> dict[str, object]:
    return {"type": "struct", "fields": [*fields]}


def test_the_file_has_the_members_of_the_protocol(shared: Shared) -> None:
    before = time.time()
    file = file_of(shared.query("~my~0~orders"))
    assert UUID.fullmatch(file["id"])
    assert file["partitionValues"] == {}
    assert -1 <= file["expirationTimestamp"] / 1000 - before - 86_400 <= 60
    opened = shared.server.request(file["url"])
    assert (opened.status, len(opened.body)) == (200, file["size"])
    table = pq.read_table(io.BytesIO(opened.body))
    assert (table.num_rows, table.column_names) == (ROWS, [*COLUMNS])
    stats = json.loads(file["stats"])
    assert stats["numRecords"] == ROWS
    assert (stats["minValues"]["n"], stats["maxValues"]["n"], stats["nullCount"]["n"]) == (0, ROWS - 1, 0)
    assert (stats["minValues"]["big"], stats["maxValues"]["big"]) == (2**64 - ROWS, 2**64 - 1)
    assert stats["nullCount"]["text"] == ROWS // 3
    assert (stats["minValues"]["day"], stats["maxValues"]["day"]) == ("2024-01-01", "2024-10-26")
    assert not stats["minValues"].keys() & {"id", "at", "moment", "price", "tags", "inner"}
    # "The same file is guaranteed to have the same id across multiple requests."
    assert file_of(shared.query("~my~0~orders"))["id"] == file["id"]
    assert "version" not in file
    assert "timestamp" not in file


def test_the_file_of_a_version_names_the_version(shared: Shared) -> None:
    answer = shared.query("~my~0~orders", version=1)
    file = file_of(answer)
    assert lines_of(answer)[1]["metaData"]["version"] == file["version"] == 1
    published = datetime.fromtimestamp(file["timestamp"] / 1000, UTC)
    for moment, number in ((published + timedelta(milliseconds=1), 1), (datetime.now(UTC), 2)):
        travelled = shared.query("~my~0~orders", timestamp=moment.isoformat().replace("+00:00", "Z"))
        assert travelled.headers["delta-table-version"] == str(number)
    at = quote((published + timedelta(milliseconds=1)).isoformat())
    assert shared.ask(f"{ORDERS}/version?startingTimestamp={at}").headers["delta-table-version"] == "2"


def test_the_lines_in_delta_format_have_the_same_content(shared: Shared) -> None:
    parquet = lines_of(shared.query("~my~0~orders", version=2))
    delta = lines_of(shared.query("~my~0~orders", headers=DELTA, version=2))
    assert delta[0] == {"protocol": {"deltaProtocol": {"minReaderVersion": 1, "minWriterVersion": 2}}}
    metadata, wrapped = parquet[1]["metaData"], delta[1]["metaData"]
    assert wrapped["version"] == metadata["version"] == 2
    inner = wrapped["deltaMetadata"]
    assert inner["format"] == {"provider": "parquet", "options": {}}
    assert {name: inner[name] for name in ("id", "schemaString", "partitionColumns", "configuration")} == {
        name: metadata[name] for name in ("id", "schemaString", "partitionColumns", "configuration")
    }
    file, action = parquet[2]["file"], delta[2]["file"]
    for name in ("id", "size", "version", "timestamp"):
        assert action[name] == file[name]
    add = action["deltaSingleAction"]["add"]
    assert add["stats"] == file["stats"]
    assert (add["size"], add["modificationTime"], add["dataChange"]) == (file["size"], file["timestamp"], True)
    assert shared.server.request(add["path"]).body == shared.server.request(file["url"]).body


def test_the_version_of_a_deleted_run_is_gone_and_the_run_before_gets_another_number(shared: Shared) -> None:
    source = shared.server.folder / "gone.csv"
    for run, cell in (("r1", 1), ("r2", 2)):
        source.write_text(f"n\n{cell}\n")
        shared.server.publish("--workflow", "gone", "--run", run, str(source))
    old, new = (file_of(shared.query("gone", version=number))["id"] for number in (1, 2))
    assert file_of(shared.query("gone"))["id"] == new
    assert shared.server.command("delete", "gone", "r2", "--yes").returncode == 0
    answer = shared.query("gone")
    assert (answer.headers["delta-table-version"], file_of(answer)["id"]) == ("3", old)
    assert shared.query("gone", version=2).status == 400
    assert [file_of(shared.query("gone", version=number))["id"] for number in (1, 3)] == [old, old]
    assert file_of(shared.query("gone", timestamp="2999-01-01T00:00:00Z"))["id"] == old
    shared.server.command("delete", "gone", "--yes")
    assert shared.query("gone").status == 404


def test_tables_of_another_team_are_not_found(shared: Shared) -> None:
    """And the answer does not tell it from what does not exist."""
    pairs = [
        ("/shares/rival", "/shares/nobody"),
        ("/shares/rival/all-tables", "/shares/nobody/all-tables"),
        ("/shares/rival/schemas/default/tables/theirs/metadata", "/shares/nobody/schemas/default/tables/x/metadata"),
        ("/shares/acme/schemas/default/tables/theirs/metadata", "/shares/acme/schemas/default/tables/x/metadata"),
        ("/shares/acme/schemas/default/tables/theirs@r/version", "/shares/acme/schemas/default/tables/x@r/version"),
    ]
    for foreign, unknown in pairs:
        answers = [shared.ask(path) for path in (foreign, unknown)]
        assert answers[0].status == 404
        assert answers[0].body == answers[1].body
    assert file_of(shared.query("theirs", OTHER_KEY))["size"] > 0


def test_an_export_of_the_api_is_the_same_file(shared: Shared) -> None:
    """Where no column needs a cast, and the quota, the list of exports and deletions know it."""
    source = shared.server.folder / "plain.csv"
    source.write_text("n\n1\n")
    shared.server.publish("--workflow", "plain", "--run", "r", str(source))
    made = shared.server.export("plain", format="parquet").json()
    assert file_of(shared.query("plain"))["id"] == made["exportId"]
    shared.server.command("delete", "plain", "--yes")


def test_the_signature_of_a_url_covers_the_parameter_sp(shared: Shared) -> None:
    url = file_of(shared.query("my-orders"))["url"]
    assert url.endswith("&sp=r")
    altered: list[Callable[[str], str]] = [
        lambda text: text.removesuffix("&sp=r"),
        lambda text: text.replace("sp=r", "sp=w"),
        lambda text: f"{text}&sp=r",
        lambda text: text.replace("format=parquet", "format=csv"),
    ]
    assert shared.server.request(url).status == 200
    assert [shared.server.request(alter(url)).status for alter in altered] == [401] * 4
