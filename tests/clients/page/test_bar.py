"""The bar: workflows, runs, the link to the view, the theme; and the view in the address."""

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.clients.page.explorer import Explorer, expect


def test_a_workflow_is_searched_for_and_chosen(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    expect(explorer.tab.locator("#workflow")).to_contain_text("Shops1,200 rows · ")
    explorer.tab.locator("#workflow").click()
    explorer.tab.keyboard.type("WAR")
    expect(explorer.tab.locator("#popover").get_by_role("option")).to_have_count(1)
    explorer.tab.keyboard.press("Enter")
    explorer.counts("1 row")
    expect(explorer.tab.locator("#workflow")).to_be_focused()
    assert explorer.tab.title() == "wares · w3 · Tailrace"


def test_runs_show_their_state_and_a_failed_one_cannot_be_chosen(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    expect(explorer.tab.locator("#run")).to_contain_text("r1Finished")
    explorer.tab.locator("#run").click()
    failed = explorer.tab.get_by_role("option", name="r2")
    expect(failed).to_contain_text("Failed")
    assert failed.get_attribute("aria-disabled") == "true"
    failed.click(force=True)
    expect(failed).to_be_visible()
    expect(explorer.tab.get_by_role("option", name="r1")).to_contain_text("1,200 rowslatest")


def test_another_run_keeps_what_fits_its_columns(explorer: Explorer) -> None:
    explorer.sign_in("wares", "w1")
    explorer.add_filter("product", "EQUALS", "p7")
    explorer.counts("1 of 60 rows")
    explorer.sort("price")
    explorer.choose_run("w2")
    explorer.counts("1 of 50 rows")
    assert explorer.chips == ["product is p7"]
    expect(explorer.head("price")).to_have_attribute("aria-sort", "ascending")
    explorer.choose_run("w3")
    explorer.counts("1 row")
    assert explorer.chips == []
    assert [name for name, _ in explorer.fragment] == ["workflow", "run"]


def test_reload_back_and_a_copied_link_bring_the_same_view(explorer: Explorer, browser: Any) -> None:
    explorer.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.sign_in("shops", "r1")
    explorer.add_filter("city", "EQUALS", "Rome")
    explorer.counts("400 of 1,200 rows")
    explorer.add_filter("big", "GREATER_THAN", "9007199254740999")
    explorer.counts("397 of 1,200 rows")
    explorer.sort("price")
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 9")
    explorer.sort("price")
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 1197")
    explorer.button("Next page").click()
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 1047")
    explorer.button("Copy link to view").click()
    expect(explorer.tab.locator("#notices")).to_contain_text("Link to this view copied.")
    link = explorer.tab.evaluate("navigator.clipboard.readText()")
    assert link == explorer.tab.url

    def shows_the_view(other: Explorer) -> None:
        expect(other.cell(0, 0)).to_have_text("<b>name</b> 1047")
        assert other.chips == ["city is Rome", "big greater than 9007199254740999"]
        expect(other.head("price")).to_have_attribute("aria-sort", "descending")
        expect(other.tab.get_by_role("textbox", name="Page,")).to_have_value("2")

    explorer.tab.reload()
    shows_the_view(explorer)
    with browser.new_context() as context:
        other = Explorer(context.new_page(), explorer.server)
        other.tab.goto(link)
        other.type_key()
        shows_the_view(other)
    for _ in range(3):
        explorer.tab.go_back()
    expect(explorer.cell(0, 0)).to_have_text("<b>name</b> 9")
    explorer.tab.go_back()
    explorer.counts("400 of 1,200 rows")
    assert explorer.chips == ["city is Rome"]
    explorer.tab.go_forward()
    explorer.counts("397 of 1,200 rows")


def test_filter_values_and_row_ids_are_in_no_address_that_the_page_asks_for(explorer: Explorer) -> None:
    asked: list[str] = []
    explorer.tab.on("request", lambda sent: asked.append(unquote(urlsplit(sent.url)._replace(fragment="").geturl())))
    explorer.sign_in("items")
    explorer.counts("53 rows")
    explorer.fill_filter("name", "CONTAINS", "<i>3")
    expect(explorer.tab.locator("datalist option").first).to_be_attached()
    explorer.button("Apply").click()
    explorer.counts("11 of 53 rows")
    explorer.fill_filter("id", "CONTAINS", "n3")
    explorer.button("Apply").click()
    explorer.tab.reload()
    explorer.counts("11 of 53 rows")
    expect(explorer.head("price").locator(".bin").first).to_be_visible()
    explorer.cell(0, 0).click()
    expect(explorer.tab.get_by_label("Row details")).to_contain_text("since i1")
    explorer.export()
    explorer.tab.keyboard.press("Escape")
    for tab, shown in (("Columns", ".cards .bin"), ("Changes", "tr.changed-row"), ("SQL", "textarea")):
        explorer.tab.get_by_role("tab", name=tab).click()
        expect(explorer.tab.locator(shown).first).to_be_visible()
    explorer.tab.get_by_role("tab", name="Rows").click()
    explorer.add_filter("name", "EQUALS", "none")
    expect(explorer.tab.locator(".blank")).to_contain_text("leaves none")
    assert len(asked) > 30
    assert [url for url in asked if "<i>" in url or "n3" in url or "none" in url] == []


def test_the_theme_follows_the_system_until_one_is_chosen(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(17, 22, 26)"
    explorer.tab.emulate_media(color_scheme="dark")
    assert explorer.tab.evaluate(background) == dark
    theme = explorer.tab.locator("#theme")
    for name, colour in (("light", light), ("dark", dark), ("system", dark)):
        theme.click()
        assert theme.get_attribute("aria-label") == f"Theme: {name}"
        assert explorer.tab.evaluate(background) == colour
    explorer.tab.emulate_media(color_scheme="light")
    assert explorer.tab.evaluate(background) == light


@pytest.mark.parametrize(
    ("fragment", "kept"),
    [
        ("#workflow=shops&filter=[1]&page=-3&size=7", ["workflow", "run"]),
        ("#workflow=shops&page=900", ["workflow", "run", "page"]),
    ],
)
def test_an_address_that_somebody_changed_shows_what_it_can(explorer: Explorer, fragment: str, kept: list[str]) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.open(fragment)
    explorer.counts("1,200 rows")
    assert [name for name, _ in explorer.fragment] == kept


def test_a_first_view_asks_for_each_thing_once(explorer: Explorer) -> None:
    asked: list[str] = []
    explorer.tab.on("request", lambda sent: asked.append(urlsplit(sent.url).path) if "/v4/" in sent.url else None)
    explorer.sign_in("wares")
    explorer.counts("1 row")
    assert [path for path in asked if not path.endswith("/column")] == [
        "/v4/workflows",
        "/v4/workflows/wares/data",
        "/v4/workflows/wares",
    ]
