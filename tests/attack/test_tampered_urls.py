"""The tamper list against the running service, byte for byte on the socket, on both stores."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.attack.raw import asked
from tests.attack.signed import SIGNING_KEYS, TTL, Signed, give_out
from tests.attack.tampered import REQUESTS, TAMPERED, TIMES
from tests.helpers.altered import AlteredServer
from tests.helpers.server import KEY, OTHER_KEY, Answer
from tests.web.conftest import publish_people

_TOKENS = "a-secret-of-32-bytes-or-more-for-tokens"
_CREDENTIALS = (b"", f"x-api-key: {KEY}\r\n".encode(), f"x-api-key: {OTHER_KEY}\r\n".encode())
_WITHOUT_A_SIGNATURE = {"an unsigned one", "a bare question mark"}
"""Beside a key these are no signed URLs at all."""
_REFUSED = {
    "error": True,
    "message": "This download link is not valid. Request the export again to get a new one.",
    "code": "unauthorized",
    "details": {},
}


@pytest.fixture(scope="module")
def server(
    module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AlteredServer]:
    folder = tmp_path_factory.mktemp("tampered")
    settings = {
        "TAILRACE_SIGNING_KEYS": SIGNING_KEYS,
        "TAILRACE_URL_TTL_SECONDS": str(int(TTL.total_seconds())),
        "TAILRACE_JWT_SECRET": _TOKENS,
        "TAILRACE_JWT_AUDIENCE": "exports",
    }
    with AlteredServer(module_store_url, folder, **settings) as server:
        publish_people(server, folder)
        yield server


@pytest.fixture(scope="module")
def url(server: AlteredServer) -> Signed:
    url = give_out(server)
    # What a 401 hides is there, in every format.
    assert {server.export("people", format=name).status for name in ("json", "parquet")} == {200}
    return url


@pytest.fixture(scope="module")
def content(server: AlteredServer, url: Signed) -> bytes:
    return server.request(url.export["url"]).body


def check_refused(answer: Answer) -> None:
    """The one answer to what is not ours."""
    body = answer.json()
    assert answer.headers["x-request-id"] == body.pop("requestId")
    assert (answer.status, body) == (401, _REFUSED)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not {"location", "etag", "content-disposition"} & set(answer.headers)


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_url_opens_nothing(server: AlteredServer, url: Signed, content: bytes, name: str) -> None:
    alter, status = TAMPERED[name]
    target = alter(url)
    assert target != url.target or name == "signed for as long as any URL"
    for credentials in _CREDENTIALS[:1] if name in _WITHOUT_A_SIGNATURE else _CREDENTIALS:
        answer = asked(server, target, credentials)
        if status == 401:
            check_refused(answer)
        else:
            assert answer.status == status, answer.body
            assert (answer.body == content) == (status == 200)
            assert status == 200 or b"Ann" not in answer.body


@pytest.mark.parametrize("name", TIMES)
def test_a_url_is_good_until_its_end(server: AlteredServer, url: Signed, content: bytes, name: str) -> None:
    by, status, code = TIMES[name]
    try:
        server.stop_clock(url.end + by)
        answer = asked(server, url.target)
        ill_signed = asked(server, TAMPERED["sig, last character"][0](url))
    finally:
        server.move_clock(timedelta(0))
    assert answer.status == status, answer.body
    assert answer.body == content if status == 200 else answer.json()["code"] == code
    # Whoever guesses is not told whether it is over.
    check_refused(ill_signed)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_signature_stands_alone_and_only_reads(server: AlteredServer, url: Signed, content: bytes, name: str) -> None:
    method, headers, status = REQUESTS[name]
    now = int(time.time())
    claims = {"team": "rival", "sub": "someone", "iat": now, "exp": now + 60, "aud": "exports"}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(_TOKENS))
    answer = asked(server, url.target, headers.replace(b"RIVALS", token.encode()), method)
    assert answer.status == status, answer.body
    ranges = {"the first byte": content[:1], "a suffix": content[-4:]}
    if method == b"HEAD" or status == 416:
        assert answer.body == b""
    elif status != 405:
        assert answer.body == ranges.get(name, content)
    else:
        assert (answer.headers["allow"], answer.json()["code"]) == ("GET, HEAD", "method_not_allowed")
    assert server.request(url.export["url"]).body == content


@pytest.mark.parametrize("path", ["/data/export", "/data", "", "/data/column", "/data/exports/{}/status"])
def test_it_opens_the_file_and_nothing_else(server: AlteredServer, url: Signed, path: str) -> None:
    query = url.target.partition(b"?")[2]
    target = f"/v4/workflows/people{path.format(url.export['exportId'])}".encode() + b"?" + query
    answer = asked(server, target)
    assert (answer.status, answer.json()["code"]) == (401, "unauthorized")
    assert b"Ann" not in answer.body


def test_what_was_swept_away_is_not_there(server: AlteredServer, url: Signed, content: bytes) -> None:
    try:
        server.move_clock(timedelta(days=2))
        assert "exports" in server.command("sweep").stdout
    finally:
        server.move_clock(timedelta(0))
    # Rightly signed and not over, so this may be told.
    answer = asked(server, url.target)
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    check_refused(asked(server, TAMPERED["sig, last character"][0](url)))
    # Made anew, it is the same file.
    for format_name in ("csv", "json", "parquet"):
        assert server.export("people", format=format_name).status == 200
    assert asked(server, url.target).body == content
