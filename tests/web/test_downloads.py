"""Signed and keyed downloads over a real socket, on both stores (web/API.md, section 3)."""

import hashlib
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.helpers.server import KEY, Server

Answer = dict[str, Any]


@pytest.fixture(scope="module")
def exported(people_on: Server) -> Answer:
    answer: Answer = people_on.export("people", format="csv").json()
    return answer


@pytest.fixture(scope="module")
def content(people_on: Server, exported: Answer) -> bytes:
    return people_on.request(exported["url"]).body


def test_the_file_has_the_promised_size_and_hash(people_on: Server, exported: Answer) -> None:
    file = people_on.request(exported["url"])
    assert file.status == 200
    assert hashlib.sha256(file.body).hexdigest() == exported["sha256"]
    headers = file.headers
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert headers["content-length"] == str(exported["sizeBytes"])
    assert headers["etag"] == f'"{exported["sha256"]}"'
    assert headers["content-disposition"] == ("attachment; filename=\"people-r1.csv\"; filename*=UTF-8''people-r1.csv")
    assert (headers["accept-ranges"], headers["access-control-allow-origin"]) == ("bytes", "*")
    assert "ETag" in headers["access-control-expose-headers"]
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


@pytest.mark.parametrize("format_name", ["json", "parquet"])
def test_the_content_type_is_that_of_the_format(people_on: Server, format_name: str) -> None:
    url = people_on.export("people", format=format_name).json()["url"]
    wanted = {"json": "application/json", "parquet": "application/vnd.apache.parquet"}[format_name]
    assert people_on.request(url).headers["content-type"] == wanted


def test_head_has_the_headers_of_get_without_the_body(people_on: Server, exported: Answer) -> None:
    head, get = people_on.request(exported["url"], "HEAD"), people_on.request(exported["url"])
    varying = {"date", "x-request-id"}
    assert (head.status, head.body) == (200, b"")
    assert {k: v for k, v in head.headers.items() if k not in varying} == {
        k: v for k, v in get.headers.items() if k not in varying
    }


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=5-9", 5, 10), ("bytes=7-", 7, None), ("bytes=-4", -4, None)],
)
def test_a_single_range(
    people_on: Server, exported: Answer, content: bytes, header: str, start: int, end: int | None
) -> None:
    part = people_on.request(exported["url"], headers={"range": header})
    wanted = content[start:end]
    first = content.index(wanted) if start else 0
    assert (part.status, part.body) == (206, wanted)
    assert part.headers["content-range"] == f"bytes {first}-{first + len(wanted) - 1}/{len(content)}"


def test_a_range_after_the_end_is_416(people_on: Server, exported: Answer, content: bytes) -> None:
    part = people_on.request(exported["url"], headers={"range": f"bytes={len(content)}-"})
    assert (part.status, part.body) == (416, b"")
    assert part.headers["content-range"] == f"bytes */{len(content)}"


def test_the_owning_team_needs_no_signature(people_on: Server, exported: Answer, content: bytes) -> None:
    path = urlsplit(exported["url"]).path
    assert people_on.request(path, headers={"x-api-key": KEY}).body == content
    assert people_on.request(f"{path}?format=csv", headers={"x-api-key": KEY}).body == content
    assert people_on.request(f"{path}?format=json", headers={"x-api-key": KEY}).status == 404
