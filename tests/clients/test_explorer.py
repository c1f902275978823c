"""The page at ``/`` as a person uses it, in a real browser: from the key to the file, and when things fail."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from tests.helpers.server import KEY, Server

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: install it from the lock")

ROWS: list[dict[str, Any]] = [
    {
        "name": f"<b>name</b> {n}",
        "price": n / 4,
        "big": 9_007_199_254_740_993 + n,
        "city": ["Rome", "Oslo", None][n % 3],
        "open": n % 2 == 0,
        "home": {"zip": f"{n:05}"},
    }
    for n in range(1200)
]
_SCREENSHOTS = os.environ.get("TAILRACE_SCREENSHOTS")
"""A folder for pictures of the page, if they are wanted."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("explorer")
    with Server((str(folder / "store"), {}), folder) as server:
        source = folder / "shops.json"
        source.write_text(json.dumps(ROWS))
        server.publish("--workflow", "shops", "--run", "r1", "--name", "Shops", str(source))
        server.publish("--workflow", "shops", "--run", "r2", "--state", "FAILED", str(source))
        yield server


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """The page in a context of its own. Nothing may be refused by the policy, nothing be asked of other hosts."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
    opened.on("request", lambda asked: None if asked.url.startswith(server.base) else complaints.append(asked.url))
    opened.goto(f"{server.base}/")
    yield opened
    context.close()
    assert complaints == []


def sign_in(page: Any, key: str = KEY) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def add_filter(page: Any, number: int, field: str, operator: str, value: str) -> None:
    page.get_by_role("button", name="Add a filter").click()
    page.get_by_label(f"Column of filter {number}", exact=True).select_option(field)
    page.get_by_label(f"Operator of filter {number}", exact=True).select_option(operator)
    page.get_by_label(f"Value of filter {number}", exact=True).fill(value)


def matching(page: Any, count: str) -> None:
    playwright.expect(page.locator("#count")).to_have_text(f"{count} rows match")


def picture(page: Any, name: str) -> None:
    if _SCREENSHOTS:
        page.screenshot(path=f"{_SCREENSHOTS}/{name}.png", full_page=True)


def test_from_the_key_to_the_file(page: Any, server: Server, tmp_path: Path) -> None:
    sign_in(page)
    matching(page, "1,200")
    add_filter(page, 1, "city", "EQUALS", "Rome")
    matching(page, "400")
    add_filter(page, 2, "price", "GREATER_THAN", "100")
    wanted = [row for row in ROWS if row["city"] == "Rome" and row["price"] > 100]
    matching(page, str(len(wanted)))
    page.get_by_role("button", name="price", exact=True).click()
    playwright.expect(page.locator("#preview tbody tr").first).to_contain_text(str(wanted[0]["price"]))
    page.get_by_label("Format").select_option("json")
    page.get_by_role("button", name="Export the matching rows").click()
    playwright.expect(page.locator("#finished-note")).to_contain_text(f"{len(wanted)} rows")
    playwright.expect(page.locator("#snippets")).to_contain_text("read_json")
    page.locator("#columns svg").first.scroll_into_view_if_needed()
    picture(page, "explorer")
    with page.expect_download() as started:
        page.get_by_role("link", name="Download").click()
    started.value.save_as(tmp_path / "file")
    assert started.value.suggested_filename == "shops-r1.json"
    assert json.loads((tmp_path / "file").read_bytes()) == wanted
    url = page.locator("#download").get_attribute("href")
    assert server.request(url).body == (tmp_path / "file").read_bytes()


def test_an_export_keeps_the_digits_of_its_filters(page: Any, server: Server) -> None:
    sign_in(page)
    matching(page, "1,200")
    add_filter(page, 1, "big", "EQUALS", str(ROWS[2]["big"]))
    matching(page, "1")
    page.get_by_role("button", name="Export the matching rows").click()
    playwright.expect(page.locator("#finished-note")).to_contain_text("1 rows")
    url = page.locator("#download").get_attribute("href")
    assert server.request(url).body.splitlines()[1].split(b",")[2] == str(ROWS[2]["big"]).encode()


@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_the_snippets_and_the_link_open_the_file(
    page: Any, httpfs: duckdb.DuckDBPyConnection, tmp_path: Path, format_name: str
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page)
    matching(page, "1,200")
    page.get_by_label("Format").select_option(format_name)
    page.get_by_role("button", name="Export the matching rows").click()
    playwright.expect(page.locator("#finished-note")).to_contain_text("1,200 rows")
    page.get_by_role("button", name="Copy the link").click()
    playwright.expect(page.locator("#copied")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#download").get_attribute("href")
    titles, texts = page.locator("#snippets h3").all_inner_texts(), page.locator("#snippets pre").all_inner_texts()
    snippets = dict(zip(titles, texts, strict=True))
    subprocess.run(snippets["curl"], shell=True, cwd=tmp_path, check=True)
    assert (tmp_path / f"shops-r1.{format_name}").stat().st_size > 0
    for name in ("pandas", "Polars"):
        script = f"{snippets[name]}\nprint(len(frame))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == "1200\n", name
    install, query = snippets["DuckDB"].split("\n")
    assert install == "INSTALL httpfs; LOAD httpfs;"
    # It is loaded already, from its package: to install it would be to ask the world.
    assert len(httpfs.execute(query).fetchall()) == 1200


def test_an_export_that_waits_is_followed_and_cancelled(browser: Any, tmp_path: Path) -> None:
    settings = {"TAILRACE_MAX_CONCURRENT_EXPORTS": "1", "TAILRACE_THREADS": "1"}
    with Server((str(tmp_path / "store"), {}), tmp_path, **settings) as server:
        frame = pl.select(n=pl.int_range(1_000_000)).with_columns(word=(pl.col("n") * 7919 % 1_000_003).cast(pl.String))
        frame.write_parquet(tmp_path / "large.parquet")
        server.publish("--workflow", "large", "--run", "r1", str(tmp_path / "large.parquet"))
        # Others are before it.
        headers = {"x-api-key": KEY, "prefer": "respond-async"}
        for number in range(6):
            body = {"sortBy": "word", "filters": [{"field": "n", "operator": "NOT_EQUALS", "value": number}]}
            path = "/v4/workflows/large/data/export"
            assert server.request(path, "POST", headers, json.dumps(body).encode()).status == 202
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{server.base}/")
        sign_in(page)
        matching(page, "1,000,000")
        page.get_by_role("button", name="Export the matching rows").click()
        playwright.expect(page.locator("#phase")).to_contain_text("queued, place")
        playwright.expect(page.locator("#progress")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        playwright.expect(page.get_by_role("alert")).to_contain_text("cancelled")
        playwright.expect(page.locator("#progress")).to_be_hidden()
        playwright.expect(page.locator("#finished")).to_be_hidden()
        context.close()


def test_a_wrong_key_is_told_and_forgotten(page: Any) -> None:
    sign_in(page, "wrong")
    playwright.expect(page.get_by_role("alert")).to_contain_text("Send a valid API key")
    playwright.expect(page.get_by_label("API key")).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0
    assert page.evaluate("localStorage.length") == 0


def test_the_key_stays_in_its_tab(page: Any, server: Server) -> None:
    sign_in(page)
    matching(page, "1,200")
    page.reload()
    matching(page, "1,200")
    assert KEY not in page.url
    assert page.context.cookies() == []
    other = page.context.new_page()
    other.goto(f"{server.base}/")
    playwright.expect(other.get_by_label("API key")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    assert page.evaluate("sessionStorage.length") == 0


def test_operators_are_those_of_the_column(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    page.get_by_role("button", name="Add a filter").click()
    operators = page.get_by_label("Operator of filter 1", exact=True)

    def names(field: str) -> set[str]:
        page.get_by_label("Column of filter 1", exact=True).select_option(field)
        return {option.get_attribute("value") for option in operators.locator("option").all()}

    assert "CONTAINS" in names("name")
    assert "CONTAINS" not in names("price")
    assert "GREATER_THAN" in names("price")
    assert names("home") == {"IS_NULL", "IS_NOT_NULL"}
    assert "STARTS_WITH" in names("home.zip")
    operators.select_option("IS_NULL")
    playwright.expect(page.get_by_label("Value of filter 1", exact=True)).to_be_hidden()
    matching(page, "0")


def test_a_wrong_value_is_told_beside_its_filter(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    add_filter(page, 1, "price", "GREATER_THAN", "cheap")
    playwright.expect(page.locator(".filter .wrong")).to_contain_text("give a number")
    page.get_by_label("Value of filter 1", exact=True).fill("299")
    matching(page, "3")
    playwright.expect(page.locator(".filter .wrong")).to_have_count(0)
    page.get_by_role("button", name="Remove filter 1").click()
    matching(page, "1,200")


def test_values_are_shown_as_they_are(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    first = page.locator("#preview tbody tr").first
    playwright.expect(first).to_contain_text("<b>name</b> 0")
    playwright.expect(first).to_contain_text("9007199254740993")
    assert page.locator("#preview td b").count() == 0


def test_pages_of_the_preview(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    playwright.expect(page.locator("#place")).to_have_text("Page 1 of 48")
    playwright.expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    page.get_by_role("button", name="Next").click()
    playwright.expect(page.locator("#place")).to_have_text("Page 2 of 48")
    playwright.expect(page.locator("#preview tbody tr").first).to_contain_text("<b>name</b> 25")


def test_facts_of_columns_are_plotted(page: Any) -> None:
    sign_in(page)
    card = page.locator("#columns li[data-path='price']")
    card.scroll_into_view_if_needed()
    playwright.expect(card).to_contain_text("0 of 1,200 null, 1,200 distinct")
    assert card.locator("svg rect").count() == 24
    city = page.locator("#columns li[data-path='city']")
    city.scroll_into_view_if_needed()
    playwright.expect(city).to_contain_text("400 of 1,200 null, 2 distinct")
    playwright.expect(city).to_contain_text("Oslo")


def test_sql_over_the_run(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    statement = page.get_by_label("One statement that reads")
    statement.fill("SELECT city, count(*) AS shops FROM data GROUP BY city ORDER BY city")
    statement.press("Control+Enter")
    playwright.expect(page.locator("#answer-note")).to_have_text("3 rows")
    playwright.expect(page.locator("#answer tbody tr").nth(1)).to_have_text("Rome400")
    statement.fill("SELECT nme FROM data")
    page.get_by_role("button", name="Run", exact=True).click()
    playwright.expect(page.locator("#answer-note")).to_contain_text("nme")
    statement.fill("SELECT count(*) FROM range(10000000) a, range(10000000) b")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Stop").click()
    playwright.expect(page.locator("#answer-note")).to_have_text("Stopped.")


def test_an_unfinished_run_cannot_be_chosen(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    option = page.get_by_label("Run", exact=True).locator("option[value='r2']")
    playwright.expect(option).to_be_disabled()
    playwright.expect(option).to_have_text("r2 (failed)")


def test_the_service_that_goes_away_is_told(browser: Any, tmp_path: Path, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server.base}/")
    sign_in(page)
    matching(page, "1,200")
    context.set_offline(True)
    page.get_by_role("button", name="Next").click()
    playwright.expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    context.set_offline(False)
    page.get_by_role("button", name="Next").click()
    playwright.expect(page.get_by_role("alert")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_needs_no_scrolling_sideways(browser: Any, server: Server, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{server.base}/")
    sign_in(page)
    matching(page, "1,200")
    add_filter(page, 1, "city", "EQUALS", "Rome")
    matching(page, "400")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    picture(page, f"narrow-{scheme}")
    context.close()


def test_everything_has_a_name_and_a_place_in_the_order_of_tabs(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('input, select, textarea, button, a')]
            .filter(one => one.offsetParent !== null)
            .filter(one => !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()))
            .map(one => one.outerHTML)"""
    )
    assert nameless == []
    assert page.evaluate("document.querySelectorAll('[tabindex]:not([tabindex=\"0\"])').length") == 0
    page.get_by_role("button", name="Add a filter").focus()
    page.keyboard.press("Enter")
    playwright.expect(page.get_by_label("Column of filter 1", exact=True)).to_be_focused()
