"""Connections to Azure: an error response returns its connection to the pool, and the environment is read once."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from azure.core.pipeline.transport import HttpRequest

from engine.errors import ObjectMissing, StoreError
from engine.stores import open_store
from engine.stores.azure.client import _read_environment, _transport
from tests.helpers.azurite import Azurite

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


def test_a_password_for_all_hosts_does_not_replace_the_credential(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    store = open_store("az://netrc", connection_string=azurite.connection_string)
    store.create("a", b"x", content_type="text/plain", metadata={})
    assert store.read("a") == b"x"


def test_the_environment_names_the_proxy_and_the_certificates(
    azurite: Azurite, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", address)
    monkeypatch.setenv("no_proxy", "localhost")
    with pytest.raises(StoreError, match="409"):
        # The proxy answers with the last three characters of what it is asked for.
        open_store("az://proxied", connection_string=azurite.connection_string).read("409")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ObjectMissing):
        open_store("az://proxied", connection_string=azurite.connection_string).read("409")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/company.pem")
    transport = _transport()
    _read_environment(transport, "https://account.example")
    assert transport.connection_config.verify == "/etc/company.pem"
