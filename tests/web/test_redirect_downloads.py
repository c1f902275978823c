"""Redirect mode over real sockets: the service answers 302, the emulator serves the file."""

import hashlib
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import polars as pl
import pytest

from tests.attack import raw
from tests.attack.signed import SIGNING_KEYS, create_exports
from tests.attack.tampered import TAMPERED
from tests.helpers.altered import AlteredServer
from tests.helpers.azurite import KEY as ACCOUNT_KEY
from tests.helpers.azurite import Azurite
from tests.helpers.extensions import load_extension
from tests.helpers.server import KEY, OTHER_KEY, Answer, Server
from tests.web.conftest import publish_people

pytestmark = pytest.mark.azurite


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Do not follow the redirect."""


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> Answer:
    """Send a request without following redirects; header names have underscores for hyphens."""
    url = path if path.startswith("http") else server.base + path
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, headers=given, method=method)
    try:
        answer = urllib.request.build_opener(_Stay).open(request, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())


def location_of(answer: Answer) -> str:
    assert answer.status == 302, answer
    return answer.headers["location"]


@pytest.fixture(scope="module")
def server(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("redirect")
    store = f"az://test-{uuid.uuid4().hex}/p", {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    settings = {
        "TAILRACE_DOWNLOAD_MODE": "redirect",
        "TAILRACE_SIGNING_KEYS": SIGNING_KEYS,
        "TAILRACE_URL_MAX_TTL_SECONDS": "86400",
    }
    with Server(store, folder, **settings) as server:
        publish_people(server, folder)
        yield server


@pytest.fixture(scope="module")
def exported(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = server.export("people", format="csv").json()
    return answer


@pytest.fixture(scope="module", params=["signed", "keyed"])
def caller(request: pytest.FixtureRequest, exported: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """A URL and the headers that authorize it."""
    url: str = exported["url"]
    return (url, {}) if request.param == "signed" else (urlsplit(url).path, {"x_api_key": KEY})


Caller = tuple[str, dict[str, str]]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_leads_to_the_blob_for_five_minutes(server: Server, caller: Caller, method: str) -> None:
    url, headers = caller
    answer = ask(server, url, method, **headers)
    location = location_of(answer)
    given = {name: value[0] for name, value in parse_qs(urlsplit(location).query).items()}
    assert urlsplit(location).path.endswith(f"/p/exports/{urlsplit(url).path.split('/')[3]}/{_id(url)}.csv")
    assert (given["sp"], given["sr"]) == ("r", "b")
    left = datetime.fromisoformat(given["se"]) - datetime.now(UTC)
    assert timedelta(minutes=4, seconds=30) < left <= timedelta(minutes=5)
    assert answer.body == b""
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "content-disposition" not in answer.headers
    assert ACCOUNT_KEY not in str(answer)


def _id(url: str) -> str:
    return urlsplit(url).path.split("/")[-2]


@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_following_the_redirect_gets_the_file_and_its_name(server: Server, format_name: str) -> None:
    exported = server.export("people", format=format_name).json()
    location = location_of(ask(server, exported["url"]))
    file, head = ask(server, location), ask(server, location, "HEAD")
    types = {"csv": "text/csv; charset=utf-8", "json": "application/json", "parquet": "application/vnd.apache.parquet"}
    name = f"people-r1.{format_name}"
    for answer in (file, head):
        assert answer.status == 200
        assert answer.headers["content-type"] == types[format_name]
        assert answer.headers["content-disposition"] == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["content-length"] == str(exported["sizeBytes"])
    assert (hashlib.sha256(file.body).hexdigest(), head.body) == (exported["sha256"], b"")


CONDITIONS: list[dict[str, str]] = [
    {"range": "bytes=0-3"},
    {"range": "bytes=3-"},
    {"range": "bytes=999999-"},
    {"if_none_match": "*"},
    {"if_match": '"other"'},
]


@pytest.mark.parametrize("conditions", CONDITIONS, ids=str)
def test_conditions_and_ranges_are_left_to_the_store(
    server: Server, caller: Caller, conditions: dict[str, str]
) -> None:
    url, headers = caller
    location_of(ask(server, url, **headers, **conditions))


def test_the_store_honours_the_headers_that_a_client_repeats(server: Server, exported: dict[str, Any]) -> None:
    url = exported["url"]
    whole = server.request(url)
    assert hashlib.sha256(whole.body).hexdigest() == exported["sha256"]
    part = server.request(url, headers={"range": "bytes=2-5"})
    assert (part.status, part.body) == (206, whole.body[2:6])
    assert part.headers["content-range"] == f"bytes 2-5/{len(whole.body)}"
    assert server.request(url, headers={"range": "bytes=999999-"}).status == 416
    assert server.request(url, headers={"if-none-match": whole.headers["etag"]}).status == 304
    assert server.request(url, "HEAD").headers["content-length"] == str(len(whole.body))


def test_requests_that_azure_does_not_support_are_answered_by_the_service(
    server: Server, caller: Caller, exported: dict[str, Any]
) -> None:
    url, headers = caller
    blob = server.request(exported["url"])
    etag, content = blob.headers["etag"], blob.body
    last = ask(server, url, range="bytes=-4", **headers)
    assert (last.status, last.body, last.headers["etag"]) == (206, content[-4:], etag)
    assert ask(server, url, range="bytes=-4", if_match=etag, **headers).status == 206
    assert ask(server, url, range="bytes=-4", if_match='"other"', **headers).status == 412
    for asked in ("bytes=0-1,4-5", "bytes=5-4", "lines=1-2"):
        whole = ask(server, url, range=asked, **headers)
        assert (whole.status, whole.body, whole.headers["etag"]) == (200, content, etag)
    assert ask(server, url, range="bytes=0-3", if_range='"other"', **headers).body == content
    location_of(ask(server, url, range="bytes=0-3", if_range=etag, **headers))
    location_of(ask(server, url, range="bytes=0-3", if_range=f'"{exported["sha256"]}"', **headers))
    location_of(ask(server, url, "HEAD", range="bytes=-4", **headers))


def test_query_engines_read_the_file_in_place(server: Server) -> None:
    url = server.export("people", format="parquet").json()["url"]
    assert pl.read_parquet(url).shape == (3, 5)
    assert pl.read_csv(server.export("people").json()["url"]).shape == (3, 5)
    with duckdb.connect() as connection:
        load_extension(connection, "httpfs")
        assert connection.execute("SELECT count(*) FROM read_parquet(?)", [url]).fetchone() == (3,)


def test_refused_requests_are_not_redirected(server: Server, exported: dict[str, Any]) -> None:
    url = exported["url"]
    path = urlsplit(url).path
    assert ask(server, url[:-1]).status == 401
    assert ask(server, url.replace("format=csv", "format=json")).status == 401
    assert ask(server, path).status == 401
    assert ask(server, path, x_api_key=OTHER_KEY).status == 404
    assert ask(server, f"{path[:-12]}{'0' * 12}", x_api_key=KEY).status == 404
    assert ask(server, f"{path}?format=json", x_api_key=KEY).status == 404
    assert ask(server, url, "POST").status == 405


def test_tampered_urls_are_not_redirected(server: Server) -> None:
    url = create_exports(server)
    for name, (alter, status) in TAMPERED.items():
        answer = raw.send(server, alter(url))
        assert answer.status == {200: 302}.get(status, status), name
        assert ("location" in answer.headers) == (status == 200), name


def test_a_page_may_follow_the_redirect(server: Server, exported: dict[str, Any]) -> None:
    answer = ask(server, exported["url"], origin="https://sheet.example")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "ETag" in answer.headers["access-control-expose-headers"]


def test_no_redirect_outlives_the_url_that_led_to_it(
    azurite: Azurite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("short")
    store = f"az://test-{uuid.uuid4().hex}", {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    with Server(store, folder, TAILRACE_DOWNLOAD_MODE="redirect", TAILRACE_URL_TTL_SECONDS="60") as server:
        publish_people(server, folder)
        exported = server.export("people").json()
        location = location_of(ask(server, exported["url"]))
        assert parse_qs(urlsplit(location).query)["se"] == [exported["expiresAt"]]


def test_redirects_of_a_service_that_is_six_minutes_behind_open(
    azurite: Azurite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By its own clock, the URL of the store would have expired a minute ago: Azure would answer with a 403."""
    folder = tmp_path_factory.mktemp("behind")
    store = f"az://test-{uuid.uuid4().hex}", {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    with AlteredServer(store, folder, TAILRACE_DOWNLOAD_MODE="redirect") as server:
        publish_people(server, folder)
        exported = server.export("people").json()
        server.move_clock(-timedelta(minutes=6))
        ready = server.request("/readyz")
        assert (ready.status, "seconds behind that of the exports store" in ready.json()["clock"]) == (503, True)
        location = location_of(ask(server, exported["url"]))
        file = server.request(location)
        assert (file.status, hashlib.sha256(file.body).hexdigest()) == (200, exported["sha256"])


def test_stream_mode_reveals_nothing_about_the_store(
    azurite: Azurite, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("stream")
    container = f"test-{uuid.uuid4().hex}"
    store = f"az://{container}", {"AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string}
    with Server(store, folder) as server:
        publish_people(server, folder)
        answer = server.export("people")
        file = ask(server, answer.json()["url"])
        texts = f"{answer} {file.headers}"
        assert file.status == 200
        assert not [word for word in (container, "devstoreaccount1", ACCOUNT_KEY, "sv=", "sp=") if word in texts]


@pytest.mark.parametrize("value", ["redirect", "elsewhere"])
def test_an_unusable_download_mode_is_refused_at_the_start(
    tmp_path_factory: pytest.TempPathFactory, value: str
) -> None:
    folder = tmp_path_factory.mktemp("wrong")
    done = Server((str(folder / "store"), {}), folder, TAILRACE_DOWNLOAD_MODE=value).command("serve")
    assert done.returncode == 1
    assert "TAILRACE_DOWNLOAD_MODE" in done.stderr
    assert ("az://container/prefix" if value == "redirect" else "'stream' or 'redirect'") in done.stderr
    assert "Traceback" not in done.stderr
