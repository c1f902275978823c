"""The service below a path, behind a real reverse proxy that strips the path and behind one that passes it on."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from tests.helpers.nginx import MISSING, NGINX, Nginx
from tests.helpers.server import KEY, Server

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: install it from the lock")

PREFIX = "/data/exports-of.acme"
ROWS = [{"name": f"name {n}", "n": n} for n in range(60)]
_KEY = {"x-api-key": KEY}


@dataclass(frozen=True)
class Site:
    """A service and the proxy before it."""

    server: Server
    proxy: Nginx


@pytest.fixture(scope="module", params=["strips", "passes on"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if NGINX is None:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("site")
    server = Server((str(folder / "store"), {}), folder)
    with Nginx(folder, server.port, PREFIX, strips=request.param == "strips") as proxy:
        server.environment["TAILRACE_BASE_URL"] = proxy.base + "/"
        with server:
            (folder / "rows.json").write_text(json.dumps(ROWS))
            server.publish("--workflow", "w", "--run", "r1", str(folder / "rows.json"))
            yield Site(server, proxy)


def test_every_route_answers_with_the_path_and_without(site: Site) -> None:
    paths = [
        ("/healthz", {}),
        ("/readyz", {}),
        ("/metrics", {}),
        ("/openapi.json", {}),
        ("/openapi-3.0.json", {}),
        ("/docs", {}),
        ("/", {}),
        ("/assets/main.js", {}),
        ("/v4/workflows", _KEY),
        ("/v4/workflows/w", _KEY),
        ("/v4/workflows/w/data?limit=2", _KEY),
        ("/v4/workflows/w/data/column?field=n", _KEY),
        ("/v4/workflows/w/data/export", _KEY),
    ]
    for path, headers in paths:
        for url in (site.proxy.base + path, site.server.base + path, site.server.base + PREFIX + path):
            assert site.server.request(url, headers=headers).status == 200, url
    body = json.dumps({"sql": "SELECT count(*) AS n FROM data"}).encode()
    for base in (site.proxy.base, site.server.base, site.server.base + PREFIX):
        answer = site.server.request(f"{base}/v4/workflows/w/data/query", "POST", _KEY, body)
        assert answer.json()["rows"] == [{"n": len(ROWS)}]
        missing = site.server.request(f"{base}/nowhere")
        assert (missing.status, missing.json()["code"]) == (404, "not_found")


def test_what_is_beside_the_path_is_not_below_it(site: Site) -> None:
    for path in (f"{PREFIX}x/healthz", f"{PREFIX}/{PREFIX}/healthz", "/data/healthz", PREFIX.upper() + "/healthz"):
        assert site.server.request(path).status == 404, path


def test_the_path_without_its_slash_leads_to_the_page(site: Site) -> None:
    # The proxy's answer to `location = PREFIX` goes through unchanged.
    answer = site.server.request(site.proxy.base)
    assert b"<title>Tailrace</title>" in answer.body


def test_signed_urls_open_through_the_proxy_and_beside_it(site: Site) -> None:
    found = site.server.request(f"{site.proxy.base}/v4/workflows/w/data/export?format=json", headers=_KEY).json()
    assert found["url"].startswith(f"{site.proxy.base}/v4/workflows/w/data/exports/")
    behind = found["url"].removeprefix(site.proxy.base)
    for url in (found["url"], site.server.base + behind, site.server.base + PREFIX + behind):
        assert site.server.request(url).json() == ROWS
        part = site.server.request(url, headers={"range": "bytes=0-3"})
        assert (part.status, part.headers["content-range"]) == (206, f"bytes 0-3/{found['sizeBytes']}")
        assert site.server.request(url[:-1] + ("A" if url[-1] != "A" else "B")).status == 401
    # The audience is the whole base: the same host without the path is another.
    assert site.server.request(site.proxy.origin + behind).status == 418
    done = site.server.command("sign", "--check", found["url"])
    assert (done.returncode, done.stderr) == (0, "")


def test_an_asynchronous_export_is_followed_by_its_location(site: Site) -> None:
    url = f"{site.proxy.base}/v4/workflows/w/data/export?sortBy=n&order=desc"
    answer = site.server.request(url, headers={**_KEY, "prefer": "respond-async"})
    assert answer.status == 202
    assert answer.headers["location"].startswith(f"{site.proxy.base}/v4/")
    found: dict[str, Any] = {}
    while "url" not in found:
        found = site.server.request(answer.headers["location"], headers=_KEY).json()
    assert len(site.server.request(found["url"]).body.splitlines()) == len(ROWS) + 1


def test_the_documents_name_the_public_address(site: Site) -> None:
    for name in ("openapi.json", "openapi-3.0.json"):
        document = site.server.request(f"{site.proxy.base}/{name}").json()
        assert document["servers"] == [{"url": site.proxy.base}]
        # As a generated client puts an address together.
        url = document["servers"][0]["url"] + "/v4/workflows/{workflowId}/data/export".format(workflowId="w")
        assert site.server.request(url, headers=_KEY).status == 200
    page = site.server.request(f"{site.proxy.base}/docs").body.decode()
    assert f"{site.proxy.base}/v4/workflows/sample-products/data/export" in page
    assert 'href="/' not in page


def test_assistants_get_links_that_open(site: Site) -> None:
    async def run() -> str:
        async with (
            httpx2.AsyncClient(headers=_KEY) as http,
            Client(streamable_http_client(f"{site.proxy.base}/mcp", http_client=http)) as client,
        ):
            found = await client.call_tool("export_rows", {"workflow_id": "w", "format": "json"})
            (content,) = found.content
            assert isinstance(content, TextContent)
            return content.text

    # Playwright runs an event loop in this thread while a browser of the module is open.
    with ThreadPoolExecutor(1) as pool:
        url = json.loads(pool.submit(asyncio.run, run()).result())["url"]
    assert url.startswith(site.proxy.base + "/")
    assert site.server.request(url).json() == ROWS


def test_the_page_works_in_a_browser(site: Site, browser: Any, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda asked: complaints.append(f"{asked.url} failed"))
    page.on("response", lambda came: complaints.append(came.url) if came.status >= 400 else None)
    page.on(
        "request", lambda asked: None if asked.url.startswith(f"{site.proxy.base}/") else complaints.append(asked.url)
    )
    page.goto(f"{site.proxy.base}/")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    playwright.expect(page.locator("#count")).to_have_text(f"{len(ROWS)} rows")
    page.get_by_role("tab", name="Columns").click()
    playwright.expect(page.locator(".cards li[data-path='n']")).to_contain_text("60 distinct")
    page.get_by_role("tab", name="SQL").click()
    page.get_by_label("Statement", exact=True).fill("SELECT count(*) FROM data")
    page.get_by_label("Statement", exact=True).press("Control+Enter")
    playwright.expect(page.locator(".answer-note")).to_have_text("1 row")
    page.get_by_role("tab", name="Rows").click()
    page.get_by_role("button", name="Export", exact=True).click()
    panel = page.locator("#export")
    panel.locator("label", has=page.get_by_role("radio", name="JSON", exact=True)).click()
    panel.get_by_role("button", name="Export", exact=False).first.click()
    download = panel.get_by_role("link", name="Download", exact=True)
    playwright.expect(download).to_be_visible()
    playwright.expect(panel.locator(".facts")).to_contain_text(f"{len(ROWS)} rows")
    assert download.get_attribute("href").startswith(f"{site.proxy.base}/v4/")
    with page.expect_download() as started:
        download.click()
    started.value.save_as(tmp_path / "file")
    assert json.loads((tmp_path / "file").read_bytes()) == ROWS
    page.get_by_role("link", name="API").click()
    page.get_by_role("link", name="OpenAPI 3.1").click()
    assert page.url == f"{site.proxy.base}/openapi.json"
    context.close()
    assert complaints == []
