"""Connections to Azure: an error response returns its connection to the pool without garbage collection."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from azure.core.pipeline.transport import HttpRequest

from engine.stores.azure.client import _transport

_BODY = b"<Error>" + b"x" * 5000 + b"</Error>"


class _Refusing(BaseHTTPRequestHandler):
    """Responds with the status in the path; below ``/cut`` the body ends early."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        cut = self.path.startswith("/cut")
        self.send_response(int(self.path[-3:]))
        self.send_header("content-length", str(len(_BODY)))
        self.end_headers()
        self.wfile.write(_BODY[:10] if cut else _BODY)
        self.close_connection = cut

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("path", ["/500", "/503", "/404", "/412", "/cut/500"])
def test_an_error_response_returns_its_connection_to_the_pool(address: str, path: str) -> None:
    with _transport() as transport:
        answer = transport.send(HttpRequest("GET", address + path), stream=True).internal_response
        assert answer.raw.connection is None
        transport.session.close()


def test_a_download_is_not_read_before_it_is_consumed(address: str) -> None:
    with _transport() as transport:
        answer = transport.send(HttpRequest("GET", f"{address}/200"), stream=True).internal_response
        assert answer.raw.connection is not None
        assert answer.content == _BODY
        assert answer.raw.connection is None
        transport.session.close()
