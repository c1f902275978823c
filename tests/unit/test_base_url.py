"""The address that links begin with."""

from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from web.cli.doctor.access import check_base_url
from web.settings import ServerSettings


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("data.example", "http://data.example:8000"),
        ("::1", "http://[::1]:8000"),
        ("[::1]", "http://[::1]:8000"),
        ("::", "http://[::]:8000"),
        ("2001:db8::7", "http://[2001:db8::7]:8000"),
        ("fe80::1%eth0", "http://[fe80::1%25eth0]:8000"),
    ],
)
def test_an_address_of_version_6_has_brackets(host: str, base: str) -> None:
    server = ServerSettings(host=host)
    assert server.public_url == base
    assert urlsplit(base).port == 8000
    # A socket takes it without them.
    assert "[" not in server.host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "0::0"])
def test_an_address_to_listen_on_gets_one_warning(host: str) -> None:
    (finding,) = check_base_url(ServerSettings(host=host))
    assert finding.level.value == "problem"
    assert "is an address to listen on" in finding.text


@pytest.mark.parametrize("base", ["http://[::]:8000", "http://0.0.0.0:8000/x"])
def test_so_does_one_that_is_set(base: str) -> None:
    (finding,) = check_base_url(ServerSettings(base_url=base))
    assert "is an address to listen on" in finding.text


@pytest.mark.parametrize(
    "base",
    [
        "http://::1:8000",
        "http://[::1",
        "http://x:port",
        "http://x:99999",
        "http://:80",
        "https://x/{tenant}",
        "ftp://x",
        "x",
    ],
)
def test_what_nobody_could_open_is_refused(base: str) -> None:
    with pytest.raises(ValidationError):
        ServerSettings(base_url=base)


@pytest.mark.parametrize(
    ("base", "public"),
    [
        ("https://data.example/", "https://data.example"),
        ("https://data.example/a/b.c/", "https://data.example/a/b.c"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("https://data.example/a%20b", "https://data.example/a%20b"),
    ],
)
def test_the_rest_is_taken_as_it_is(base: str, public: str) -> None:
    assert ServerSettings(base_url=base).public_url == public
