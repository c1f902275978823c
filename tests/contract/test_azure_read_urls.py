"""Signed URLs of Azure: what they open, for whom, and for how long."""

import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.stores import DirectoryStore, open_store
from engine.stores.azure.store import AzureStore
from engine.stores.port import ReadHeaders, ReadUrls
from tests.helpers.azurite import ACCOUNT, KEY, Azurite

HEADERS = ReadHeaders(
    content_type="text/csv; charset=utf-8",
    content_disposition="attachment; filename=\"a-r.csv\"; filename*=UTF-8''a-r.csv",
    cache_control="private, no-cache",
)
CONTENT = b"0123456789"
REAL = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net"


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def urls_of(location: str, **credentials: Any) -> ReadUrls:
    urls = open_store(location, **credentials).read_urls()
    assert urls is not None
    return urls


def asked(url: str) -> dict[str, str]:
    return {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}


def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, given, method=method), timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@pytest.fixture(scope="module")
def store(azurite: Azurite) -> AzureStore:
    store = open_store(f"az://test-{uuid.uuid4().hex}/p", connection_string=azurite.connection_string)
    store.create("w/a.csv", CONTENT, content_type="text/plain", metadata={})
    store.create("w/b.csv", b"another", content_type="text/plain", metadata={})
    assert isinstance(store, AzureStore)
    return store


@pytest.fixture(scope="module")
def url(store: AzureStore) -> str:
    urls = store.read_urls()
    assert urls is not None
    return urls.read_url("w/a.csv", expires=in_seconds(300), headers=HEADERS)


@pytest.mark.azurite
def test_a_signed_url_opens_for_anyone_with_the_given_headers(url: str) -> None:
    for method, content in (("GET", CONTENT), ("HEAD", b"")):
        status, headers, body = ask(url, method)
        assert (status, body) == (200, content)
        assert headers["content-type"] == HEADERS.content_type
        assert headers["content-disposition"] == HEADERS.content_disposition
        assert headers["cache-control"] == HEADERS.cache_control
        assert headers["content-length"] == str(len(CONTENT))


@pytest.mark.azurite
def test_a_signed_url_supports_ranges_and_conditions(url: str) -> None:
    status, headers, body = ask(url, range="bytes=2-4")
    assert (status, body, headers["content-range"]) == (206, CONTENT[2:5], f"bytes 2-4/{len(CONTENT)}")
    assert ask(url, if_none_match=headers["etag"])[0] == 304


@pytest.mark.azurite
def test_a_signed_url_expires(store: AzureStore) -> None:
    urls = store.read_urls()
    assert urls is not None
    url = urls.read_url("w/a.csv", expires=in_seconds(3), headers=HEADERS)
    assert ask(url)[0] == 200
    time.sleep(3.2)
    assert ask(url)[0] == 403


@pytest.mark.azurite
def test_a_signed_url_opens_one_blob_only(url: str) -> None:
    container = url.partition("/p/")[0]
    query = url.partition("?")[2]
    for other in (
        url.replace("a.csv", "b.csv"),
        f"{container}?restype=container&comp=list&{query}",
        f"{container.rpartition('/')[0]}?comp=list&{query}",
    ):
        assert ask(other)[0] == 403, other


TAMPERED: dict[str, Callable[[str], str]] = {
    "sig": lambda value: ("A" if value[0] != "A" else "B") + value[1:],
    "se": lambda value: f"{int(value[:4]) + 1}{value[4:]}",
    "sp": lambda value: "rw",
    "sr": lambda value: "c",
    "spr": lambda value: "https",
    "rsct": lambda value: "text/html",
    "rscd": lambda value: "inline",
}


@pytest.mark.azurite
@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_signed_url_is_refused(url: str, name: str) -> None:
    address, _, query = url.partition("?")
    pairs = dict(pair.split("=", 1) for pair in query.split("&"))
    pairs[name] = TAMPERED[name](pairs[name])
    status, _, body = ask(f"{address}?{'&'.join(f'{key}={value}' for key, value in pairs.items())}")
    assert (status, CONTENT in body) == (403, False)


@pytest.mark.azurite
def test_a_signed_url_cannot_write(store: AzureStore, url: str) -> None:
    blob = {"x_ms_blob_type": "BlockBlob", "content_type": "text/plain"}
    assert ask(url, "PUT", b"other", **blob)[0] == 403
    assert ask(f"{url}&comp=metadata", "PUT", b"", x_ms_meta_a="b")[0] == 403
    assert ask(f"{url}&comp=block&blockid=AAAA", "PUT", b"other")[0] == 403
    assert ask(url, "DELETE")[0] == 403
    assert store.read("w/a.csv") == CONTENT


def test_a_url_signed_with_an_account_key_is_read_only_and_https_only() -> None:
    urls = urls_of("az://exports/p", connection_string=REAL)
    url = urls.read_url("w/a.csv", expires=datetime(2026, 11, 24, 3, 0, 0, 900_000, UTC), headers=HEADERS)
    assert url.startswith("https://acme.blob.core.windows.net/exports/p/w/a.csv?")
    given = asked(url)
    assert (given["sp"], given["sr"], given["spr"], given["se"]) == ("r", "b", "https", "2026-11-24T03:00:00Z")
    assert (given["rsct"], given["rscd"], given["rscc"]) == (
        HEADERS.content_type,
        HEADERS.content_disposition,
        HEADERS.cache_control,
    )
    assert "skoid" not in given
    assert KEY not in url


def test_hostile_keys_are_refused() -> None:
    urls = urls_of("az://exports/p", connection_string=REAL)
    for key in ("../x", "a/../../b", "", "/a", "a?b\n"):
        with pytest.raises(ValueError, match="not a storage key"):
            urls.read_url(key, expires=in_seconds(60), headers=HEADERS)


def test_a_store_that_cannot_sign_has_no_read_urls(tmp_path: Path) -> None:
    signature = "sv=2022-11-02&ss=b&srt=o&sp=r&se=2030-01-01T00:00:00Z&sig=AAAA"
    endpoint = "BlobEndpoint=https://acme.blob.core.windows.net"
    assert DirectoryStore(tmp_path).read_urls() is None
    for store in (
        open_store("az://exports", account_url=f"https://acme.blob.core.windows.net?{signature}"),
        open_store("az://exports", connection_string=f"{endpoint};SharedAccessSignature={signature}"),
    ):
        assert store.read_urls() is None


def test_no_repr_contains_the_account_key() -> None:
    store = open_store("az://exports", connection_string=REAL)
    assert KEY not in repr(store) + repr(store.read_urls()) + str(vars(store.read_urls()))


@pytest.mark.azurite
def test_a_url_of_the_emulator_allows_http(azurite: Azurite) -> None:
    url = urls_of("az://exports/p", connection_string=azurite.connection_string).read_url(
        "w/a.csv", expires=in_seconds(60), headers=HEADERS
    )
    assert url.startswith(f"http://127.0.0.1:{azurite.port}/{ACCOUNT}/exports/p/w/a.csv?")
    assert asked(url)["spr"] == "https,http"
