"""The file name at the end of a download URL, in ``Content-Disposition``, and what the service makes of it."""

import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.helpers.files import decompressed
from tests.helpers.server import KEY, OTHER_KEY, Server

NAMES: dict[str, tuple[dict[str, object], str, str]] = {
    "csv": ({}, "people-r1.csv", "text/csv; charset=utf-8"),
    "filtered": (
        {"filters": [{"field": "age", "operator": "GREATER_THAN", "value": 30}]},
        "people-r1-filtered.csv",
        "text/csv; charset=utf-8",
    ),
    "a filter that leaves nothing out": (
        {"filters": [{"field": "name", "operator": "IS_NOT_EMPTY"}]},
        "people-r1.csv",
        "text/csv; charset=utf-8",
    ),
    "row ids": ({"rowIds": "unknown"}, "people-r1-filtered.csv", "text/csv; charset=utf-8"),
    "json": ({"format": "json"}, "people-r1.json", "application/json"),
    "jsonl": ({"format": "jsonl"}, "people-r1.jsonl", "application/jsonl"),
    "xlsx": (
        {"format": "xlsx"},
        "people-r1.xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    "parquet": ({"format": "parquet"}, "people-r1.parquet", "application/vnd.apache.parquet"),
    "gzip": ({"compression": "gzip"}, "people-r1.csv.gz", "application/gzip"),
    "zstd": ({"format": "json", "compression": "zstd"}, "people-r1.json.zst", "application/zstd"),
}


def _split(url: str) -> tuple[str, str, str]:
    """The URL up to the export id, the file name, and the query."""
    head, _, query = url.partition("?")
    path, _, name = head.rpartition("/")
    return path, name, query


@pytest.mark.parametrize("case", NAMES)
def test_the_url_and_the_download_have_the_name_of_the_file(people: Server, case: str) -> None:
    asked, name, content_type = NAMES[case]
    answer = people.export("people", KEY, **asked).json()
    path, found, _ = _split(answer["url"])
    assert (path.rpartition("/")[2], found) == (answer["exportId"], name)
    file = people.request(answer["url"])
    assert (file.status, file.headers["content-type"]) == (200, content_type)
    assert file.headers["content-disposition"] == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
    assert "content-encoding" not in file.headers
    assert len(file.body) == answer["sizeBytes"]
    if "compression" in asked:
        plain = people.download("people", **{key: value for key, value in asked.items() if key != "compression"})
        assert decompressed(file.body, str(asked["compression"])) == plain


def test_the_name_is_not_part_of_the_signature(people: Server) -> None:
    url = people.export("people").json()["url"]
    content = people.request(url).body
    path, _, query = _split(url)
    for name in ("", "/x.csv", "/Q3%20report.csv", "/%E6%9D%B1.csv", "/a..b.csv", "/.csv.csv"):
        answer = people.request(f"{path}{name}?{query}")
        assert (answer.status, answer.body) == (200, content), name
        assert people.request(f"{path}{name}?{query}", "HEAD").status == 200
    for name, status in (("/x.json", 404), ("/x.csv.gz", 404), ("/xcsv", 401), ("/.csv", 401), ("/", 401)):
        assert people.request(f"{path}{name}?{query}").status == status, name
    for name in ("/a/b.csv", "//x.csv", "/x.csv/", "/x.csv/y", "/a%2Fb.csv"):
        assert people.request(f"{path}{name}?{query}").status in (401, 404), name
    # The name opens nothing by itself, and the path to the status has another meaning.
    assert people.request(f"{path}/people-r1.csv").status == 401
    assert people.request(f"{path}/status?{query}").status == 401


def test_a_key_opens_it_by_name_too(people: Server) -> None:
    answer = people.export("people", format="jsonl").json()
    path, name, _ = _split(urlsplit(answer["url"]).path)
    for query in ("", "?format=jsonl"):
        assert people.request(f"{path}/{name}{query}", headers={"x-api-key": KEY}).status == 200
    assert people.request(f"{path}/{name}", headers={"x-api-key": OTHER_KEY}).status == 404
    wrong = people.request(f"{path}/people-r1.csv", headers={"x-api-key": KEY})
    assert (wrong.status, wrong.json()["message"]) == (
        404, "There is no such file: the name of this export's file ends with .jsonl."
    )  # fmt: skip


def test_the_status_has_the_same_url(people: Server) -> None:
    answer = people.export("people", compression="gzip", fields="name").json()
    status = f"/v4/workflows/people/data/exports/{answer['exportId']}/status"
    found = people.request(status, headers={"x-api-key": KEY}).json()
    assert _split(found["url"])[:2] == _split(answer["url"])[:2]
    assert found["schema"] == answer["schema"] == [{"name": "name", "type": "STRING"}]


def test_wget_and_curl_save_it_under_its_name(people: Server, tmp_path: Path) -> None:
    answer = people.export("people", compression="gzip").json()
    subprocess.run(["curl", "-sSfOJ", answer["url"]], cwd=tmp_path, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["people-r1.csv.gz"]
    subprocess.run(["gzip", "-t", "people-r1.csv.gz"], cwd=tmp_path, check=True)
