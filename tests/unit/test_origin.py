"""Which web pages may call ``/mcp``."""

import pytest

from web.mcp.origin import allows_origin

BASE = "https://data.example/exports"


@pytest.mark.parametrize(
    ("base", "host", "origin", "allowed"),
    [
        (BASE, "data.example", "https://data.example", True),
        (BASE, "127.0.0.1:8000", "https://data.example", True),
        (BASE, "data.example", "HTTPS://Data.Example", True),
        ("https://data.example:443", "x", "https://data.example", True),
        ("http://data.example:8000", "x", "http://data.example:8000", True),
        ("http://[::1]:8000", "x", "http://[::1]:8000", True),
        (BASE, "127.0.0.1:8000", "http://127.0.0.1:8000", True),
        (BASE, "localhost:8000", "http://localhost:8000", True),
        (BASE, "[::1]:8000", "http://[::1]:8000", True),
        # A proxy has ended TLS.
        (BASE, "10.0.0.7", "https://10.0.0.7", True),
        (BASE, "data.example", "https://evil.example", False),
        (BASE, "data.example", "http://data.example", False),
        (BASE, "data.example", "https://data.example:8443", False),
        (BASE, "data.example", "https://data.example.evil.example", False),
        (BASE, "127.0.0.1:8000", "http://127.0.0.1:9000", False),
        (BASE, "127.0.0.1:8000", "http://127.0.0.1", False),
        # A name that its owner points at this service: host and origin agree, and prove nothing.
        (BASE, "evil.example:8000", "http://evil.example:8000", False),
        (BASE, "data.example", "null", False),
        (BASE, "data.example", "", False),
        (BASE, "", "http://", False),
        (BASE, "127.0.0.1:8000", "ftp://127.0.0.1:8000", False),
        (BASE, "127.0.0.1:8000", "http://127.0.0.1:8000/", False),
        (BASE, "[::1", "http://[::1", False),
        (BASE, "data.example", "https://data.example\xe9", False),
    ],
)
def test_an_origin_is_ours_or_foreign(base: str, host: str, origin: str, allowed: bool) -> None:
    headers = [(b"host", host.encode("latin-1")), (b"origin", origin.encode("latin-1"))]
    assert allows_origin(headers, base) is allowed


def test_programs_send_none() -> None:
    assert allows_origin([(b"host", b"evil.example")], BASE)


def test_two_are_refused() -> None:
    assert not allows_origin([(b"host", b"x"), (b"origin", b"https://data.example")] * 2, BASE)
    assert not allows_origin([(b"origin", b"http://127.0.0.1"), (b"host", b"127.0.0.1"), (b"host", b"x")], BASE)
