"""What is shown when there are no rows: nothing matches, errors, no connection, no run."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.clients.page.explorer import Explorer, expect
from tests.helpers.server import OTHER_KEY, SIGNING_SECRET
from web.auth.signed_urls import SigningKey, UrlSigner


def test_no_match_names_the_filter_that_removes_the_last_rows(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("price", "GREATER_THAN", "299")
    explorer.counts("3 of 1,200 rows")
    explorer.add_filter("city", "EQUALS", "Paris")
    blank = explorer.tab.locator(".blank")
    expect(blank).to_contain_text("No rows match these filters")
    expect(blank).to_contain_text("price greater than 299 leaves 3 rows; city is Paris leaves none.")
    explorer.counts("0 of 1,200 rows")
    blank.get_by_role("button", name="Remove all filters").click()
    explorer.counts("1,200 rows")


def test_a_run_without_rows_says_so(explorer: Explorer) -> None:
    explorer.sign_in("hollow")
    expect(explorer.tab.locator(".blank")).to_contain_text("This run has no rows")
    assert explorer.heads == ["sku", "title"]


def test_a_workflow_without_a_finished_run_says_so(explorer: Explorer) -> None:
    explorer.sign_in("broken")
    blank = explorer.tab.locator(".blank")
    expect(blank).to_contain_text("No finished run yet")
    expect(blank).to_contain_text("b1, has failed")
    expect(explorer.button("Export")).to_be_disabled()


def test_an_error_says_what_failed_and_can_be_tried_again(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    body = {"message": "The storage did not answer in time.", "code": "store_unavailable", "requestId": "4f1c9a"}
    explorer.tab.route("**/data", lambda route: route.fulfill(status=503, json=body))
    explorer.button("Next page").click()
    blank = explorer.tab.locator(".blank")
    expect(blank).to_contain_text("The storage did not answer in time. Nothing was changed. Request 4f1c9a.")
    expect(explorer.button("Filter")).to_be_enabled()
    explorer.tab.unroute("**/data")
    blank.get_by_role("button", name="Try again").click()
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 50")


def test_rows_stay_while_the_connection_is_lost_and_come_back_by_themselves(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.tab.context.set_offline(True)
    strip = explorer.tab.locator(".strip")
    expect(strip).to_contain_text("You are offline. Showing rows loaded at")
    expect(explorer.button("Export")).to_be_disabled()
    explorer.button("Next page").click()
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 0")
    explorer.tab.context.set_offline(False)
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 50")
    expect(strip).to_be_hidden()
    expect(explorer.button("Export")).to_be_enabled()


def test_placeholders_appear_after_a_moment(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    held: list[Any] = []
    explorer.tab.route("**/data", lambda route: held.append(route))
    explorer.button("Next page").click()
    expect(explorer.tab.locator("#panel-rows tbody.loading")).to_have_count(1)
    explorer.counts("1,200 rows")
    expect(explorer.head("price").locator(".bin")).to_have_count(24)
    held[0].continue_()
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 50")
    expect(explorer.tab.locator("#panel-rows tbody.loading")).to_have_count(0)


def test_an_expired_link_is_a_page_that_says_what_to_do(explorer: Explorer) -> None:
    answer = explorer.server.export("shops").json()
    key = SigningKey("k1", SIGNING_SECRET.encode())
    signer = UrlSigner([key], base_url=explorer.server.base, max_ttl=timedelta(days=1), formats=["csv"])
    url = signer.sign("shops", answer["exportId"], "csv", datetime(2026, 1, 1, tzinfo=UTC), "shops-r1.csv")
    assert explorer.server.request(url).json()["code"] == "url_expired"
    explorer.tab.goto(url)
    expect(explorer.tab.get_by_role("heading")).to_have_text("This link has expired")
    assert explorer.tab.evaluate("getComputedStyle(document.querySelector('.button')).fontWeight") == "600"
    explorer.tab.get_by_role("link", name="Sign in").click()
    explorer.type_key()
    explorer.counts("1,200 rows")


def test_what_a_key_does_not_open_is_said_in_words(explorer: Explorer) -> None:
    explorer.sign_in("shops", key=OTHER_KEY)
    blank = explorer.tab.locator(".blank")
    expect(blank).to_contain_text("Your key does not open this")
    expect(explorer.button("Export")).to_be_disabled()
    blank.get_by_role("button", name="Use another key").click()
    explorer.type_key()
    explorer.counts("1,200 rows")
    explorer.open("#workflow=shops&run=gone")
    expect(blank).to_contain_text("Your key does not open this")
    blank.get_by_role("button", name="Choose a workflow").click()
    explorer.tab.get_by_role("option", name="wares").click()
    explorer.counts("1 row")
