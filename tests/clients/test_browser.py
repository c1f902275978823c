"""A real browser: a link of another site downloads the file, and a page of another origin reads it."""

import hashlib
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Exports
from tests.helpers.files import decompressed

_FETCH = """async (url) => {
    const part = await fetch(url, {headers: {range: 'bytes=0-3'}});
    const exposed = ['content-range', 'etag', 'content-disposition', 'accept-ranges'];
    const headers = Object.fromEntries(exposed.map(name => [name, part.headers.get(name)]));
    const whole = await (await fetch(url)).text();
    return {status: part.status, text: await part.text(), headers, length: new TextEncoder().encode(whole).length};
}"""


class _Page(BaseHTTPRequestHandler):
    """A page of some other site."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><a id=link>file</a>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    with socketserver.TCPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def _saved(browser: Any, elsewhere: str, url: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """The file that a click on a link of another site saves, by its suggested name, and the headers of the answer."""
    page = browser.new_page()
    page.goto(elsewhere)
    page.evaluate("url => { document.getElementById('link').href = url; }", url)
    with page.expect_response(url) as answered, page.expect_download() as started:
        page.click("#link")
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    headers = answered.value.headers
    page.close()
    return path, headers


@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_a_link_downloads_the_file_under_its_name(
    exports: Exports, browser: Any, elsewhere: str, download_folder: Path, format_name: str
) -> None:
    answer = exports.ask(format_name)
    path, _ = _saved(browser, elsewhere, answer["url"], download_folder)
    assert path.name == f"mixed-r1.{format_name}"
    assert path.stat().st_size == answer["sizeBytes"]


@pytest.mark.parametrize(("compression", "extension"), [("gzip", "gz"), ("zstd", "zst")])
@pytest.mark.parametrize("format_name", ["csv", "json", "jsonl"])
def test_a_link_saves_a_compressed_file_as_it_is(
    exports: Exports,
    browser: Any,
    elsewhere: str,
    download_folder: Path,
    format_name: str,
    compression: str,
    extension: str,
) -> None:
    """A browser unpacks what has a Content-Encoding, and then a saved ``.csv.gz`` does not open."""
    answer = exports.ask(format_name, compression=compression)
    path, headers = _saved(browser, elsewhere, answer["url"], download_folder)
    assert headers["content-type"] == f"application/{compression}"
    assert "content-encoding" not in headers
    assert path.name == f"mixed-r1.{format_name}.{extension}"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == answer["sha256"]
    assert decompressed(path.read_bytes(), compression) == exports.server.download("mixed", format=format_name)


def test_a_page_of_another_origin_reads_ranges_and_headers(exports: Exports, browser: Any, elsewhere: str) -> None:
    answer = exports.ask("csv")
    page = browser.new_page()
    page.goto(elsewhere)
    found = page.evaluate(_FETCH, answer["url"])
    assert (found["status"], found["text"], found["length"]) == (206, "n,bi", answer["sizeBytes"])
    assert found["headers"]["content-range"] == f"bytes 0-3/{answer['sizeBytes']}"
    assert found["headers"]["etag"] == f'"{answer["sha256"]}"'
    assert "mixed-r1.csv" in found["headers"]["content-disposition"]
    page.close()
