"""Streaming a blob: what happens when its connection breaks or the stream is closed."""

import random
import re
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from engine.errors import ObjectChanged, StoreError, StoreUnavailable
from engine.stores.azure import download
from engine.stores.azure.store import AzureStore, azure_store
from tests.helpers.azurite import connection_string
from tests.helpers.statements import until

MIB = 1024 * 1024
DATA = random.Random(5).randbytes(20 * MIB)
ETAG = "0x1"


class Blob(ThreadingHTTPServer):
    """A server with one blob. ``breaks`` has for each request the bytes after which its connection breaks, or None."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.breaks: list[int | None] = []
        self.connections: set[Any] = set()
        """The open ones."""
        self.accepted = 0
        self.reset = False
        self.etag = ETAG
        self.requests: list[tuple[int, int, str]] = []
        """The first and last byte and the If-Match header of each request."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note the connection."""
        self.accepted += 1
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Note that the client has closed the connection."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        """Log nothing: clients disconnect on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Blob

    def do_GET(self) -> None:
        blob = self.server
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["x-ms-range"])
        assert wanted is not None
        first, last = int(wanted[1]), int(wanted[2])
        blob.requests.append((first, last, self.headers["If-Match"]))
        if self.headers["If-Match"] != f'"{blob.etag}"':
            self.send_response(412)
            self.send_header("x-ms-error-code", "ConditionNotMet")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = DATA[first : last + 1]
        self._head(206, len(body), **{"Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(DATA)}"})
        limit = blob.breaks.pop(0) if blob.breaks else None
        self.wfile.write(body[:limit])
        self.close_connection = limit is not None
        if limit is not None and blob.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def do_HEAD(self) -> None:
        self._head(200, len(DATA))

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        sent = {"ETag": f'"{self.server.etag}"', "Last-Modified": "Tue, 24 Nov 2026 10:00:00 GMT", **headers}
        for name, value in {**sent, "Content-Length": str(length), "x-ms-blob-type": "BlockBlob"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def blob(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blob]:
    monkeypatch.setattr(download, "_RETRY_DELAY_SECONDS", 0)
    with Blob() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def store_of(blob: Blob) -> AzureStore:
    return azure_store("one", "", connection_string=connection_string(blob.server_address[1]), account_url=None)


@pytest.mark.parametrize(
    "breaks", [[0], [1], [5 * MIB + 1], [MIB, MIB], [0, 0], [8 * MIB, 0, 0], [8 * MIB, MIB, 8 * MIB, MIB, MIB]]
)
def test_a_closed_connection_is_resumed_with_a_request_for_the_rest(blob: Blob, breaks: list[int]) -> None:
    blob.breaks = [*breaks]
    start, length = 7, len(DATA) - 11

    body = b"".join(store_of(blob).stream("k", start=start, length=length, etag=ETAG))

    assert body == DATA[start : start + length]
    firsts = [start + sum(breaks[:number]) for number in range(len(breaks) + 1)]
    assert blob.requests == [(first, start + length - 1, f'"{ETAG}"') for first in firsts]


@pytest.mark.parametrize("breaks", [[0], [5 * MIB + 1], [MIB, MIB]])
def test_a_reset_connection_duplicates_no_byte(blob: Blob, breaks: list[int]) -> None:
    blob.breaks, blob.reset = [*breaks], True
    assert b"".join(store_of(blob).stream("k", start=0, length=len(DATA), etag=ETAG)) == DATA
    assert {(last, etag) for _, last, etag in blob.requests} == {(len(DATA) - 1, f'"{ETAG}"')}


@pytest.mark.parametrize("broken", [0, 1000, MIB])
def test_three_broken_connections_in_a_row_raise_an_error(blob: Blob, broken: int) -> None:
    blob.breaks = [broken] * 9
    received: list[bytes] = []

    with pytest.raises(StoreUnavailable):
        received.extend(store_of(blob).stream("k", start=0, length=len(DATA), etag=ETAG))

    assert len(blob.requests) == 3
    assert b"".join(received) == DATA[: 3 * broken]


def test_a_resumed_read_never_continues_with_another_version(blob: Blob) -> None:
    blob.breaks = [MIB]
    chunks = store_of(blob).stream("k", start=0, length=len(DATA), etag=ETAG)
    received = [next(chunks)]
    blob.etag = "0x2"

    with pytest.raises(ObjectChanged):
        received.extend(chunks)

    assert b"".join(received) == DATA[:MIB]


def test_a_range_beyond_the_object_raises_before_the_first_byte(blob: Blob) -> None:
    with pytest.raises(StoreError, match="ended before"):
        next(store_of(blob).stream("k", start=1, length=len(DATA), etag=ETAG))
    assert len(blob.requests) == 1


def test_one_request_yields_many_small_chunks(blob: Blob) -> None:
    chunks = list(store_of(blob).stream("k", start=0, length=len(DATA), etag=ETAG))
    assert max(map(len, chunks)) <= MIB
    assert blob.requests == [(0, len(DATA) - 1, f'"{ETAG}"')]


@pytest.mark.parametrize("ending", ["close", "suspend"])
def test_closing_or_suspending_a_stream_closes_its_connection(blob: Blob, ending: str) -> None:
    chunks = store_of(blob).stream("k", start=0, length=len(DATA), etag=ETAG)
    next(chunks)
    (connection,) = blob.connections
    getattr(chunks, ending)()
    assert until(lambda: connection not in blob.connections)


def test_a_suspended_stream_continues_with_a_request_for_the_rest(blob: Blob) -> None:
    chunks = store_of(blob).stream("k", start=3, length=len(DATA) - 3, etag=ETAG)
    received = [next(chunks) for _ in range(50)]
    chunks.suspend()
    chunks.suspend()
    received.append(next(chunks))
    chunks.suspend()
    first = 3 + sum(map(len, received))
    received.extend(chunks)
    assert b"".join(received) == DATA[3:]
    assert len(blob.requests) == 3
    assert blob.requests[-1] == (first, len(DATA) - 1, f'"{ETAG}"')


def test_a_suspended_stream_never_continues_with_another_version(blob: Blob) -> None:
    chunks = store_of(blob).stream("k", start=0, length=len(DATA), etag=ETAG)
    next(chunks)
    chunks.suspend()
    blob.etag = "0x2"
    with pytest.raises(ObjectChanged):
        next(chunks)
    assert list(chunks) == []


def test_streams_read_to_their_end_share_a_connection(blob: Blob) -> None:
    store = store_of(blob)
    for _ in range(3):
        assert b"".join(store.stream("k", start=0, length=len(DATA), etag=ETAG)) == DATA
    assert blob.accepted == 1
