"""The tabs beside the rows: statistics of columns, and SQL."""

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
    explorer.tab.route(
        "**/data/column?*field=price*", lambda route: route.fulfill(status=503, json={"message": "Busy."})
    )
    explorer.sign_in("shops")
    retry = explorer.head("price").get_by_role("button", name="Try again")
    expect(retry).to_be_visible()
    expect(explorer.head("city").locator(".tops")).to_be_visible()
    explorer.tab.unroute("**/data/column?*field=price*")
    retry.click()
    expect(explorer.head("price").locator(".bin")).to_have_count(24)


def test_sql_over_the_run(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.tab.get_by_role("tab", name="SQL").click()
    statement, note = explorer.tab.get_by_label("Statement"), explorer.tab.locator(".answer-note")
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
