"""The tabs beside the rows: statistics of columns, and SQL."""

import gzip
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.clients.page.conftest import GOODS, GOODS_SCHEMA
from tests.clients.page.explorer import Explorer, expect
from tests.helpers.server import Server


def test_columns_show_statistics_and_plots_that_filter(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.tab.get_by_role("tab", name="Columns").click()
    card = explorer.tab.locator(".cards li[data-path='price']")
    expect(card).to_contain_text("0 of 1,200 rows null, 1,200 distinct")
    expect(card.locator(".bin")).to_have_count(24)
    city = explorer.tab.locator(".cards li[data-path='city']")
    expect(city).to_contain_text("400 of 1,200 rows null, 2 distinct")
    city.get_by_role("button", name="Oslo").focus()
    explorer.tab.keyboard.press("Enter")
    explorer.counts("400 of 1,200 rows")
    expect(city).to_contain_text("0 of 400 rows null, 1 distinct")
    member = explorer.tab.locator(".cards li[data-path='home.zip']")
    expect(member).to_contain_text("400 distinct")


def test_a_column_that_cannot_be_read_has_a_retry(explorer: Explorer) -> None:
    def refuse(route: Any) -> None:
        if json.loads(route.request.post_data)["field"] == "price":
            route.fulfill(status=503, json={"message": "Busy."})
        else:
            route.continue_()

    explorer.tab.route("**/data/column", refuse)
    explorer.sign_in("shops")
    retry = explorer.head("price").get_by_role("button", name="Try again")
    expect(retry).to_be_visible()
    expect(explorer.head("city").locator(".tops")).to_be_visible()
    explorer.tab.unroute("**/data/column")
    retry.click()
    expect(explorer.head("price").locator(".bin")).to_have_count(24)


def test_a_statement_runs_over_the_run(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.tab.get_by_role("tab", name="SQL").click()
    statement, note = explorer.tab.get_by_label("Statement", exact=True), explorer.tab.locator(".answer-note")
    statement.fill("SELECT , count(*) AS shops FROM data GROUP BY city ORDER BY city")
    statement.evaluate("one => one.setSelectionRange(7, 7)")
    explorer.tab.get_by_role("button", name="city", exact=True).click()
    assert statement.input_value().startswith("SELECT city, count(*)")
    statement.press("Control+Enter")
    expect(note).to_have_text("3 rows")
    expect(explorer.tab.locator(".answer tbody tr").nth(1).locator("td")).to_have_text(["Rome", "400"])
    statement.fill("SELECT nme FROM data")
    explorer.button("Run").click()
    expect(note).to_contain_text("nme")
    statement.fill("SELECT count(*) FROM range(10000000) a, range(10000000) b")
    explorer.button("Run").click()
    explorer.button("Stop").click()
    expect(note).to_have_text("Stopped.")


_FILTERS = [
    ("shops", "name", "CONTAINS", "NAME</b> 11"),
    ("shops", "name", "STARTS_WITH", "<B>"),
    ("shops", "home.zip", "ENDS_WITH", "7"),
    ("shops", "home.zip", "GREATER_THAN", "1000"),
    ("shops", "city", "NOT_EQUALS", "Rome"),
    ("shops", "city", "NOT_CONTAINS", "o"),
    ("shops", "city", "IN", "Rome"),
    ("shops", "city", "IS_EMPTY", None),
    ("shops", "city", "IS_NOT_EMPTY", None),
    ("shops", "price", "LESS_THAN_OR_EQUAL", "12.25"),
    ("shops", "big", "EQUALS", str(2**53 + 4)),
    ("shops", "open", "EQUALS", "true"),
    ("goods", "listedOn", "BEFORE", "2026-10-29"),
    ("goods", "listedOn", "GREATER_THAN_OR_EQUAL", "2026-10-29"),
    ("goods", "seenAt", "AFTER", "2026-11-01T06:41:17Z"),
    ("goods", "seenAt", "WITHIN_LAST_DAYS", "400"),
    ("goods", "listedOn", "WITHIN_LAST_DAYS", "400"),
    ("goods", "tags", "EQUALS", "steel"),
    ("goods", "tags", "CONTAINS", "OUT"),
    ("goods", "tags", "NOT_IN", "x"),
    ("goods", "tags", "IS_EMPTY", None),
    ("goods", "price.amount", "GREATER_THAN", "0"),
    ("goods", "size", "IS_NOT_NULL", None),
]


def test_the_filters_are_a_table_of_sql_with_the_rows_of_the_grid(explorer: Explorer) -> None:
    def fragment(workflow: str, field: str, operator: str, value: str | None) -> str:
        return (
            f"#workflow={workflow}&filter={quote(json.dumps([field, operator, *([] if value is None else [value])]))}"
        )

    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    differences = {}
    for given in _FILTERS:
        explorer.open(fragment(*given))
        expect(explorer.tab.locator("#count b")).to_be_visible()
        wanted = explorer.tab.locator("#count b").inner_text().replace(",", "")
        explorer.tab.get_by_role("tab", name="SQL").click()
        explorer.button("Run").click()
        expect(explorer.tab.locator(".answer-note")).not_to_have_text("Running …")
        note = explorer.tab.locator(".answer-note").inner_text()
        found = explorer.tab.locator(".answer tbody td").inner_text() if note == "1 row" else note
        if found != wanted:
            differences[given] = (wanted, found)
    assert differences == {}


def test_a_statement_may_begin_with_with(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("city", "EQUALS", "Rome")
    explorer.counts("400 of 1,200 rows")
    explorer.tab.get_by_role("tab", name="SQL").click()
    explorer.tab.get_by_label("Statement", exact=True).fill(
        "with few as (from matching limit 7) select count(*) from few"
    )
    explorer.button("Run").click()
    expect(explorer.tab.locator(".answer tbody td")).to_have_text("7")
    explorer.button("Remove filter: city is Rome").click()
    expect(explorer.tab.locator(".answer-note")).to_contain_text("these rows are of the earlier ones")
    explorer.button("Run").click()
    expect(explorer.tab.locator(".answer-note")).to_have_text("1 row")


def test_the_result_is_downloaded_and_statements_are_remembered_in_this_tab(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("city", "EQUALS", "Rome")
    explorer.counts("400 of 1,200 rows")
    explorer.tab.get_by_role("tab", name="SQL").click()
    statement = explorer.tab.get_by_label("Statement", exact=True)
    statement.fill("SELECT name FROM matching ORDER BY price LIMIT 2")
    explorer.button("Run").click()
    expect(explorer.tab.locator(".answer-note")).to_have_text("2 rows")
    explorer.button("Export").click()
    formats = explorer.panel.get_by_role("group", name="Format").get_by_role("radio")
    assert formats.evaluate_all("all => all.map(one => one.value)") == ["csv", "json", "jsonl", "xlsx", "parquet"]
    explorer.choose("JSONL")
    explorer.choose("gzip")
    expect(explorer.panel.locator(".estimate")).to_contain_text("2 rows, about ")
    url = explorer.export()
    assert urlsplit(url).path.endswith("/shops-r1-query.jsonl.gz")
    rows = gzip.decompress(explorer.server.request(url).body).splitlines()
    assert [json.loads(line)["name"] for line in rows] == ["<b>name</b> 0", "<b>name</b> 3"]
    statement.fill("SELECT 1 AS one")
    statement.press("Control+Enter")
    expect(explorer.panel.locator(".stale")).to_contain_text("SQL: WITH matching AS")
    expect(explorer.panel.locator(".recent li").first).to_contain_text("SQL: WITH matching AS")
    explorer.tab.reload()
    expect(statement).to_have_value("SELECT count(*) AS rows FROM matching")
    explorer.tab.get_by_label("Earlier statements").select_option(index=2)
    expect(statement).to_have_value("SELECT name FROM matching ORDER BY price LIMIT 2")
    explorer.button("Sign out").click()
    assert explorer.tab.evaluate("sessionStorage.length") == 0


def test_a_result_is_a_grid_like_that_of_the_rows(explorer: Explorer) -> None:
    explorer.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.sign_in("goods")
    explorer.counts("3 rows")
    explorer.tab.get_by_role("tab", name="SQL").click()
    expect(explorer.button("Export")).to_be_disabled()
    explorer.tab.get_by_label("Statement", exact=True).fill(
        "SELECT sku, listedOn, price, tags, page, 12345678901234567 AS big FROM data ORDER BY sku"
    )
    explorer.button("Run").click()
    answer, press = explorer.tab.locator(".answer"), explorer.tab.keyboard.press
    cells = answer.locator("tbody tr").first.locator("td")
    expect(cells).to_have_text(
        ["A-1", "2026-10-29", "3,056.48EUR", "steeloutdoor, large+2", "…/paella-pan", "12345678901234567"]
    )
    expect(answer.locator("thead .sign")).to_have_count(6)
    assert answer.locator("[tabindex='0']").count() == 1
    assert answer.locator("th button").count() == 0
    assert cells.nth(2).evaluate("one => getComputedStyle(one).textAlign") == "right"
    cells.nth(4).focus()
    press("ArrowRight")
    press("Control+c")
    expect(explorer.tab.locator("#notices")).to_contain_text("Cell copied.")
    assert explorer.tab.evaluate("navigator.clipboard.readText()") == "12345678901234567"
    press("Enter")
    detail = explorer.tab.get_by_label("Row details")
    expect(detail).to_contain_text("Row 1of 3")
    expect(detail).to_contain_text("outdoor, large")
    press("j")
    expect(detail).to_contain_text("A-2")
    press("Escape")
    expect(detail).to_be_hidden()
    expect(cells.last).to_be_focused()
    explorer.tab.get_by_role("tab", name="Rows").click()
    expect(explorer.cell(0, 0)).to_have_text(str(GOODS[0]["sku"]))


def test_an_export_of_a_result_has_more_rows_than_the_grid(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.tab.get_by_role("tab", name="SQL").click()
    explorer.tab.get_by_label("Statement", exact=True).fill("SELECT name FROM data")
    explorer.button("Run").click()
    expect(explorer.tab.locator(".answer-note")).to_have_text("The first 1,000 rows. Export makes a file of all.")
    assert len(explorer.server.request(explorer.export()).body.splitlines()) == 1201
    expect(explorer.panel.locator(".facts")).to_contain_text("1,200 rows")


def test_a_service_without_sql_has_no_tab_for_it(browser: Any, tmp_path: Path) -> None:
    source, schema = tmp_path / "rows.json", tmp_path / "schema.json"
    source.write_text(json.dumps(GOODS))
    schema.write_text(json.dumps(GOODS_SCHEMA))
    with (
        Server((str(tmp_path / "store"), {}), tmp_path, TAILRACE_USER_SQL="off") as server,
        browser.new_context() as context,
    ):
        server.publish("--workflow", "goods", "--run", "g1", "--schema", str(schema), str(source))
        explorer = Explorer(context.new_page(), server)
        explorer.sign_in("goods", "g1&tab=sql&row=1")
        explorer.counts("3 rows")
        expect(explorer.tab.get_by_role("tab")).to_have_text(["Rows", "Columns", "Changes"])
        expect(explorer.tab.get_by_role("tab", name="Rows")).to_have_attribute("aria-selected", "true")
        explorer.tab.keyboard.press("Escape")
        explorer.tab.keyboard.press("4")
        expect(explorer.tab.get_by_role("tab", name="Rows")).to_have_attribute("aria-selected", "true")
