"""The toolbar: filters with inputs by type, the number of rows, and the choice of columns."""

import re

import pytest

from tests.clients.page.conftest import SHOPS
from tests.clients.page.explorer import Explorer, expect


def test_a_filter_is_a_chip_that_can_be_edited_and_removed(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("price", "GREATER_THAN", "299")
    explorer.counts("3 of 1,200 rows")
    assert explorer.chips == ["price greater than 299"]
    explorer.button("Edit filter: price greater than 299").click()
    explorer.tab.get_by_label("Value", exact=True).fill("298")
    explorer.tab.keyboard.press("Enter")
    explorer.counts("7 of 1,200 rows")
    explorer.button("Remove filter: price greater than 298").click()
    explorer.counts("1,200 rows")
    assert explorer.chips == []


def test_a_filter_offers_the_conditions_and_the_input_of_its_column(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.fill_filter("name", "CONTAINS")
    form = explorer.tab.locator("form.filter")

    def conditions(field: str) -> set[str]:
        form.get_by_label("Column", exact=True).select_option(field)
        options = form.get_by_label("Condition", exact=True).locator("option")
        return set(options.evaluate_all("options => options.map(one => one.value)"))

    assert "CONTAINS" in conditions("name")
    assert "GREATER_THAN" in conditions("price")
    assert "CONTAINS" not in conditions("price")
    assert form.get_by_label("Value", exact=True).get_attribute("inputmode") == "decimal"
    assert conditions("home") == {"IS_NULL", "IS_NOT_NULL"}
    assert form.locator("input").count() == 0
    assert "STARTS_WITH" in conditions("home.zip")
    conditions("open")
    form.get_by_label("Value", exact=True).select_option("false")
    explorer.button("Apply").click()
    explorer.counts("600 of 1,200 rows")


def test_dates_have_pickers(explorer: Explorer) -> None:
    explorer.sign_in("goods")
    explorer.fill_filter("listedOn", "AFTER")
    picker = explorer.tab.get_by_label("Date", exact=True)
    assert picker.get_attribute("type") == "date"
    explorer.button("Apply").click()
    expect(explorer.tab.get_by_role("alert")).to_have_text("Choose a date.")
    picker.fill("2026-10-28")
    explorer.button("Apply").click()
    explorer.counts("1 of 3 rows")
    assert explorer.chips == ["listedOn after 2026-10-28"]
    explorer.fill_filter("seenAt", "GREATER_THAN_OR_EQUAL")
    moment = explorer.tab.get_by_label("Date and time, UTC")
    assert moment.get_attribute("type") == "datetime-local"
    moment.fill("2026-11-01T06:41:17")
    explorer.button("Apply").click()
    expect(explorer.tab.locator(".chip").nth(1)).to_have_text("seenAt at or after 2026-11-01T06:41:17Z")
    explorer.counts("1 of 3 rows")


def test_a_filter_on_a_number_needs_a_number(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.fill_filter("price", "GREATER_THAN", "cheap")
    explorer.button("Apply").click()
    expect(explorer.tab.get_by_role("alert")).to_contain_text("Give a number")
    explorer.tab.get_by_label("Value", exact=True).fill("299")
    explorer.button("Apply").click()
    explorer.counts("3 of 1,200 rows")


def test_text_suggests_the_values_of_the_column(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.fill_filter("city", "EQUALS")
    options = explorer.tab.locator("datalist option")
    expect(options).to_have_count(2)
    assert options.evaluate_all("options => options.map(one => one.value)") == ["Oslo", "Rome"]


def test_a_list_of_values_may_have_commas(explorer: Explorer) -> None:
    explorer.sign_in("goods")
    explorer.fill_filter("tags", "IN")
    values = explorer.tab.get_by_label("Values", exact=True).first
    for value in ("outdoor, large", "none"):
        values.fill(value)
        values.press("Enter")
    assert explorer.tab.locator(".tags li").all_inner_texts() == ["outdoor, large", "none"]
    explorer.button("Remove none").click()
    explorer.button("Apply").click()
    explorer.counts("1 of 3 rows")
    assert explorer.chips == ["tags is one of outdoor, large"]


def test_a_filter_that_the_service_refuses_says_so_without_its_place_in_the_request(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.open('#workflow=shops&filter=["city","EQUALS","Oslo"]&filter=["price","GREATER_THAN","cheap"]')
    blank = explorer.tab.locator(".blank")
    expect(blank).to_contain_text("A filter does not fit its column")
    text = explorer.tab.locator("body").inner_text()
    assert not re.search(r"filters\[|[a-z]_[a-z]+_id|x-api-key", text)
    expect(explorer.tab.locator(".chip.wrong")).to_have_count(1)
    blank.get_by_role("button", name="Edit the filter").click()
    explorer.tab.get_by_label("Value", exact=True).fill("299")
    explorer.button("Apply").click()
    explorer.counts("1 of 1,200 rows")
    expect(blank).to_have_count(0)


def test_columns_are_hidden_moved_and_found(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.tab.locator("#choose-columns").click()
    menu = explorer.tab.locator("#popover")
    menu.get_by_role("checkbox", name="big").uncheck()
    menu.get_by_role("checkbox", name="home").uncheck()
    expect(explorer.tab.locator("#choose-columns")).to_have_text("4 of 6 columns")
    assert explorer.heads == ["name", "price", "city", "open"]
    menu.get_by_role("button", name="Move city up").click()
    assert explorer.heads == ["name", "city", "price", "open"]
    menu.get_by_role("checkbox", name="open").press("Alt+ArrowUp")
    assert explorer.heads == ["name", "city", "open", "price"]
    menu.get_by_label("Find a column").fill("PRI")
    expect(menu.get_by_role("checkbox")).to_have_count(1)
    explorer.tab.reload()
    explorer.counts("1,200 rows")
    assert explorer.heads == ["name", "city", "open", "price"]
    explorer.tab.locator("#choose-columns").click()
    menu.get_by_role("button", name="Show all").click()
    assert explorer.heads == list(SHOPS[0])


@pytest.mark.parametrize("width", [360, 390, 768, 1100])
def test_export_is_reachable_without_scrolling_at_any_width(explorer: Explorer, width: int) -> None:
    explorer.tab.set_viewport_size({"width": width, "height": 740})
    explorer.sign_in("shops")
    explorer.add_filter("city", "EQUALS", "Rome")
    explorer.counts("400 of 1,200 rows")
    assert explorer.tab.evaluate("document.documentElement.scrollWidth") <= width
    button = explorer.button("Export")
    box = button.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= 740
    button.click()
    expect(explorer.panel).to_be_visible()
