"""Signed and keyed downloads over a real socket, on both stores (web/API.md, section 3)."""

import hashlib
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.helpers.server import KEY, OTHER_KEY, Server

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


def test_several_ranges_get_the_whole_file(people_on: Server, exported: Answer, content: bytes) -> None:
    assert people_on.request(exported["url"], headers={"range": "bytes=0-1,4-5"}).body == content


def test_if_range_of_another_version_gets_the_whole_file(people_on: Server, exported: Answer, content: bytes) -> None:
    same = {"range": "bytes=0-3", "if-range": f'"{exported["sha256"]}"'}
    other = {"range": "bytes=0-3", "if-range": '"other"'}
    assert people_on.request(exported["url"], headers=same).body == content[:4]
    assert people_on.request(exported["url"], headers=other).body == content


def test_if_none_match_of_this_version_is_304(people_on: Server, exported: Answer) -> None:
    answer = people_on.request(exported["url"], headers={"if-none-match": f'"{exported["sha256"]}"'})
    assert (answer.status, answer.body) == (304, b"")


def test_pages_of_any_origin_may_read_the_file(people_on: Server, exported: Answer) -> None:
    asked = {"origin": "https://sheet.example", "access-control-request-method": "GET"}
    assert people_on.request(exported["url"], "OPTIONS", asked).headers["access-control-allow-origin"] == "*"


def test_the_owning_team_needs_no_signature(people_on: Server, exported: Answer, content: bytes) -> None:
    path = urlsplit(exported["url"]).path
    assert people_on.request(path, headers={"x-api-key": KEY}).body == content
    assert people_on.request(f"{path}?format=csv", headers={"x-api-key": KEY}).body == content
    assert people_on.request(f"{path}?format=json", headers={"x-api-key": KEY}).status == 404


def test_another_team_gets_a_404(people_on: Server, exported: Answer) -> None:
    path = urlsplit(exported["url"]).path
    unknown = path[:-12] + "0" * 12
    answers = [people_on.request(p, headers={"x-api-key": OTHER_KEY}) for p in (path, unknown)]
    assert [answer.status for answer in answers] == [404, 404]
    assert len({str(answer.json() | {"requestId": ""}) for answer in answers}) == 1


def test_an_expired_url_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("short")
    source = folder / "rows.csv"
    source.write_text("a\n1\n")
    # The fraction of a second is cut off an expiry: a URL of 2 s lives between 1 and 2.
    with Server((str(folder / "store"), {}), folder, TAILRACE_URL_TTL_SECONDS="2") as server:
        server.publish("--workflow", "w", "--run", "r", str(source))
        url = server.export("w").json()["url"]
        first = server.request(url).status
        deadline = time.monotonic() + 10
        while (late := server.request(url)).status == 200 and time.monotonic() < deadline:
            pass
    assert first == 200
    assert (late.status, late.json()["code"]) == (401, "url_expired")
