"""Requests as raw bytes that two parsers could read differently, or that are too large or too many."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.raw import send_bytes
from tests.helpers.server import KEY, Server
from tests.web.conftest import publish_people

EXPORT = b"/v4/workflows/people/data/export"
_KEY = b"x-api-key: " + KEY.encode() + b"\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("raw")
    with Server((str(folder / "store"), {}), folder) as server:
        publish_people(server, folder)
        yield server


def get(headers: bytes = b"", target: bytes = EXPORT, method: bytes = b"GET", body: bytes = b"") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + headers + b"\r\n" + body


RIGHT = b'{"format":"csv"}'
CASES: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "a right one": (get(_KEY), (200,)),
    "the key twice": (get(_KEY + _KEY), (401,)),
    "two keys, one right": (get(_KEY + b"x-api-key: other\r\n"), (401,)),
    "two tokens": (get(b"authorization: Bearer a\r\nauthorization: Bearer b\r\n"), (401,)),
    "a key and a wrong token": (get(_KEY + b"authorization: Bearer a\r\n"), (401,)),
    "a key of bytes": (get(b"x-api-key: \xff\xfe\xfd\r\n"), (401,)),
    "a key of 60 kB": (get(b"x-api-key: " + b"k" * 60_000 + b"\r\n"), (401,)),
    "an override of the method": (get(_KEY + b"x-http-method-override: DELETE\r\n"), (200,)),
    "a parameter twice": (get(_KEY, EXPORT + b"?format=csv&format=json"), (400,)),
    "a parameter twice, equal": (get(_KEY, EXPORT + b"?format=csv&format=csv"), (400,)),
    "a parameter in another case": (get(_KEY, EXPORT + b"?Format=json"), (400,)),
    "a parameter with brackets": (get(_KEY, EXPORT + b"?format[]=json"), (400,)),
    "semicolons between parameters": (get(_KEY, EXPORT + b"?format=csv;order=asc"), (400,)),
    "a parameter in the body of a GET": (get(_KEY + b"content-length: 16\r\n", body=RIGHT), (200,)),
    "parameters in both places": (
        get(_KEY + b"content-length: 16\r\n", EXPORT + b"?format=json", b"POST", RIGHT), (400,)
    ),
    "a length and chunks": (
        get(_KEY + b"content-length: 16\r\ntransfer-encoding: chunked\r\n", EXPORT, b"POST", b"0\r\n\r\n" + get(_KEY)),
        (200, 400),
    ),
    "two lengths": (get(_KEY + b"content-length: 16\r\ncontent-length: 2\r\n", EXPORT, b"POST", RIGHT), (400,)),
    "a length that is none": (get(_KEY + b"content-length: -1\r\n", EXPORT, b"POST", RIGHT), (400,)),
    "unknown chunks": (get(_KEY + b"transfer-encoding: xchunked\r\n", EXPORT, b"POST", RIGHT), (400, 501)),
    "a header that is folded": (get(_KEY + b"x-a: b\r\n c: d\r\n"), (200, 400)),
    "a header with a bare line feed": (get(_KEY + b"x-request-id: a\nset-cookie: b=c\r\n"), (200, 400)),
    "a request id with other bytes": (get(_KEY + b"x-request-id: \xff<script>\r\n"), (200,)),
    "a request id of 10 kB": (get(_KEY + b"x-request-id: " + b"r" * 10_000 + b"\r\n"), (200,)),
    "an absolute target": (get(_KEY, b"http://other.example" + EXPORT), (200, 400, 404)),
    "a target with a fragment": (get(_KEY, EXPORT + b"#x"), (200, 400, 404)),
    "a target without a slash": (get(_KEY, b"v4/workflows"), (400, 404)),
    "a target of bytes": (get(_KEY, b"/v4/workflows/\xff\xfe/data/export"), (400, 404)),
    "an unknown method": (get(_KEY, method=b"BREW"), (405,)),
    "a method of 10 kB": (get(_KEY, method=b"G" * 10_000), (400, 405)),
    "a query of 40 kB": (get(_KEY, EXPORT + b"?rowIds=" + b"a" * 40_000), (414,)),
    "a query of 300 kB": (get(_KEY, EXPORT + b"?rowIds=" + b"a" * 300_000), (414,)),
    "headers of 300 kB": (get(_KEY + b"x-a: " + b"a" * 300_000 + b"\r\n"), (431,)),
    "no line of HTTP": (b"\x16\x03\x01\x02\x00\r\n\r\n", (400,)),
    "chunks that are none": (
        get(_KEY + b"transfer-encoding: chunked\r\n", EXPORT, b"POST", b"zz\r\n" + get(_KEY)), (400,)
    ),
    "a thousand headers": (get(_KEY + b"".join(b"x-%d: a\r\n" % n for n in range(1000))), (200, 400, 431)),
    "1,000 parameters": (get(_KEY, EXPORT + b"?" + b"&".join(b"a%d=1" % n for n in range(1000))), (400,)),
    "prefer of everything": (get(_KEY + b"prefer: wait=99999999999999, wait=-1, ;;;, =\r\n"), (200,)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_ambiguous_request_is_answered_once_or_refused(server: Server, name: str) -> None:
    request, statuses = CASES[name]
    came = send_bytes(server, request)
    head, _, body = came.partition(b"\r\n\r\n")
    assert int(head.split()[1]) in statuses, came[:300]
    assert b"set-cookie" not in head.lower()
    assert b"Traceback" not in body
    # One answer: the bytes after the request were not read as another one.
    assert came.count(b"HTTP/1.1 ") == 1, came[:600]
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cache-control"] == b"no-store"
    assert 0 < len(headers[b"x-request-id"]) <= 128
    if int(head.split()[1]) >= 400:
        told = json.loads(body)
        assert told["error"] is True
        assert told["requestId"].encode().lower() == headers[b"x-request-id"]
        assert len(told["message"]) > 9
    assert server.request("/healthz").status == 200


class Impatient(Server):
    """A service that waits half a second for the head of a request."""

    program = (
        "from web.http.protocol import HttpProtocol; from web.cli import main; HttpProtocol.head_seconds = 0.5; main()"
    )


def test_a_connection_with_half_a_head_is_closed(tmp_path: Path) -> None:
    with (
        Impatient((str(tmp_path / "store"), {}), tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as line,
    ):
        line.sendall(get(_KEY)[:-2])
        assert line.recv(1) == b""


BODIES: dict[str, bytes] = {
    "100,000 brackets": b'{"filters":' + b"[" * 100_000,
    "100,000 braces": b'{"a":' * 100_000,
    "a number of 10,000 digits": b'{"filters":[{"field":"age","operator":"EQUALS","value":' + b"9" * 10_000 + b"}]}",
    "an exponent that is huge": b'{"filters":[{"field":"age","operator":"EQUALS","value":1e999999999}]}',
    "a member twice": b'{"format":"csv","format":"json"}',
    "not a number": b'{"filters":[{"field":"age","operator":"EQUALS","value":NaN}]}',
    "half a surrogate": b'{"filters":[{"field":"name","operator":"EQUALS","value":"\\ud800"}]}',
    "a comment": b'{/* */"format":"csv"}',
    "another encoding": '{"format":"csv"}'.encode("utf-16"),
    "101 filters": json.dumps({"filters": [{"field": "age", "operator": "IS_NULL"}] * 101}).encode(),
    "100,001 row ids": json.dumps({"rowIds": [str(n) for n in range(100_001)]}).encode(),
    "a name of 8 MB": b'{"%b":1}' % (b"a" * 8_000_000),
    "a member of a filter of 7 MB": b'{"filters":[{"%b":1}]}' % (b"a" * 7_000_000),
    "an operator of 7 MB": b'{"filters":[{"field":"age","operator":"%b","value":1}]}' % (b"X" * 7_000_000),
    "an operator of a million brackets": b'{"filters":[{"field":"age","operator":[%b0]}]}' % (b"[]," * 1_000_000),
    "a field of 7 MB": b'{"filters":[{"field":"%b","operator":"IS_NULL"}]}' % (b"f" * 7_000_000),
    "a field to sort by of 7 MB": b'{"sortBy":"%b"}' % (b"f" * 7_000_000),
    "a run of 7 MB": b'{"runId":"%b"}' % (b"r" * 7_000_000),
    "10,001 values": json.dumps(
        {"filters": [{"field": "name", "operator": "IN", "value": [str(n) for n in range(10_001)]}]}
    ).encode(),
}


@pytest.mark.parametrize("name", BODIES)
def test_an_oversized_or_malformed_body_is_refused_soon(server: Server, name: str) -> None:
    started = time.monotonic()
    answer = server.request(EXPORT.decode(), "POST", {"x-api-key": KEY}, BODIES[name])
    assert answer.status in (200, 400, 404), answer.body[:1000]
    # The answer does not repeat all that was sent.
    assert len(answer.body) < 2000
    if answer.status == 200:
        assert answer.json()["rowCount"] == 0
    # It costs no more than reading it; a bound against work that grows much faster.
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "bomb", ["(a+)+$", "(?:a?){50}a{50}", "^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 20_000 + "!", "%" * 5_000]
)
def test_no_filter_value_is_an_expensive_pattern(server: Server, bomb: str) -> None:
    for operator in ("CONTAINS", "STARTS_WITH", "EQUALS"):
        answer = server.export("people", filters=[{"field": "name", "operator": operator, "value": bomb}])
        assert (answer.status, answer.json().get("rowCount")) == (200, 0)
