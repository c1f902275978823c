"""Fetching public keys: against a real server on loopback, with a clock that stands still unless moved."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Event, Lock, Thread
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from web.jwks import JwksClient

Answer = Callable[[BaseHTTPRequestHandler], object]


def public(key: RSAKey | ECKey | OKPKey, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **more}


ED = OKPKey.generate_key("Ed25519")
EC = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
OLD, NEW = public(ED, kid="old"), public(EC, kid="new")


class Issuer:
    """A server whose answer can be changed, and which counts."""

    def __init__(self) -> None:
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

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
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


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Issuer()
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


def test_nothing_is_fetched_before_it_is_needed(issuer: Issuer, client: JwksClient) -> None:
    assert issuer.asked == 0
    assert kids(client, "old") == ["old"]
    assert kids(client, "old") == ["old"]
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
    "too large": content(FULL + b" " * 65_536),
    "too large, without a length": raw(b"HTTP/1.0 200 OK\r\n\r\n" + FULL + b" " * 65_536),
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


def test_an_answer_that_trickles_in_is_given_up(issuer: Issuer, clock: Clock) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        for _ in range(200):
            handler.wfile.write(b" ")
            if issuer.closing.wait(0.02):
                return

    issuer.answer = trickle
    began = time.monotonic()
    assert kids(JwksClient(issuer.url, clock=clock, timeout_seconds=0.2)) is None
    assert time.monotonic() - began < 2


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
