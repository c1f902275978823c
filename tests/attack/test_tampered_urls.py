"""Altered signed URLs against the running service, sent as raw bytes, with both kinds of store."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.attack.raw import send
from tests.attack.signed import SIGNING_KEYS, TTL, Signed, create_exports
from tests.attack.tampered import REQUESTS, TAMPERED, TIMES
from tests.helpers.altered import AlteredServer
from tests.helpers.server import KEY, OTHER_KEY, Answer
from tests.web.conftest import publish_people

_TOKENS = "a-secret-of-32-bytes-or-more-for-tokens"
_CREDENTIALS = (b"", f"x-api-key: {KEY}\r\n".encode(), f"x-api-key: {OTHER_KEY}\r\n".encode())
_UNSIGNED = {"an unsigned one", "a bare question mark"}
"""With a key, these are ordinary requests for the export."""
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
        "TAILRACE_URL_MAX_TTL_SECONDS": str(int(TTL.total_seconds())),
        "TAILRACE_JWT_SECRET": _TOKENS,
        "TAILRACE_JWT_AUDIENCE": "exports",
    }
    with AlteredServer(module_store_url, folder, **settings) as server:
        publish_people(server, folder)
        yield server


@pytest.fixture(scope="module")
def url(server: AlteredServer) -> Signed:
    url = create_exports(server)
    # The export exists in every format, so a 401 is not for a missing one.
    assert {server.export("people", format=name).status for name in ("json", "parquet")} == {200}
    return url


@pytest.fixture(scope="module")
def content(server: AlteredServer, url: Signed) -> bytes:
    return server.request(url.export["url"]).body


def check_refused(answer: Answer) -> None:
    """The single answer to every URL that the service did not sign."""
    body = answer.json()
    assert answer.headers["x-request-id"] == body.pop("requestId")
    assert (answer.status, body) == (401, _REFUSED)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not {"location", "etag", "content-disposition"} & set(answer.headers)


def test_a_tampered_url_is_refused(
    server: AlteredServer, url: Signed, content: bytes, subtests: pytest.Subtests
) -> None:
    for name, (alter, status) in TAMPERED.items():
        target = alter(url)
        with subtests.test(name):
            assert target != url.target or name == "signed for as long as any URL"
        for credentials in _CREDENTIALS[:1] if name in _UNSIGNED else _CREDENTIALS:
            with subtests.test(name, credentials=credentials):
                answer = send(server, target, credentials)
                if name == "signed for longer than any URL":
                    # It is signed with the key of the service: a clock is wrong.
                    assert (answer.status, answer.json()["code"]) == (status, "clock_skew")
                    assert b"Ann" not in answer.body
                elif status == 401:
                    check_refused(answer)
                else:
                    assert answer.status == status, answer.body
                    assert (answer.body == content) == (status == 200)
                    assert status == 200 or b"Ann" not in answer.body


def test_a_url_is_valid_until_it_expires(
    server: AlteredServer, url: Signed, content: bytes, subtests: pytest.Subtests
) -> None:
    for name, (offset, status, code) in TIMES.items():
        with subtests.test(name):
            try:
                server.stop_clock(url.end + offset)
                answer = send(server, url.target)
                wrongly_signed = send(server, TAMPERED["sig, last character"][0](url))
            finally:
                server.move_clock(timedelta(0))
            assert answer.status == status, answer.body
            assert answer.body == content if status == 200 else answer.json()["code"] == code
            # A wrong signature is never told that the URL expired.
            check_refused(wrongly_signed)


def test_a_signature_needs_nothing_else_and_only_allows_reading(
    server: AlteredServer, url: Signed, content: bytes, subtests: pytest.Subtests
) -> None:
    now = int(time.time())
    claims = {"team": "rival", "sub": "someone", "iat": now, "exp": now + 60, "aud": "exports"}
    token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(_TOKENS))
    ranges = {"the first byte": content[:1], "a suffix": content[-4:]}
    for name, (method, headers, status) in REQUESTS.items():
        with subtests.test(name):
            answer = send(server, url.target, headers.replace(b"RIVALS", token.encode()), method)
            assert answer.status == status, answer.body
            if method == b"HEAD" or status == 416:
                assert answer.body == b""
            elif status != 405:
                assert answer.body == ranges.get(name, content)
            else:
                assert (answer.headers["allow"], answer.json()["code"]) == ("GET, HEAD", "method_not_allowed")
            assert server.request(url.export["url"]).body == content


def test_a_signature_opens_one_file_only(server: AlteredServer, url: Signed) -> None:
    query = url.target.partition(b"?")[2]
    for path in ("/data/export", "/data", "", "/data/column", f"/data/exports/{url.export['exportId']}/status"):
        answer = send(server, f"/v4/workflows/people{path}".encode() + b"?" + query)
        assert (answer.status, answer.json()["code"]) == (401, "unauthorized"), path
        assert b"Ann" not in answer.body, path


def test_a_swept_export_is_not_found_until_it_is_made_again(server: AlteredServer, url: Signed, content: bytes) -> None:
    try:
        server.move_time(timedelta(days=2))
        assert "exports" in server.command("sweep").stdout
    finally:
        server.move_time(timedelta(0))
    # The signature is valid and has not expired, so the answer may say so.
    answer = send(server, url.target)
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    check_refused(send(server, TAMPERED["sig, last character"][0](url)))
    # Made again, it is the same file.
    for format_name in ("csv", "json", "parquet"):
        assert server.export("people", format=format_name).status == 200
    assert send(server, url.target).body == content
