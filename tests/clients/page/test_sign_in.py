"""The key: how it comes in, where it stays, and that it is nowhere else."""

import re
from typing import Any

from tests.clients.page.explorer import Explorer, expect
from tests.helpers.server import KEY, OTHER_KEY


def test_an_address_with_the_key_signs_in_and_loses_it(explorer: Explorer) -> None:
    explorer.sign_in("wares", "w2")
    explorer.counts("50 rows")
    assert explorer.fragment == [("workflow", "wares"), ("run", "w2")]


def test_a_wrong_key_is_reported_and_not_stored(explorer: Explorer) -> None:
    explorer.open()
    explorer.type_key("wrong")
    expect(explorer.tab.get_by_role("alert")).to_contain_text("Send a valid API key")
    expect(explorer.tab.get_by_label("API key")).to_be_focused()
    assert explorer.tab.evaluate("sessionStorage.length + localStorage.length") == 0


def test_the_key_stays_in_its_tab(explorer: Explorer) -> None:
    explorer.open("#workflow=shops")
    explorer.type_key()
    explorer.counts("1,200 rows")
    explorer.tab.reload()
    explorer.counts("1,200 rows")
    assert KEY not in explorer.tab.url
    assert explorer.tab.context.cookies() == []
    other = explorer.tab.context.new_page()
    other.goto(f"{explorer.server.base}/")
    expect(other.get_by_label("API key")).to_be_visible()
    explorer.button("Sign out").click()
    expect(explorer.tab.get_by_label("API key")).to_be_visible()
    assert explorer.tab.evaluate("sessionStorage.length") == 0
    assert explorer.fragment == []


def test_a_key_that_ends_asks_for_another_and_shows_the_same_view(explorer: Explorer) -> None:
    explorer.sign_in("wares", "w2")
    explorer.counts("50 rows")
    explorer.tab.evaluate("sessionStorage.setItem('tailrace-key', 'revoked')")
    explorer.sort("product")
    expect(explorer.tab.get_by_role("alert")).to_contain_text("valid API key")
    explorer.type_key()
    explorer.counts("50 rows")
    assert ("sort", "product") in explorer.fragment


def test_the_documentation_is_searched_tried_with_the_key_of_the_tab_and_left(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    page: Any = explorer.tab
    page.get_by_role("link", name="API", exact=True).click()
    # Until its scripts have loaded.
    page.wait_for_url("**/docs")
    page.get_by_role("searchbox").fill("column statistics")
    expect(page.locator("#found")).to_contain_text("found")
    section = page.locator('section[data-path="/v4/workflows/{workflowId}/data/export"][data-method="post"]')
    expect(section).to_be_hidden()
    page.get_by_role("searchbox").fill("POST export")
    expect(section).to_be_visible()
    section.get_by_text("Try it").click()
    # The examples are about the sample, which this service does not have.
    expect(section.get_by_label("workflowId (path)")).to_have_value("sample-products")
    expect(section.get_by_label("body", exact=True)).to_have_value(re.compile('"field": "rating"'))
    section.get_by_label("workflowId (path)").fill("shops")
    section.get_by_label("body", exact=True).fill('{"format": "json", "filters": []}')
    section.get_by_role("button", name="Send POST").click()
    output = section.locator("pre[aria-label]")
    expect(output).to_contain_text('"rowCount":1200')
    expect(output).to_contain_text("200")
    # What is downloaded next is the export that was made.
    page.get_by_role("searchbox").fill("")
    download = page.locator('section[data-path$="/{exportId}/{fileName}"][data-method="get"]')
    download.get_by_text("Try it").click()
    expect(download.get_by_label("fileName (path)")).to_have_value("shops-r1.json")
    download.get_by_label("workflowId (path)").fill("shops")
    download.get_by_role("button", name="Send GET").click()
    expect(download.locator("pre[aria-label]")).to_contain_text('"name":"<b>name</b> 0"')
    # A workflow that is deleted has to be named.
    expect(page.locator('section[data-path="/v4/workflows/{workflowId}"][data-method="delete"] input')).to_have_value(
        ""
    )
    section.get_by_label("body", exact=True).fill("{")
    section.get_by_role("button", name="Send POST").click()
    expect(output).to_contain_text("400")
    page.get_by_role("link", name="Back to the data").click()
    expect(page.locator("#count")).to_contain_text("row")


def test_another_key_sees_nothing_of_what_the_one_before_saw(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.tab.get_by_role("tab", name="SQL").click()
    explorer.button("Run").click()
    expect(explorer.tab.locator(".answer tbody td")).to_have_text("1200")
    explorer.button("Export").click()
    explorer.button("Sign out").click()
    explorer.type_key(OTHER_KEY)
    expect(explorer.tab.locator(".blank")).to_contain_text("There are no workflows yet")
    text = explorer.tab.evaluate("document.documentElement.outerHTML")
    assert "shops" not in text.lower()
    assert "1200" not in text
