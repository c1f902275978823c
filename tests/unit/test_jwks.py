"""Fetching public keys: against a real server on loopback, with a clock that stands still unless moved."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from threading import Barrier, Event, Lock, Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from web.auth.jwks import JwksClient

Answer = Callable[[BaseHTTPRequestHandler], object]


def public(key: RSAKey | ECKey | OKPKey, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **more}


ED = OKPKey.generate_key("Ed25519")
EC = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
OLD, NEW = public(ED, kid="old"), public(EC, kid="new")


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client may turn away in the handshake."""


class Issuer:
    """A server whose answer can be changed, and which counts."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.paths: list[str] = []
        self.answer: Answer = keys(OLD)
        self.closing = Event()
        self._lock = Lock()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with issuer._lock:
                    issuer.paths.append(self.path)
                # The client may have given up: that is its business.
                try:
                    issuer.answer(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        if certificate is not None:
            self.url = self.url.replace("http:", "https:")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake belongs to the thread of its connection.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def asked(self) -> int:
        return len(self.paths)

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def content(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def keys(*entries: object) -> Answer:
    return content(json.dumps({"keys": list(entries)}).encode())


def raw(body: bytes) -> Answer:
    return lambda handler: handler.wfile.write(body)


def trickling(issuer: Issuer, first: bytes, piece: bytes) -> Answer:
    """Many small pieces, each in time, until the client has gone."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(first)
        for _ in range(200):
            handler.wfile.write(piece)
            if issuer.closing.wait(0.02):
                return

    return answer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Issuer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "issuer.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem))
    return file


