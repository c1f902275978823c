"""The changes tab: two runs, the rows that differ, and an export of them."""

import json
from urllib.parse import urlsplit

from tests.clients.page.explorer import Explorer, expect


def test_the_bar_shows_what_changed_and_opens_it(explorer: Explorer) -> None:
    explorer.sign_in("items")
    badge = explorer.tab.locator("#delta")
    expect(badge).to_have_text("+15~3\u22122")
    assert badge.get_attribute("aria-label") == "Changes since i1: 15 added, 3 changed, 2 removed"
    expect(explorer.tab.get_by_role("tab", name="Changes")).to_have_text("Changes20")
    explorer.add_filter("name", "CONTAINS", "1")
    badge.click()
    explorer.counts("20 changes")
    assert explorer.chips == []
    explorer.tab.reload()
    explorer.counts("20 changes")
    explorer.choose_run("i1")
    expect(badge).to_be_hidden()
    expect(explorer.tab.locator(".blank")).to_contain_text("No older run")


def test_changed_cells_are_marked_with_what_they_were(explorer: Explorer) -> None:
    explorer.sign_in("items")
    explorer.counts("53 rows")
    explorer.tab.get_by_role("tab", name="Changes").click()
    rows = explorer.tab.locator("tr.changed-row")
    expect(rows).to_have_count(3)
    assert explorer.tab.locator("tr.changed-row .id").all_inner_texts() == ["n5", "n30", "n39"]
    assert [text.split("→") for text in explorer.tab.locator(".different").all_inner_texts()] == [
        ["2.5", "3.5"],
        ["15", "16"],
        [str(2**60 + 39), str(2**60)],
    ]
    assert explorer.tab.locator("tr.removed-row .id").all_inner_texts() == ["n0", "n1"]
    expect(explorer.tab.locator("tr.removed-row").first).to_contain_text("<i>0</i>")
    expect(explorer.tab.locator("tr.added-row")).to_have_count(10)
    explorer.button("Show all 15").click()
    expect(explorer.tab.locator("tr.added-row")).to_have_count(15)
    expect(rows).to_have_count(0)


def test_columns_that_changed_narrow_the_list(explorer: Explorer) -> None:
    explorer.sign_in("items")
    explorer.tab.get_by_role("tab", name="Changes").click()
    explorer.counts("20 changes")
    columns = explorer.tab.get_by_role("group", name="Changed in").get_by_role("button")
    expect(columns).to_have_text(["price2", "big1"])
    ids = explorer.tab.locator("tr.change .id")
    columns.first.click()
    explorer.counts("2 changes")
    expect(ids).to_have_text(["n5", "n30"])
    expect(columns).to_have_text(["price2", "big1"])
    expect(columns.first).to_have_attribute("aria-pressed", "true")
    expect(columns.first).to_be_focused()
    expect(explorer.tab.locator(".comparison label", has_text="Added 15")).to_be_visible()
    rows = explorer.server.request(explorer.export()).body.splitlines()[1:]
    assert [row.split(b",")[:2] for row in rows] == [[b"changed", b"n5"], [b"changed", b"n30"]]
    columns.last.press("Enter")
    expect(explorer.panel.locator(".stale")).to_contain_text("items, run i2, price changed since i1")
    explorer.tab.reload()
    expect(ids).to_have_text(["n39"])
    columns.last.click()
    explorer.counts("20 changes")
    # Publishing counts whole runs, so with filters there are no numbers.
    explorer.add_filter("price", "LESS_THAN", "10")
    explorer.counts("18 changes")
    expect(columns).to_have_text(["price"])


def test_changes_are_exported_with_their_kind_and_filters(explorer: Explorer) -> None:
    explorer.sign_in("items")
    explorer.tab.get_by_role("tab", name="Changes").click()
    explorer.counts("20 changes")
    explorer.button("Export").click()
    explorer.choose("JSONL")
    url = explorer.export()
    assert urlsplit(url).path.endswith("-changes.jsonl")
    rows = [json.loads(line) for line in explorer.server.request(url).body.splitlines()]
    assert [row["_change"] for row in rows] == ["changed"] * 3 + ["added"] * 15 + ["removed"] * 2
    explorer.tab.locator(".comparison label", has_text="Changed 3").click()
    expect(explorer.panel.locator(".stale")).to_contain_text("items, run i2, changes since i1")
    explorer.add_filter("price", "GREATER_THAN", "10")
    explorer.counts("2 changes")
    explorer.panel.get_by_role("button", name="Export again").click()
    expect(explorer.panel.locator(".stale")).to_have_count(0)
    link = explorer.panel.get_by_role("link", name="Download", exact=True)
    rows = [json.loads(line) for line in explorer.server.request(str(link.get_attribute("href"))).body.splitlines()]
    assert [(row["_change"], row["id"]) for row in rows] == [("changed", "n30"), ("changed", "n39")]


def test_runs_without_row_ids_say_why_they_cannot_be_compared(explorer: Explorer) -> None:
    explorer.sign_in("wares", "w2")
    explorer.counts("50 rows")
    explorer.tab.get_by_role("tab", name="Changes").click()
    blank = explorer.tab.locator(".blank")
    expect(blank).to_contain_text("These runs cannot be compared")
    expect(blank).to_contain_text("The run w1 was published without a row-id field")


def test_the_detail_of_a_row_says_what_it_was(explorer: Explorer) -> None:
    explorer.sign_in("items")
    expect(explorer.tab.locator("#delta")).to_be_visible()
    explorer.sort("id")
    explorer.sort("id")
    expect(explorer.cell(0, 0)).to_have_text("n9")
    detail = explorer.tab.get_by_label("Row details")
    explorer.cell(0, 0).click()
    expect(detail).to_contain_text("Not changed since i1.")
    explorer.cell(4, 0).click()
    expect(detail).to_contain_text("Changed since i1: price.")
    expect(detail.locator(".was")).to_have_text("was 2.5")
    explorer.tab.get_by_label("Page size").select_option("100")
    explorer.cell(52, 0).click()
    expect(detail).to_contain_text("New since i1.")
    assert detail.locator(".was").count() == 0
