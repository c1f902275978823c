"""The page at ``/`` in a real browser: from signing in to the downloaded file, and how errors are shown."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
PRICES: list[dict[str, Any]] = [
    {
        "product": f"p{n}",
        "price": {"amount": n * 37 % 100 * 100, "currencyCode": "EUR"},
        "tags": ["a"],
        "size": {"w": n},
    }
    for n in range(60)
]
_PRICES_SCHEMA = {
    "fields": [
        {"name": "product", "dataType": "STRING"},
        {"name": "price", "dataType": "MONEY"},
        {"name": "tags", "dataType": "ARRAY", "items": {"dataType": "STRING"}},
        {"name": "size", "dataType": "OBJECT", "fields": [{"name": "w", "dataType": "NUMBER"}]},
    ]
}
_SCREENSHOTS = os.environ.get("TAILRACE_SCREENSHOTS")
"""The folder to save screenshots in; none are taken without it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("explorer")
    with Server((str(folder / "store"), {}), folder) as server:
        source = folder / "shops.json"
        source.write_text(json.dumps(ROWS))
        server.publish("--workflow", "shops", "--run", "r1", "--name", "Shops", str(source))
        server.publish("--workflow", "shops", "--run", "r2", "--state", "FAILED", str(source))
        source, schema = folder / "prices.json", folder / "schema.json"
        schema.write_text(json.dumps(_PRICES_SCHEMA))
        for run, rows in {"w1": PRICES, "w2": PRICES[:50], "w3": [{"tags": ["a"]}]}.items():
            source.write_text(json.dumps(rows))
            declared = ["--schema", str(schema)] if run != "w3" else []
            server.publish("--workflow", "wares", "--run", run, *declared, str(source))
        yield server


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """The page in a new browser context. Fails on script errors, policy violations and requests to other hosts."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    violations: list[str] = []
    opened.on("pageerror", lambda error: violations.append(str(error)))
    opened.on("console", lambda line: violations.append(line.text) if "Content Security Policy" in line.text else None)
    opened.on("request", lambda sent: None if sent.url.startswith(server.base) else violations.append(sent.url))
    opened.goto(f"{server.base}/")
    yield opened
    context.close()
    assert violations == []


def sign_in(page: Any, key: str = KEY) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def add_filter(page: Any, number: int, field: str, operator: str, value: str) -> None:
    page.get_by_role("button", name="Add a filter").click()
    page.get_by_label(f"Column of filter {number}", exact=True).select_option(field)
    page.get_by_label(f"Operator of filter {number}", exact=True).select_option(operator)
    page.get_by_label(f"Value of filter {number}", exact=True).fill(value)


def matching(page: Any, count: str) -> None:
    text = "1 row matches" if count == "1" else f"{count} rows match"
    playwright.expect(page.locator("#count")).to_have_text(text)


def choose_workflow(page: Any, workflow: str) -> None:
    page.get_by_label("Workflow", exact=True).select_option(workflow)


def export(page: Any) -> None:
    page.get_by_role("button", name="Export the matching rows").click()
    playwright.expect(page.locator("#finished")).to_be_visible()


def _amount(row: dict[str, Any]) -> int:
    return int(row["price"]["amount"])


def first_cells(page: Any) -> list[str]:
    return page.locator("#preview tbody tr td:first-child").all_inner_texts()  # type: ignore[no-any-return]


def picture(page: Any, name: str) -> None:
    if _SCREENSHOTS:
        page.screenshot(path=f"{_SCREENSHOTS}/{name}.png", full_page=True)


def test_an_address_with_the_key_signs_in_and_loses_it(page: Any, server: Server) -> None:
    page.goto("about:blank")
    page.goto(f"{server.base}/#key={KEY}")
    page.wait_for_selector("#preview table")
    assert page.url == f"{server.base}/"


def test_sign_in_filter_sort_export_and_download(page: Any, server: Server, tmp_path: Path) -> None:
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
    assert started.value.suggested_filename == "shops-r1-filtered.json"
    assert json.loads((tmp_path / "file").read_bytes()) == wanted
    url = page.locator("#download").get_attribute("href")
    assert server.request(url).body == (tmp_path / "file").read_bytes()


def test_an_export_keeps_the_digits_of_its_filters(page: Any, server: Server) -> None:
    sign_in(page)
    matching(page, "1,200")
    add_filter(page, 1, "big", "EQUALS", str(ROWS[2]["big"]))
    matching(page, "1")
    page.get_by_role("button", name="Export the matching rows").click()
    playwright.expect(page.locator("#finished-note")).to_contain_text("1 row,")
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
    # Already loaded from its package, since installing it needs the internet.
    assert len(httpfs.execute(query).fetchall()) == 1200


def test_a_queued_export_shows_its_position_and_can_be_cancelled(browser: Any, tmp_path: Path) -> None:
    settings = {"TAILRACE_MAX_CONCURRENT_EXPORTS": "1", "TAILRACE_THREADS": "1"}
    with Server((str(tmp_path / "store"), {}), tmp_path, **settings) as server:
        frame = pl.select(n=pl.int_range(1_000_000)).with_columns(word=(pl.col("n") * 7919 % 1_000_003).cast(pl.String))
        frame.write_parquet(tmp_path / "large.parquet")
        server.publish("--workflow", "large", "--run", "r1", str(tmp_path / "large.parquet"))
        # Six other exports occupy the queue first.
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
        playwright.expect(page.locator("#phase")).to_contain_text("queued, position")
        playwright.expect(page.locator("#progress")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        playwright.expect(page.get_by_role("alert")).to_contain_text("cancelled")
        playwright.expect(page.locator("#progress")).to_be_hidden()
        playwright.expect(page.locator("#finished")).to_be_hidden()
        context.close()


def test_a_wrong_key_is_reported_and_not_stored(page: Any) -> None:
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


def test_a_filter_offers_the_operators_of_its_column(page: Any) -> None:
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


def test_an_invalid_value_is_reported_beside_its_filter(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    add_filter(page, 1, "price", "GREATER_THAN", "cheap")
    playwright.expect(page.locator(".filter .error")).to_contain_text("give a number")
    page.get_by_label("Value of filter 1", exact=True).fill("299")
    matching(page, "3")
    playwright.expect(page.locator(".filter .error")).to_have_count(0)
    page.get_by_role("button", name="Remove filter 1").click()
    matching(page, "1,200")


def test_values_are_not_parsed_as_html_and_keep_their_digits(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    first = page.locator("#preview tbody tr").first
    playwright.expect(first).to_contain_text("<b>name</b> 0")
    playwright.expect(first).to_contain_text("9007199254740993")
    assert page.locator("#preview td b").count() == 0


def test_the_preview_has_pages(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    playwright.expect(page.locator("#page-number")).to_have_text("Page 1 of 48")
    playwright.expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    page.get_by_role("button", name="Next").click()
    playwright.expect(page.locator("#page-number")).to_have_text("Page 2 of 48")
    playwright.expect(page.locator("#preview tbody tr").first).to_contain_text("<b>name</b> 25")


def test_columns_show_statistics_and_a_histogram(page: Any) -> None:
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
    statement = page.get_by_label("One read-only statement")
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


def test_an_unfinished_run_cannot_be_selected(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    option = page.get_by_label("Run", exact=True).locator("option[value='r2']")
    playwright.expect(option).to_be_disabled()
    playwright.expect(option).to_have_text("r2 (failed)")


def test_an_unreachable_service_is_reported(browser: Any, tmp_path: Path, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server.base}/")
    sign_in(page)
    matching(page, "1,200")
    context.set_offline(True)
    page.get_by_role("button", name="Next").click()
    playwright.expect(page.get_by_role("alert")).to_contain_text("The service does not respond")
    context.set_offline(False)
    page.get_by_role("button", name="Next").click()
    playwright.expect(page.get_by_role("alert")).to_be_hidden()
    context.close()


def test_money_sorts_by_its_amount_and_columns_without_an_order_have_no_button(page: Any) -> None:
    sign_in(page)
    choose_workflow(page, "wares")
    page.get_by_label("Run", exact=True).select_option("w1")
    matching(page, "60")
    assert page.locator("#preview th button").all_inner_texts() == ["product", "price"]
    by_amount = sorted(PRICES, key=_amount)
    page.locator("#preview th button", has_text="price").click()
    playwright.expect(page.locator("#preview th button").nth(1)).to_have_text("price ▲")
    playwright.expect(page.locator("#preview tbody tr").first).to_contain_text(by_amount[0]["product"])
    assert first_cells(page) == [row["product"] for row in by_amount[:25]]
    page.locator("#preview th button", has_text="price").click()
    playwright.expect(page.locator("#preview th button").nth(1)).to_have_text("price ▼")
    playwright.expect(page.locator("#preview tbody tr").first).to_contain_text(by_amount[-1]["product"])
    playwright.expect(page.get_by_role("alert")).to_be_hidden()


def test_a_sort_is_dropped_when_the_next_run_has_no_such_column(page: Any) -> None:
    sign_in(page)
    choose_workflow(page, "wares")
    page.get_by_label("Run", exact=True).select_option("w1")
    matching(page, "60")
    page.locator("#preview th button", has_text="price").click()
    playwright.expect(page.locator("#preview th button").nth(1)).to_have_text("price ▲")
    page.get_by_label("Run", exact=True).select_option("w3")
    matching(page, "1")
    playwright.expect(page.get_by_role("alert")).to_be_hidden()


def test_a_finished_export_is_marked_once_the_request_differs(page: Any, server: Server) -> None:
    sign_in(page)
    choose_workflow(page, "wares")
    page.get_by_label("Run", exact=True).select_option("w1")
    matching(page, "60")
    add_filter(page, 1, "product", "EQUALS", "p7")
    matching(page, "1")
    export(page)
    stale, note = page.locator("#stale"), page.locator("#stale-note")
    playwright.expect(stale).to_be_hidden()
    earlier = 'Of an earlier request: wares, run w1, product equals "p7", as csv.'

    def change_and_undo(change: Any, undo: Any) -> None:
        change()
        playwright.expect(note).to_have_text(earlier)
        playwright.expect(page.get_by_role("link", name="Download the earlier file")).to_be_visible()
        undo()
        playwright.expect(stale).to_be_hidden()
        playwright.expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible()

    value = page.get_by_label("Value of filter 1", exact=True)
    change_and_undo(lambda: value.fill("p8"), lambda: value.fill("p7"))
    price = page.locator("#preview th button", has_text="price")
    change_and_undo(price.click, lambda: (price.click(), price.click()))
    run = page.get_by_label("Run", exact=True)
    change_and_undo(lambda: run.select_option("w2"), lambda: run.select_option("w1"))
    file_format = page.get_by_label("Format")
    change_and_undo(lambda: file_format.select_option("json"), lambda: file_format.select_option("csv"))

    def back_to_wares() -> None:
        choose_workflow(page, "wares")
        run.select_option("w1")
        # Until the columns of the run are there, a filter has those of the workflow before.
        matching(page, "60")
        add_filter(page, 1, "product", "EQUALS", "p7")

    def to_shops() -> None:
        choose_workflow(page, "shops")
        # Its columns drop the filter, which the way back adds again.
        matching(page, "1,200")

    change_and_undo(to_shops, back_to_wares)

    value.fill("p8")
    playwright.expect(stale).to_be_visible()
    picture(page, "earlier-export")
    page.get_by_role("button", name="Export again").click()
    playwright.expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible()
    playwright.expect(stale).to_be_hidden()
    url = page.locator("#download").get_attribute("href")
    assert server.request(url).body.splitlines()[1].startswith(b"p8,")


def test_columns_and_compression_of_the_file(page: Any, server: Server) -> None:
    sign_in(page)
    matching(page, "1,200")
    add_filter(page, 1, "city", "EQUALS", "Oslo")
    matching(page, "400")
    page.get_by_label("Format").select_option("jsonl")
    page.get_by_label("Compression").select_option("gzip")
    for typed, names in (("city , home.zip", ["city", "home.zip"]), ('["name"]', ["name"])):
        page.get_by_label("Columns, in order").fill(typed)
        page.get_by_role("button", name="Export the matching rows").click()
        link = page.get_by_role("link", name="Download", exact=True)
        playwright.expect(link).to_be_visible()
        url = str(link.get_attribute("href"))
        assert urlsplit(url).path.endswith("/shops-r1-filtered.jsonl.gz")
        rows = [json.loads(line) for line in gzip.decompress(server.request(url).body).splitlines()]
        assert (len(rows), list(rows[0])) == (400, names)
    page.get_by_label("Columns, in order").fill("ctiy")
    page.get_by_role("button", name="Export the matching rows").click()
    playwright.expect(page.get_by_role("alert")).to_contain_text("Did you mean city?")
    page.get_by_label("Format").select_option("parquet")
    playwright.expect(page.get_by_label("Compression")).to_be_hidden()


def test_an_export_that_finishes_after_a_change_is_marked(page: Any) -> None:
    sign_in(page)
    matching(page, "1,200")
    held: list[Any] = []
    page.route("**/data/export", lambda route: held.append(route))
    with page.expect_request("**/data/export"):
        page.get_by_role("button", name="Export the matching rows").click()
    add_filter(page, 1, "city", "EQUALS", "Oslo")
    matching(page, "400")
    held[0].continue_()
    playwright.expect(page.locator("#stale-note")).to_have_text(
        "Of an earlier request: shops, run r1, all rows, as csv."
    )


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


def test_every_control_has_a_label_and_can_be_reached_with_the_keyboard(page: Any) -> None:
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


def test_the_documentation_is_searched_tried_with_the_key_of_the_tab_and_left(page: Any, server: Server) -> None:
    sign_in(page)
    matching(page, "1,200")
    page.goto(f"{server.base}/docs")
    page.get_by_label("Search").fill("column statistics")
    playwright.expect(page.locator("#found")).to_contain_text("found")
    section = page.locator('section[data-path="/v4/workflows/{workflowId}/data/export"][data-method="post"]')
    playwright.expect(section).to_be_hidden()
    page.get_by_label("Search").fill("POST export")
    playwright.expect(section).to_be_visible()
    section.get_by_text("Try it").click()
    section.get_by_label("workflowId (path)").fill("shops")
    section.get_by_label("body", exact=True).fill('{"format": "json", "filters": []}')
    section.get_by_role("button", name="Send POST").click()
    output = section.locator("pre[aria-label]")
    playwright.expect(output).to_contain_text('"rowCount":1200')
    playwright.expect(output).to_contain_text("200")
    section.get_by_label("body", exact=True).fill("{")
    section.get_by_role("button", name="Send POST").click()
    playwright.expect(output).to_contain_text("400")
    page.get_by_role("link", name="Back to the data").click()
    matching(page, "1,200")
