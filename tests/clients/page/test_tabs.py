"""The tabs beside the rows: statistics of columns, and SQL."""

import json
from typing import Any
from urllib.parse import quote

from tests.clients.page.explorer import Explorer, expect


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
    expect(explorer.tab.locator(".answer tbody tr").nth(1)).to_have_text("Rome400")
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
    expect(explorer.tab.locator(".answer tbody tr")).to_have_text("7")


def test_the_result_is_downloaded_and_statements_are_remembered_in_this_tab(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("city", "EQUALS", "Rome")
    explorer.counts("400 of 1,200 rows")
    explorer.tab.get_by_role("tab", name="SQL").click()
    statement = explorer.tab.get_by_label("Statement", exact=True)
    statement.fill("SELECT name FROM matching ORDER BY price LIMIT 2")
    explorer.button("Run").click()
    expect(explorer.tab.locator(".answer-note")).to_have_text("2 rows")
    explorer.tab.get_by_label("Format of the result").select_option("jsonl")
    explorer.button("Download the result").click()
    link = explorer.tab.get_by_role("link", name="JSONL, 2 rows")
    expect(link).to_be_visible()
    body = explorer.server.request(str(link.get_attribute("href"))).body
    assert [json.loads(line)["name"] for line in body.splitlines()] == ["<b>name</b> 0", "<b>name</b> 3"]
    explorer.tab.reload()
    expect(statement).to_have_value("SELECT count(*) AS rows FROM matching")
    explorer.tab.get_by_label("Earlier statements").select_option(index=1)
    expect(statement).to_have_value("SELECT name FROM matching ORDER BY price LIMIT 2")
    explorer.button("Sign out").click()
    assert explorer.tab.evaluate("sessionStorage.length") == 0
