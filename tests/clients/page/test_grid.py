"""The grid: values of each type, sorting, plots that filter, pages, the detail of a row, and the keyboard."""

import json
from typing import Any

import pytest

from tests.clients.page.conftest import GOODS, PRICES
from tests.clients.page.explorer import Explorer, expect


def test_values_are_text_and_keep_their_digits(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 0")
    expect(explorer.cell(0, 2)).to_have_text("9007199254740993")
    assert explorer.tab.locator("#panel-rows td b").count() == 0


def test_each_type_is_shown_as_people_write_it(explorer: Explorer) -> None:
    explorer.sign_in("goods")
    explorer.counts("3 rows")
    columns = {name: explorer.heads.index(name) for name in GOODS[0]}

    def texts(name: str) -> list[str]:
        return [text.strip() for text in explorer.column(columns[name])]

    assert texts("price") == ["3,056.48EUR", "3,480JPY", "-5points"]
    assert texts("listedOn") == ["2026-10-29", "2026-10-28", "null"]
    assert texts("seenAt") == ["2026-11-01 06:41:17", "2026-11-01 06:41:17.25", "null"]
    assert texts("inStock") == ["true", "false", "null"]
    assert texts("page") == ["…/paella-pan", "javascript:alert(1)", "null"]
    assert texts("tags") == ["steeloutdoor, large+2", "empty list", "null"]
    assert texts("title")[2] == "empty text"
    assert texts("size")[:2] == ["{width: 55, inner: {…}}", "null"]
    for row in range(3):
        box = explorer.cell(row, 1).bounding_box()
        assert box is not None
        assert box["height"] <= 34
    signs = explorer.tab.locator("#panel-rows thead .sign").count()
    assert signs == len(GOODS[0])


def test_links_open_elsewhere_without_a_referrer_and_other_schemes_are_text(explorer: Explorer) -> None:
    explorer.sign_in("goods")
    explorer.counts("3 rows")
    links = explorer.tab.locator("#panel-rows td a").evaluate_all(
        "links => links.map(one => [one.href, one.target, one.rel, one.referrerPolicy])"
    )
    safe = ["_blank", "noopener noreferrer", "no-referrer"]
    assert links == [[GOODS[row][name], *safe] for row, name in ((0, "page"), (0, "photo"), (2, "photo"))]
    assert explorer.tab.locator("img").count() == 0


def test_thumbnails_are_shown_only_by_the_variant_whose_policy_admits_them(explorer: Explorer) -> None:
    asked: list[tuple[str, str | None]] = []

    def answer(route: Any) -> None:
        asked.append((route.request.url, route.request.headers.get("referer")))
        route.fulfill(content_type="image/svg+xml", body='<svg xmlns="http://www.w3.org/2000/svg"/>')

    explorer.tab.route("https://img.example/**", answer)
    explorer.sign_in("goods", "g1")
    explorer.counts("3 rows")
    assert explorer.violations == []
    explorer.tab.locator("#choose-columns").click()
    explorer.tab.get_by_role("link", name="Show thumbnails").click()
    expect(explorer.tab.locator("#panel-rows img")).to_have_count(2)
    explorer.tab.wait_for_load_state("networkidle")
    explorer.counts("3 rows")
    assert sorted(asked) == [("https://img.example/1.png", None), ("https://img.example/3.png", None)]
    assert set(explorer.violations) == {url for url, _ in asked}
    explorer.violations.clear()
    explorer.tab.locator("#choose-columns").click()
    explorer.tab.get_by_role("link", name="Hide thumbnails").click()
    explorer.counts("3 rows")
    assert explorer.tab.locator("img").count() == 0


def test_money_sorts_by_its_amount_and_columns_without_an_order_have_no_button(explorer: Explorer) -> None:
    explorer.sign_in("wares", "w1")
    explorer.counts("60 rows")
    assert explorer.tab.locator("#panel-rows th button.head .name").all_inner_texts() == ["product", "price"]

    def amount(row: dict[str, Any]) -> int:
        return int(row["price"]["amount"])

    by_amount = [row["product"] for row in sorted(PRICES, key=amount)]
    explorer.sort("price")
    expect(explorer.cell(0, 0)).to_have_text(by_amount[0])
    expect(explorer.head("price")).to_have_attribute("aria-sort", "ascending")
    expect(explorer.tab.locator("#panel-rows tbody td.first")).to_have_text(by_amount[:50])
    explorer.sort("price")
    expect(explorer.cell(0, 0)).to_have_text(by_amount[-1])
    expect(explorer.head("price")).to_have_attribute("aria-sort", "descending")
    explorer.sort("price")
    expect(explorer.cell(0, 0)).to_have_text("p0")
    expect(explorer.head("price")).not_to_have_attribute("aria-sort", "descending")


def test_a_click_in_a_plot_makes_a_filter(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    bins = explorer.head("price").locator(".bin")
    expect(bins).to_have_count(24)
    bins.nth(1).click()
    explorer.counts("50 of 1,200 rows")
    low, high = 299.75 / 24, 299.75 / 12
    prices = [float(text) for text in explorer.column(1)]
    assert min(prices) >= round(low, 3)
    assert max(prices) < round(high, 3)
    explorer.tab.go_back()
    explorer.counts("1,200 rows")
    explorer.head("city").get_by_title("Oslo: 400. Show them").click()
    explorer.counts("400 of 1,200 rows")
    assert explorer.chips == ["city is Oslo"]
    explorer.button("Remove filter: city is Oslo").click()
    explorer.counts("1,200 rows")
    explorer.head("open").get_by_label("Show false").click()
    explorer.counts("600 of 1,200 rows")


def test_a_share_of_nulls_makes_a_filter(explorer: Explorer) -> None:
    explorer.sign_in("goods")
    explorer.counts("3 rows")
    explorer.head("tags").scroll_into_view_if_needed()
    nulls = explorer.head("tags").locator(".nulls")
    expect(nulls).to_have_text("33% null")
    nulls.click()
    explorer.counts("1 of 3 rows")
    assert explorer.chips == ["tags is null"]


def test_what_a_filter_looks_for_is_underlined(explorer: Explorer) -> None:
    explorer.sign_in("goods")
    explorer.add_filter("title", "CONTAINS", "PAN")
    explorer.counts("1 of 3 rows")
    assert explorer.tab.locator("#panel-rows mark").all_inner_texts() == ["pan"]


def test_pages_have_numbers_and_sizes(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    page = explorer.tab.get_by_role("textbox", name="Page,")
    expect(explorer.tab.locator("#range")).to_have_text("Rows 1-50")
    expect(explorer.tab.locator("#pages")).to_have_text("of 24")
    expect(explorer.button("Previous page")).to_be_disabled()
    explorer.button("Next page").click()
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 50")
    page.fill("24")
    page.press("Enter")
    expect(explorer.tab.locator("#range")).to_have_text("Rows 1,151-1,200")
    expect(explorer.button("Next page")).to_be_disabled()
    explorer.tab.get_by_label("Page size").select_option("1000")
    expect(explorer.tab.locator("#range")).to_have_text("Rows 1-1,000")
    page.fill("99")
    page.press("Enter")
    expect(explorer.tab.locator("#range")).to_have_text("Rows 1,001-1,200")


def test_a_row_opens_beside_the_grid_with_its_hidden_columns(explorer: Explorer) -> None:
    explorer.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.sign_in("goods")
    explorer.counts("3 rows")
    explorer.tab.locator("#choose-columns").click()
    explorer.tab.get_by_role("checkbox", name="sku").uncheck()
    explorer.tab.keyboard.press("Escape")
    explorer.cell(0, 0).click()
    detail = explorer.tab.get_by_label("Row details")
    expect(detail).to_contain_text("Row 1")
    expect(detail).to_contain_text("A-1")
    expect(detail).to_contain_text("sku is hidden in the grid.")
    expect(detail).to_contain_text("outdoor, large")
    expect(detail.locator("pre")).to_contain_text('"width": 55')
    detail.get_by_role("button", name="Copy JSON").click()
    expect(explorer.tab.locator("#notices")).to_contain_text("Row copied.")
    copied = json.loads(explorer.tab.evaluate("navigator.clipboard.readText()"))
    assert {name: copied[name] for name in ("sku", "price", "tags")} == {
        name: GOODS[0][name] for name in ("sku", "price", "tags")
    }
    detail.get_by_role("button", name="Next row").click()
    expect(detail).to_contain_text("x" * 400 + "\nlast line")
    assert ("row", "2") in explorer.fragment
    explorer.tab.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    expect(explorer.cell(1, 0)).to_be_focused()


def test_the_detail_goes_on_to_the_next_page(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.cell(49, 0).click()
    expect(explorer.tab.get_by_label("Row details")).to_contain_text("Row 50")
    explorer.tab.keyboard.press("j")
    expect(explorer.tab.get_by_label("Row details")).to_contain_text("<b>name</b> 50")
    expect(explorer.tab.locator("#range")).to_have_text("Rows 51-100")
    explorer.tab.keyboard.press("k")
    expect(explorer.tab.get_by_label("Row details")).to_contain_text("<b>name</b> 49")


def test_copied_rows_keep_long_numbers(explorer: Explorer) -> None:
    explorer.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.sign_in("shops")
    explorer.cell(0, 0).click()
    explorer.button("Copy JSON").click()
    expect(explorer.tab.locator("#notices")).to_contain_text("Row copied.")
    assert json.loads(explorer.tab.evaluate("navigator.clipboard.readText()"))["big"] == 9_007_199_254_740_993


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_moves_while_rows_load(explorer: Explorer, scheme: str) -> None:
    explorer.tab.emulate_media(color_scheme=scheme)
    explorer.tab.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => { for (const one of list.getEntries()) "
        "if (!one.hadRecentInput) window.shift += one.value; }).observe({type: 'layout-shift', buffered: true})"
    )
    explorer.sign_in("shops", "r1")
    explorer.counts("1,200 rows")
    expect(explorer.head("price").locator(".bin")).to_have_count(24)
    explorer.button("Next page").click()
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 50")
    assert explorer.tab.evaluate("window.shift") < 0.01
