"""Preconditions, ranges and CORS of a download over a real socket, on both stores (RFC 9110, sections 13 and 14)."""

import http.client
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.helpers.server import KEY, Answer, Server

ORIGIN = {"origin": "https://sheet.example"}
EXPOSED = {"content-disposition", "content-length", "content-range", "accept-ranges", "etag", "x-request-id"}


class File:
    """One export: its URL, the headers of requests for it, and its expected content."""

    def __init__(self, server: Server, url: str, headers: Mapping[str, str]) -> None:
        self.server, self.url, self.headers = server, url, dict(headers)
        whole = self.ask()
        assert whole.status == 200
        self.content, self.etag, self.modified = whole.body, whole.headers["etag"], whole.headers["last-modified"]

    def ask(self, method: str = "GET", **headers: str) -> Answer:
        """Send a request; header names have underscores for hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.request(self.url, method, {**self.headers, **given})


@pytest.fixture(scope="module")
def file(people_on: Server) -> File:
    """An export that is opened by its signature in a directory, and by an API key on Azure."""
    url: str = people_on.export("people", format="csv").json()["url"]
    if people_on.environment["TAILRACE_EXPORTS"].startswith("az://"):
        return File(people_on, urlsplit(url).path, {"x-api-key": KEY})
    return File(people_on, url, {})


def moved(file: File, seconds: int) -> str:
    """The Last-Modified of the file, shifted by some seconds."""
    return format_datetime(parsedate_to_datetime(file.modified) + timedelta(seconds=seconds), usegmt=True)


NONE_MATCH = [
    ("{etag}", 304),
    ("W/{etag}", 304),
    ("*", 304),
    ('"other", {etag}', 304),
    ('"with,comma", W/"x" ,, {etag},', 304),
    ('"other"', 200),
    ('W/"other"', 200),
    ("", 200),
    ("w/{etag}", 200),
    ("no quotes", 200),
    ('{etag} "no comma"', 200),
]


@pytest.mark.parametrize(("value", "status"), NONE_MATCH)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match_compares_weakly(file: File, method: str, value: str, status: int) -> None:
    answer = file.ask(method, if_none_match=value.format(etag=file.etag))
    assert answer.status == status
    assert answer.headers["etag"] == file.etag
    if status == 304:
        assert answer.body == b""
        assert not {"content-type", "content-length", "content-disposition", "last-modified"} & set(answer.headers)
        assert answer.headers["cache-control"] == file.ask("HEAD").headers["cache-control"]


MATCH = [
    ("{etag}", 200),
    ("*", 200),
    ('"other", {etag}', 200),
    ("W/{etag}", 412),
    ('"other"', 412),
    ("", 412),
    ("no quotes", 412),
]


@pytest.mark.parametrize(("value", "status"), MATCH)
def test_if_match_compares_strongly(file: File, value: str, status: int) -> None:
    answer = file.ask(if_match=value.format(etag=file.etag))
    assert (answer.status, answer.body) == (status, file.content if status == 200 else b"")


@pytest.mark.parametrize(("seconds", "status"), [(-1, 200), (0, 304), (1, 304), (10**8, 304)])
def test_if_modified_since(file: File, seconds: int, status: int) -> None:
    assert file.ask(if_modified_since=moved(file, seconds)).status == status


@pytest.mark.parametrize(("seconds", "status"), [(-1, 412), (0, 200), (1, 200)])
def test_if_unmodified_since(file: File, seconds: int, status: int) -> None:
    assert file.ask(if_unmodified_since=moved(file, seconds)).status == status


@pytest.mark.parametrize("pattern", ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_obsolete_formats_of_dates_are_accepted(file: File, pattern: str) -> None:
    date = parsedate_to_datetime(file.modified).strftime(pattern)
    assert file.ask(if_modified_since=date).status == 304


@pytest.mark.parametrize("value", ["", "yesterday", "2026-11-24T00:00:00Z", "0", "Tue, 32 Jan 2026 00:00:00 GMT"])
def test_malformed_dates_are_ignored(file: File, value: str) -> None:
    assert file.ask(if_modified_since=value).status == 200
    assert file.ask(if_unmodified_since=value).status == 200


def test_tags_take_precedence_over_dates_and_if_match_over_if_none_match(file: File) -> None:
    later, earlier = moved(file, 9), moved(file, -9)
    assert file.ask(if_none_match='"other"', if_modified_since=later).status == 200
    assert file.ask(if_match=file.etag, if_unmodified_since=earlier).status == 200
    assert file.ask(if_match='"other"', if_none_match=file.etag).status == 412
    assert file.ask(if_unmodified_since=earlier, if_none_match=file.etag).status == 412
    assert file.ask(if_match=file.etag, if_none_match=file.etag).status == 304


def test_preconditions_are_evaluated_before_ranges(file: File) -> None:
    behind = f"bytes={len(file.content)}-"
    assert file.ask(if_none_match=file.etag, range=behind).status == 304
    assert file.ask(if_match='"other"', range=behind).status == 412
    assert file.ask(if_match=file.etag, range="bytes=0-3").status == 206


def test_if_range_needs_the_strong_tag_of_this_version(file: File) -> None:
    part = file.ask(range="bytes=2-5", if_range=file.etag)
    assert (part.status, part.body) == (206, file.content[2:6])
    behind = file.ask(range=f"bytes={len(file.content)}-", if_range=file.etag)
    assert behind.status == 416
    for value in (f"W/{file.etag}", '"other"', "*", "", file.modified, f'{file.etag}, "x"', file.etag.strip('"')):
        for asked in ("bytes=2-5", f"bytes={len(file.content)}-"):
            whole = file.ask(range=asked, if_range=value)
            assert (whole.status, whole.body) == (200, file.content), value
    assert file.ask(if_range='"other"').status == 200


def test_head_ignores_ranges(file: File) -> None:
    for asked in ("bytes=0-3", f"bytes={len(file.content)}-"):
        head = file.ask("HEAD", range=asked)
        assert (head.status, head.body, "content-range" in head.headers) == (200, b"", False)
        assert head.headers["content-length"] == str(len(file.content))


def test_a_range_has_the_headers_of_the_whole_file(file: File) -> None:
    whole, part = file.ask().headers, file.ask(range="bytes=-4").headers
    varying = {"date", "x-request-id", "content-length", "content-range"}
    assert {k: v for k, v in part.items() if k not in varying} == {k: v for k, v in whole.items() if k not in varying}
    assert (part["content-length"], part["content-range"]) == (
        "4",
        f"bytes {len(file.content) - 4}-{len(file.content) - 1}/{len(file.content)}",
    )


def test_errors_have_no_headers_of_a_file(file: File) -> None:
    for answer in (file.ask(range=f"bytes={len(file.content)}-"), file.ask(if_match='"other"')):
        assert answer.body == b""
        assert not {"content-type", "content-disposition", "last-modified"} & set(answer.headers)
        assert (answer.headers["content-length"], answer.headers["etag"]) == ("0", file.etag)


def _raw(file: File, lines: list[tuple[str, str]]) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", file.server.port, timeout=20)
    parts = urlsplit(file.url)
    connection.putrequest("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
    for name, value in [*file.headers.items(), *lines]:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_repeated_headers_are_combined(file: File) -> None:
    assert _raw(file, [("if-none-match", '"other"'), ("if-none-match", file.etag)]).status == 304
    assert _raw(file, [("if-match", '"other"'), ("if-match", file.etag)]).status == 200
    assert _raw(file, [("range", "bytes=0-1"), ("range", "bytes=3-4")]).status == 200
    assert _raw(file, [("range", "bytes=0-1"), ("if-range", file.etag), ("if-range", '"other"')]).status == 200
    assert _raw(file, [("if-modified-since", moved(file, 9))] * 2).status == 200


def test_last_modified_is_the_date_of_the_object(file: File) -> None:
    modified = parsedate_to_datetime(file.modified)
    assert timedelta(0) <= datetime.now(UTC) - modified < timedelta(minutes=10)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {}),
        (206, {"range": "bytes=0-1"}),
        (304, {"if_none_match": "*"}),
        (412, {"if_match": '"other"'}),
        (416, {"range": "bytes=999999999-"}),
    ],
)
def test_pages_of_any_origin_may_read_every_response(file: File, status: int, headers: Any) -> None:
    for answer in (file.ask(**headers, **ORIGIN), file.ask(**headers)):
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "*"
        assert set(answer.headers["access-control-expose-headers"].lower().split(", ")) >= EXPOSED
        assert (answer.headers["x-content-type-options"], answer.headers["referrer-policy"]) == (
            "nosniff",
            "no-referrer",
        )


def test_pages_may_read_errors(file: File) -> None:
    answer = file.server.request(file.url.partition("?")[0], headers=ORIGIN)
    assert answer.status == 401
    assert answer.headers["access-control-allow-origin"] == "*"
    assert set(answer.headers["access-control-expose-headers"].lower().split(", ")) >= EXPOSED


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("asked", ["authorization", "x-api-key", "x-api-key,range,if-none-match,x-request-id"])
def test_a_preflight_request_allows_credentials_in_headers(file: File, method: str, asked: str) -> None:
    headers = {**ORIGIN, "access-control-request-method": method, "access-control-request-headers": asked}
    for path in (file.url, "/v4/workflows/people/data/export?format=csv"):
        answer = file.server.request(path, "OPTIONS", headers)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert method in answer.headers["access-control-allow-methods"].split(", ")
        # Named one by one: a star would not cover Authorization.
        assert answer.headers["access-control-allow-headers"] == asked
        assert int(answer.headers["access-control-max-age"]) > 0