@pytest.fixture
def secure(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """An issuer over TLS, which this test trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = Issuer(certificate)
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(issuer: Issuer, clock: Clock) -> JwksClient:
    return JwksClient(issuer.url, clock=clock)


def kids(client: JwksClient, kid: str | None = None) -> list[str | None] | None:
    found = client.keys_for(kid)
    return None if found is None else [key.kid for key in found.keys]


def test_nothing_is_fetched_before_it_is_needed(issuer: Issuer, client: JwksClient, clock: Clock) -> None:
    assert issuer.asked == 0
    assert kids(client, "old") == ["old"]
    assert kids(client, "old") == ["old"]
    clock.now += 299
    assert kids(client) == ["old"]
    assert issuer.asked == 1


def test_keys_are_fetched_anew_after_five_minutes(issuer: Issuer, client: JwksClient, clock: Clock) -> None:
    assert kids(client, "old") == ["old"]
    issuer.answer = keys(NEW)
    clock.now += 299
    assert kids(client, "old") == ["old"]
    clock.now += 1
    assert kids(client, "old") == ["new"]
    assert issuer.asked == 2


def test_an_unknown_key_asks_again_at_most_every_30_seconds(issuer: Issuer, client: JwksClient, clock: Clock) -> None:
    assert kids(client, "old") == ["old"]
    issuer.answer = keys(OLD, NEW)
    clock.now += 29
    assert kids(client, "new") == ["old"]
    assert issuer.asked == 1
    clock.now += 1
    assert kids(client, "new") == ["old", "new"]
    for number in range(20):
        kids(client, f"guessed-{number}")
    assert issuer.asked == 2


def test_the_last_keys_hold_for_an_hour(issuer: Issuer, client: JwksClient, clock: Clock) -> None:
    assert kids(client, "old") == ["old"]
    issuer.answer = content(b"", 503)
    clock.now += 3600
    assert kids(client, "old") == ["old"]
    assert issuer.asked == 2
    clock.now += 1
    assert kids(client, "old") is None
    clock.now += 30
    issuer.answer = keys(NEW)
    assert kids(client, "new") == ["new"]


def test_a_failure_is_not_repeated_at_once(issuer: Issuer, client: JwksClient, clock: Clock) -> None:
    issuer.answer = content(b"", 500)
    assert kids(client, "old") is None
    issuer.answer = keys(OLD)
    assert kids(client, "old") is None
    assert issuer.asked == 1
    clock.now += 30
    assert kids(client, "old") == ["old"]


def test_an_address_without_a_server_gives_no_keys(clock: Clock) -> None:
    server = Issuer()
    server.close()
    assert kids(JwksClient(server.url, clock=clock)) is None


@pytest.mark.parametrize(("url", "asked"), [("", "/"), ("/a/b?c=d&e", "/a/b?c=d&e"), ("?c=d#f", "/?c=d")])
def test_the_address_is_asked_as_it_was_written(issuer: Issuer, clock: Clock, url: str, asked: str) -> None:
    assert kids(JwksClient(issuer.url.removesuffix("/keys") + url, clock=clock)) == ["old"]
    assert issuer.paths == [asked]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://[::1]/keys", ("::1", 443)),
        ("http://[::1]/keys", ("::1", 80)),
        ("http://[::1]:81/keys", ("::1", 81)),
        ("https://issuer.example/keys", ("issuer.example", 443)),
        ("https://issuer.example:8443", ("issuer.example", 8443)),
    ],
)
def test_the_port_is_that_of_the_address(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, url: str, address: tuple[str, int]
) -> None:
    connected: list[object] = []

    def refuse(wanted: object, *_: object) -> None:
        connected.append(wanted)
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.create_connection", refuse)
    assert kids(JwksClient(url, clock=clock)) is None
    assert connected == [address]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(issuer: Issuer, client: JwksClient, status: int) -> None:
    issuer.answer = content(b"", status, location="/elsewhere")
    assert kids(client) is None
    assert issuer.paths == ["/keys"]


def test_proxies_of_the_environment_are_not_asked(
    issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert kids(JwksClient(issuer.url, clock=clock)) == ["old"]


FULL = json.dumps({"keys": [OLD]}).encode()
GARBAGE: dict[str, Answer] = {
    "empty": content(b""),
    "no content": content(b"", 204),
    "not found": content(FULL, 404),
    "not JSON": content(b"<html>"),
    "not UTF-8": content(b"\xff\xfe\xfd"),
    "nested deeply": content(b"[" * 60_000),
    "a list": content(b"[]"),
    "null": content(b"null"),
    "no keys": content(b"{}"),
    "keys of another type": content(b'{"keys": {}}'),
    "no key": keys(),
    "cut": raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + FULL[:-3]),
    "no HTTP": raw(b"hello\r\n\r\n"),
    "half a header": raw(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "a header without end": raw(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000 + b"\r\n\r\n"),
    "a bad chunk": raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
    "no answer": raw(b""),
    "too large": content(FULL.ljust(65_537)),
    "too large, without a length": raw(b"HTTP/1.0 200 OK\r\n\r\n" + FULL.ljust(65_537)),
    "a secret": keys({**OctKey.import_key("x" * 32).as_dict(private=True), "kid": "oct"}),
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_gives_no_keys(issuer: Issuer, client: JwksClient, clock: Clock, answer: Answer) -> None:
    issuer.answer = answer
    assert kids(client) is None
    issuer.answer = keys(OLD)
    clock.now += 30
    assert kids(client) == ["old"]
    issuer.answer = answer
    clock.now += 300
    assert kids(client) == ["old"]


def test_the_largest_answer_is_of_64_kilobytes(issuer: Issuer, client: JwksClient) -> None:
    issuer.answer = content(FULL.ljust(65_536))
    assert kids(client) == ["old"]


def test_only_keys_that_can_verify_are_kept(issuer: Issuer, client: JwksClient) -> None:
    good = [
        public(RSA, kid="rsa", alg="RS256", use="sig"),
        public(EC, kid="ec", alg="ES256", key_ops=["verify"]),
        public(ED, kid="ed", alg="EdDSA"),
        public(ED, kid="ed-2", alg="Ed25519", x5c="ignored", oth="ignored"),
    ]
    weak = {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": "_" + "w" * 170}
    bad: list[object] = [
        {"kty": "oct", "k": "AAAA", "kid": "oct"},
        {**ED.as_dict(private=True), "kid": "private"},
        public(RSA, kid="enc", use="enc"),
        public(RSA, kid="ops", key_ops=["encrypt"]),
        public(RSA, kid="ops-2", key_ops="verify"),
        public(RSA, kid="rs512", alg="RS512"),
        public(RSA, kid="hs256", alg="HS256"),
        public(RSA, kid="alg-list", alg=["RS256"]),
        public(RSA, kid=7),
        public(RSA, kid="n", n=5),
        public(RSA, kid="n-2", n="é"),
        public(RSA, kid="n-3", n=""),
        public(RSA, kid="e", e="!"),
        public(ECKey.generate_key("P-384"), kid="p384"),
        public(OKPKey.generate_key("X25519"), kid="x25519"),
        public(OKPKey.generate_key("Ed448"), kid="ed448"),
        public(EC, kid="off", x="AAAA"),
        public(ED, kid="short", x="AAAA"),
        {"kty": "EC", "crv": "P-256", "kid": "empty"},
        {"kty": "RSA", "e": "AQAB", "kid": "no-n"},
        {"kty": "OKP", "crv": ["Ed25519"], "kid": "curve"},
        {"kty": ["RSA"], "kid": "type"},
        {"kty": "AKP", "kid": "future"},
        {},
        None,
        "text",
        weak,
    ]
    issuer.answer = keys(*bad, *good)
    assert kids(client) == ["rsa", "ec", "ed", "ed-2"]


def test_a_slow_answer_is_given_up(issuer: Issuer, clock: Clock) -> None:
    issuer.answer = lambda _: issuer.closing.wait(5)
    began = time.monotonic()
    assert kids(JwksClient(issuer.url, clock=clock, timeout_seconds=0.1)) is None
    assert time.monotonic() - began < 2


TRICKLES: dict[str, tuple[bytes, bytes]] = {
    "status line": (b"", b"H"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "header": (b"HTTP/1.1 200 OK\r\nx: ", b"x"),
    "size of a chunk": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"0"),
    "body": (b"HTTP/1.0 200 OK\r\n\r\n", b" "),
    "after the keys": (b"HTTP/1.0 200 OK\r\n\r\n" + FULL, b" "),
}


@pytest.mark.parametrize(("first", "piece"), TRICKLES.values(), ids=TRICKLES.keys())
def test_an_answer_that_trickles_in_is_given_up(issuer: Issuer, clock: Clock, first: bytes, piece: bytes) -> None:
    issuer.answer = trickling(issuer, first, piece)
    began = time.monotonic()
    assert kids(JwksClient(issuer.url, clock=clock, timeout_seconds=0.2)) is None
    assert time.monotonic() - began < 2


def test_a_tls_server_must_be_trusted(secure: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kids(JwksClient(secure.url, clock=clock)) == ["old"]
    other = secure.url.replace("127.0.0.1", "localhost")
    assert kids(JwksClient(other, clock=clock)) is None
    monkeypatch.delenv("SSL_CERT_FILE")
    assert kids(JwksClient(secure.url, clock=clock)) is None
    assert secure.asked == 1


@pytest.mark.parametrize(("first", "piece"), TRICKLES.values(), ids=TRICKLES.keys())
def test_an_answer_that_trickles_in_over_tls_is_given_up(
    secure: Issuer, clock: Clock, first: bytes, piece: bytes
) -> None:
    secure.answer = trickling(secure, first, piece)
    began = time.monotonic()
    assert kids(JwksClient(secure.url, clock=clock, timeout_seconds=0.2)) is None
    assert time.monotonic() - began < 2
    assert secure.asked == 1


def test_of_many_threads_one_fetches_and_all_get_the_keys(issuer: Issuer, client: JwksClient) -> None:
    barrier, answer = Barrier(8), issuer.answer

    def slow(handler: BaseHTTPRequestHandler) -> None:
        issuer.closing.wait(0.2)
        answer(handler)

    def ask(number: int) -> list[str | None] | None:
        barrier.wait()
        # Some come before the fetch begins, some while it is under way.
        time.sleep(number * 0.02)
        return kids(client, "old")

    issuer.answer = slow
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [["old"]] * 8
    assert issuer.asked == 1


def test_whoever_has_keys_does_not_wait_for_the_one_who_fetches(
    issuer: Issuer, client: JwksClient, clock: Clock
) -> None:
    assert kids(client, "old") == ["old"]
    clock.now += 300
    asked, go, answer = Event(), Event(), keys(NEW)

    def held(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        go.wait(2)
        answer(handler)

    issuer.answer = held
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(kids, client, "old")
        assert asked.wait(2)
        assert kids(client, "old") == ["old"]
        assert not fetching.done()
        go.set()
        assert fetching.result() == ["new"]
    assert issuer.asked == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/keys",
        "http://127.0.0.1.example/keys",
        "http://localhost@issuer.example/keys",
        "http://10.0.0.1/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "data:application/json,{}",
        "https:///keys",
        "//127.0.0.1/keys",
        "",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        JwksClient(url)


@pytest.mark.parametrize("url", ["https://issuer.example/keys", "http://localhost:1/", "http://[::1]:1/", "HTTPS://x"])
def test_https_and_loopback_are_taken(url: str) -> None:
    assert JwksClient(url)
