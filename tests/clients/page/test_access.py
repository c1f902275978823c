"""Keyboard, screen readers, reduced motion, and what axe-core finds."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.page.explorer import Explorer, expect

_AXE = Path(__file__).parents[2] / "axe/node_modules/axe-core/axe.min.js"
needs_axe = pytest.mark.skipif(not _AXE.exists(), reason="axe-core is missing: make azurite-install")


def _faults(tab: Any) -> list[str]:
    """What axe-core finds that is serious or critical."""
    # Beside the policy of the page, as an extension of the browser would.
    tab.evaluate(_AXE.read_text("utf-8"))
    found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        json.dumps([one["id"], [node["html"][:200] for node in one["nodes"][:3]]])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(explorer: Explorer, scheme: str) -> None:
    tab = explorer.tab
    tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    explorer.open()
    expect(tab.get_by_label("API key")).to_be_visible()
    faults = {"sign-in": _faults(tab)}
    explorer.sign_in("items", "i2")
    explorer.add_filter("price", "GREATER_THAN_OR_EQUAL", "0")
    explorer.sort("price")
    expect(explorer.head("price").locator(".bin").first).to_be_visible()
    explorer.cell(1, 0).click()
    faults["rows"] = _faults(tab)
    explorer.export()
    faults["export"] = _faults(tab)
    explorer.tab.keyboard.press("Escape")
    for name in ("workflow", "run", "choose-columns", "add-filter", "shortcuts"):
        tab.locator(f"#{name}").click()
        faults[name] = _faults(tab)
        tab.keyboard.press("Escape")
    for name, ready in (("Columns", ".cards .bin"), ("Changes", ".changes .different"), ("SQL", "textarea")):
        tab.get_by_role("tab", name=name).click()
        expect(tab.locator(ready).first).to_be_visible()
        faults[name] = _faults(tab)
    explorer.button("Run").click()
    expect(tab.locator(".answer td")).to_have_text("53")
    faults["result"] = _faults(tab)
    tab.get_by_role("tab", name="Rows").click()
    explorer.add_filter("name", "EQUALS", "none")
    expect(tab.locator(".blank")).to_be_visible()
    faults["blank"] = _faults(tab)
    assert {place: found for place, found in faults.items() if found} == {}


def test_the_grid_is_one_tab_stop_and_its_cells_are_reached_by_arrows(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    press = explorer.tab.keyboard.press
    assert explorer.tab.locator("#panel-rows [tabindex='0']").count() == 1
    explorer.button("Export").focus()
    press("Tab")
    expect(explorer.cell(0, 0)).to_be_focused()
    for key, cell in (
        ("ArrowDown", (1, 0)),
        ("End", (1, 5)),
        ("PageDown", (11, 5)),
        ("ArrowLeft", (11, 4)),
        ("Home", (11, 0)),
        ("PageUp", (1, 0)),
        ("ArrowRight", (1, 1)),
    ):
        press(key)
        expect(explorer.cell(*cell)).to_be_focused()
    press("Enter")
    expect(explorer.tab.get_by_label("Row details")).to_contain_text("Row 2")
    press("j")
    expect(explorer.tab.get_by_label("Row details")).to_contain_text("Row 3")
    press("Escape")
    press("s")
    expect(explorer.head("price")).to_have_attribute("aria-sort", "ascending")
    explorer.cell(1, 1).focus()
    press("f")
    explorer.counts("1 of 1,200 rows")
    assert explorer.chips == ["price is 0.25"]
    explorer.cell(0, 1).focus()
    press("ArrowUp")
    expect(explorer.head("price").locator("button.head")).to_be_focused()


def test_shortcuts_of_the_page_are_off_while_somebody_types(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    press, tab = explorer.tab.keyboard.press, explorer.tab
    press("/")
    expect(tab.get_by_role("dialog", name="Add a filter")).to_be_visible()
    expect(tab.get_by_label("Column", exact=True)).to_be_focused()
    press("Escape")
    expect(explorer.button("Filter")).to_be_focused()
    for key, name in (("w", "Workflows"), ("r", "Runs"), ("c", "Columns"), ("?", "Keyboard shortcuts")):
        press(key)
        expect(tab.get_by_role("dialog", name=name)).to_be_visible()
        press("Escape")
        expect(tab.get_by_role("dialog")).to_have_count(0)
    press("e")
    expect(explorer.panel).to_be_visible()
    press("Escape")
    expect(explorer.panel).to_be_hidden()
    expect(explorer.button("Export")).to_be_focused()
    press("4")
    expect(tab.get_by_role("tab", name="SQL")).to_have_attribute("aria-selected", "true")
    tab.get_by_label("Statement", exact=True).fill("")
    tab.keyboard.type("1/ewrc?")
    assert tab.get_by_label("Statement", exact=True).input_value() == "1/ewrc?"
    tab.get_by_role("tab", name="SQL").focus()
    press("ArrowRight")
    expect(tab.get_by_role("tab", name="Rows")).to_have_attribute("aria-selected", "true")
    expect(tab.get_by_role("tab", name="Rows")).to_be_focused()


def test_ctrl_c_copies_the_cell(explorer: Explorer) -> None:
    explorer.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.sign_in("shops")
    explorer.cell(2, 2).focus()
    explorer.tab.keyboard.press("Control+c")
    expect(explorer.tab.locator("#notices")).to_contain_text("Cell copied.")
    assert explorer.tab.evaluate("navigator.clipboard.readText()") == "9007199254740995"


def test_nothing_moves_with_reduced_motion(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.tab.emulate_media(reduced_motion="reduce")
    explorer.button("Export").click()
    assert explorer.panel.evaluate("one => getComputedStyle(one).animationName") == "none"
