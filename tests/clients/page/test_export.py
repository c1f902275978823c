"""The export panel: choices, progress, the file, snippets, and exports of an earlier request."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import polars as pl
import pytest

from tests.clients.page.conftest import SHOPS
from tests.clients.page.explorer import Explorer, expect
from tests.helpers.extensions import load_extension
from tests.helpers.running import wait_for
from tests.helpers.server import KEY, Server


def test_filtered_and_sorted_rows_are_exported_and_downloaded(explorer: Explorer, tmp_path: Path) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("city", "EQUALS", "Rome")
    explorer.counts("400 of 1,200 rows")
    explorer.add_filter("price", "GREATER_THAN", "100")
    wanted = [row for row in SHOPS if row["city"] == "Rome" and row["price"] > 100]
    explorer.counts(f"{len(wanted)} of 1,200 rows")
    explorer.sort("price")
    expect(explorer.cell(0, 1)).to_have_text(str(wanted[0]["price"]))
    explorer.button("Export").click()
    explorer.choose("JSON")
    url = explorer.export()
    expect(explorer.panel.locator(".facts")).to_contain_text(f"{len(wanted)} rows")
    with explorer.tab.expect_download() as started:
        explorer.panel.get_by_role("link", name="Download").click()
    started.value.save_as(tmp_path / "file")
    assert started.value.suggested_filename == "shops-r1-filtered.json"
    assert json.loads((tmp_path / "file").read_bytes()) == wanted
    assert explorer.server.request(url).body == (tmp_path / "file").read_bytes()


def test_an_export_keeps_the_digits_of_its_filters(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("big", "EQUALS", str(SHOPS[2]["big"]))
    explorer.counts("1 of 1,200 rows")
    lines = explorer.server.request(explorer.export()).body.splitlines()
    assert len(lines) == 2
    assert lines[1].split(b",")[2] == str(SHOPS[2]["big"]).encode()


def test_an_export_keeps_the_signs_of_its_filters(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("name", "NOT_CONTAINS", "$&$'\\\"")
    explorer.counts("1,200 rows")
    assert len(explorer.server.request(explorer.export()).body.splitlines()) == 1201


def test_the_file_has_the_columns_of_the_grid_or_all(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("city", "EQUALS", "Oslo")
    explorer.tab.locator("#choose-columns").click()
    for name in ("name", "price", "big", "open", "home"):
        explorer.tab.get_by_role("checkbox", name=name).uncheck()
    explorer.tab.keyboard.press("Escape")
    explorer.button("Export").click()
    explorer.choose("JSONL")
    explorer.choose("gzip")
    for choice, names in (("1 shown", ["city"]), ("All 6", list(SHOPS[0]))):
        explorer.choose(choice)
        if explorer.panel.locator(".stale").is_visible():
            explorer.panel.get_by_role("button", name="Export again").click()
            expect(explorer.panel.locator(".stale")).to_have_count(0)
            url = explorer.panel.get_by_role("link", name="Download", exact=True).get_attribute("href")
        else:
            url = explorer.export()
        assert urlsplit(url).path.endswith("/shops-r1-filtered.jsonl.gz")
        rows = [json.loads(line) for line in gzip.decompress(explorer.server.request(str(url)).body).splitlines()]
        assert (len(rows), list(rows[0])) == (400, names)


def test_choices_that_a_format_does_not_have_are_not_shown(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.button("Export").click()
    expect(explorer.panel.get_by_role("radio", name="gzip")).to_have_count(1)
    explorer.panel.locator("summary").click()
    expect(explorer.panel.get_by_label("Delimiter")).to_be_visible()
    explorer.choose("Parquet")
    expect(explorer.panel.get_by_role("radio", name="gzip")).to_have_count(0)
    expect(explorer.panel.get_by_label("Delimiter")).to_have_count(0)
    expect(explorer.panel.get_by_label("Row ids")).to_be_visible()


def test_rows_that_do_not_fit_a_sheet_are_named_before_the_export_starts(explorer: Explorer) -> None:
    def grow(route: Any) -> None:
        body = route.fetch().json()
        body["pagination"]["totalCount"] = 2_000_000
        route.fulfill(json=body)

    explorer.tab.route("**/data", grow)
    explorer.sign_in("goods")
    explorer.counts("2,000,000 of 3 rows")
    explorer.button("Export").click()
    explorer.choose("XLSX")
    expect(explorer.panel).to_contain_text("XLSX has room for 1,048,575 rows.")
    start = explorer.panel.get_by_role("button", name="Export 2,000,000 rows")
    expect(start).to_be_disabled()
    explorer.choose("CSV")
    expect(start).to_be_enabled()


_SIZES = [
    ("CSV", None),
    ("CSV", "gzip"),
    ("CSV", "zstd"),
    ("JSON", None),
    ("JSONL", "gzip"),
    ("XLSX", None),
    ("Parquet", None),
]


def test_the_size_is_estimated_before_the_export(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.add_filter("price", "GREATER_THAN_OR_EQUAL", "50")
    explorer.counts("1,000 of 1,200 rows")
    explorer.button("Export").click()
    size = explorer.panel.locator(".estimate span").last
    for format_name, compression in _SIZES:
        explorer.choose(format_name)
        if compression or format_name in ("CSV", "JSON", "JSONL"):
            explorer.choose(compression or "None")
        expect(size).to_have_text(re.compile("1,000 rows, (at most )?about [0-9.]+ (k|M)B"))
        expect(explorer.panel.locator(".estimate [aria-busy]")).to_have_count(0)
        words = size.inner_text().split()
        estimated = float(words[-2]) * {"kB": 1e3, "MB": 1e6}[words[-1]]
        again = explorer.panel.get_by_role("button", name="Export again")
        if again.count():
            again.click()
            expect(again).to_have_count(0)
            url = explorer.panel.get_by_role("link", name="Download", exact=True).get_attribute("href")
        else:
            url = explorer.export()
        actual = len(explorer.server.request(str(url)).body)
        if format_name == "Parquet":
            assert actual <= 1.1 * estimated
        else:
            assert 0.65 * actual < estimated < 1.5 * actual, (format_name, compression, estimated, actual)


@pytest.mark.parametrize("leave", ["another page", "signing out", "lost connection"])
def test_a_deletion_goes_on_when_the_page_is_left(explorer: Explorer, leave: str) -> None:
    explorer.tab.clock.install()
    explorer.sign_in("wares", "w2")
    explorer.add_filter("product", "EQUALS", f"p{len(leave)}")
    explorer.counts("1 of 50 rows")
    url = explorer.export()
    entry = explorer.panel.locator(".recent li", has_text=f"product is p{len(leave)}")
    entry.get_by_role("button", name="Delete").click()
    expect(entry).to_be_hidden()
    assert explorer.server.request(url).status == 200
    if leave == "another page":
        explorer.tab.goto("about:blank")
    elif leave == "signing out":
        explorer.button("Sign out").click()
        expect(explorer.tab.get_by_label("API key")).to_be_visible()
        assert explorer.tab.evaluate("sessionStorage.length") == 0
    else:
        explorer.tab.context.set_offline(True)
        explorer.tab.clock.fast_forward(7_000)
        expect(explorer.tab.locator("#notices")).to_contain_text("as soon as this page is opened again")
        assert explorer.server.request(url).status == 200
        explorer.tab.context.set_offline(False)
        explorer.tab.reload()
    wait_for(lambda: explorer.server.request(url).status == 404)


def test_the_link_and_the_file_have_the_chosen_options(explorer: Explorer) -> None:
    explorer.sign_in("goods")
    explorer.counts("3 rows")
    explorer.button("Export").click()
    explorer.panel.locator("summary").click()
    explorer.panel.get_by_label("Delimiter").select_option("semicolon")
    explorer.panel.get_by_label("Link valid for").select_option("1 hour")
    for name in ("Byte order mark", "Row ids", "Objects as columns"):
        explorer.panel.get_by_label(name).check()
    url = explorer.export()
    expect(explorer.panel.locator(".facts")).to_contain_text("59 min left")
    head = explorer.server.request(url).body.splitlines()[0]
    assert head.startswith(b"\xef\xbb\xbf")
    assert b'"_row_id";"sku"' in head.replace(b"_row_id;", b'"_row_id";')
    assert b"price.amount" in head


_FILES = [
    ("CSV", "None", "csv"),
    ("CSV", "gzip", "csv.gz"),
    ("JSON", "gzip", "json.gz"),
    ("JSONL", "zstd", "jsonl.zst"),
    ("XLSX", None, "xlsx"),
    ("Parquet", None, "parquet"),
]


@pytest.mark.parametrize(("format_name", "compression", "extension"), _FILES)
def test_the_snippets_and_the_link_open_the_file(
    explorer: Explorer,
    httpfs: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    format_name: str,
    compression: str | None,
    extension: str,
) -> None:
    explorer.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    explorer.button("Export").click()
    explorer.choose(format_name)
    if compression:
        explorer.choose(compression)
    url = explorer.export()

    def copied(button: Any, what: str) -> str:
        button.click()
        expect(explorer.tab.locator("#notices")).to_contain_text(f"{what} copied.")
        return str(explorer.tab.evaluate("navigator.clipboard.readText()"))

    assert copied(explorer.panel.get_by_role("button", name="Copy link", exact=True), "Link") == url
    snippets = {}
    for tool in ("curl", "pandas", "Polars", "DuckDB", "R", "Power Query"):
        explorer.panel.get_by_role("tab", name=tool, exact=True).click()
        snippets[tool] = copied(explorer.panel.get_by_role("button", name="Copy snippet"), "Snippet")
        assert url in snippets[tool]
        assert "sig=" not in explorer.panel.locator("#snippet").inner_text()
    subprocess.run(snippets["curl"], shell=True, cwd=tmp_path, check=True)
    assert (tmp_path / f"shops-r1.{extension}").read_bytes() == explorer.server.request(url).body
    # For zstd, pandas needs a package that is not installed here, and its snippet says so; Polars needs one for sheets.
    assert ("needs the package zstandard" in snippets["pandas"]) == (compression == "zstd")
    tools = [
        tool
        for tool in ("pandas", "Polars")
        if (tool, compression) != ("pandas", "zstd") and (tool, format_name) != ("Polars", "XLSX")
    ]
    script = "\n".join(f"{snippets[tool]}\nprint(len(frame))" for tool in tools)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1200\n" * len(tools)
    install, query = snippets["DuckDB"].split("\n")
    # Loaded from their packages, since installing them needs the internet.
    assert install == "INSTALL httpfs; LOAD httpfs;" + (" INSTALL excel; LOAD excel;" if format_name == "XLSX" else "")
    load_extension(httpfs, "excel")
    assert len(httpfs.execute(query).fetchall()) == 1200


def test_a_file_without_a_hash_shows_its_checksum(explorer: Explorer) -> None:
    """As a large file of a cluster has it."""

    def change(route: Any) -> None:
        answer = route.fetch()
        body = answer.json()
        if body.pop("sha256", None):
            body["crc64nvme"] = "rosUhgp5mIg="
        route.fulfill(response=answer, json=body)

    explorer.sign_in("shops")
    explorer.tab.route(re.compile(r"/data/export(\?|$|s/[^/]+/status)"), change)
    explorer.add_filter("city", "EQUALS", "Rome")
    explorer.export()
    expect(explorer.panel.get_by_title("Copy crc64nvme")).to_have_text("rosUhgp5mIg=")
    expect(explorer.panel.get_by_title("Copy sha256")).to_have_count(0)


def test_a_finished_export_is_marked_once_the_request_differs(explorer: Explorer) -> None:
    explorer.sign_in("wares", "w1")
    explorer.add_filter("product", "EQUALS", "p7")
    explorer.counts("1 of 60 rows")
    explorer.export()
    stale, download = explorer.panel.locator(".stale"), explorer.panel.get_by_role("link", name="Download", exact=True)

    def change_and_undo(change: Any, undo: Any) -> None:
        change()
        expect(stale).to_contain_text("Of an earlier request: wares, run w1, product is p7, as CSV.")
        expect(explorer.panel.get_by_role("link", name="Download the earlier file")).to_be_visible()
        undo()
        expect(stale).to_have_count(0)
        expect(download).to_be_visible()
        explorer.counts("1 of 60 rows")

    back = explorer.tab.go_back
    change_and_undo(lambda: explorer.button("Remove filter: product is p7").click(), back)
    change_and_undo(lambda: explorer.sort("price"), back)
    change_and_undo(lambda: explorer.choose_run("w2"), back)
    change_and_undo(lambda: explorer.choose_workflow("Shops"), back)
    change_and_undo(lambda: explorer.choose("JSON"), lambda: explorer.choose("CSV"))
    columns = explorer.tab.locator("#choose-columns")

    def hide_tags() -> None:
        columns.click()
        explorer.tab.get_by_role("checkbox", name="tags").uncheck()
        explorer.tab.keyboard.press("Escape")

    change_and_undo(hide_tags, back)

    explorer.button("Edit filter: product is p7").click()
    explorer.tab.get_by_label("Value", exact=True).fill("p8")
    explorer.button("Apply").click()
    explorer.panel.get_by_role("button", name="Export again").click()
    expect(download).to_be_visible()
    expect(stale).to_have_count(0)
    body = explorer.server.request(str(download.get_attribute("href"))).body
    assert body.splitlines()[1].startswith(b"p8,")


def test_an_export_that_finishes_after_a_change_is_marked(explorer: Explorer) -> None:
    explorer.sign_in("shops")
    explorer.counts("1,200 rows")
    held: list[Any] = []
    explorer.tab.route("**/data/export", lambda route: held.append(route))
    with explorer.tab.expect_request("**/data/export"):
        explorer.start_export()
    explorer.add_filter("city", "EQUALS", "Oslo")
    explorer.counts("400 of 1,200 rows")
    held[0].continue_()
    expect(explorer.panel.locator(".stale")).to_contain_text("Of an earlier request: shops, run r1, all rows, as CSV.")


def test_a_queued_export_shows_its_position_and_can_be_cancelled(browser: Any, tmp_path: Path) -> None:
    settings = {"TAILRACE_MAX_CONCURRENT_EXPORTS": "1", "TAILRACE_THREADS": "1"}
    with Server((str(tmp_path / "store"), {}), tmp_path, **settings) as server, browser.new_context() as context:
        frame = pl.select(n=pl.int_range(1_000_000)).with_columns(word=(pl.col("n") * 7919 % 1_000_003).cast(pl.String))
        frame.write_parquet(tmp_path / "large.parquet")
        server.publish("--workflow", "large", "--run", "r1", str(tmp_path / "large.parquet"))
        # Six other exports occupy the queue first.
        headers = {"x-api-key": KEY, "prefer": "respond-async"}
        for number in range(6):
            body = {"sortBy": "word", "filters": [{"field": "n", "operator": "NOT_EQUALS", "value": number}]}
            path = "/v4/workflows/large/data/export"
            assert server.request(path, "POST", headers, json.dumps(body).encode()).status == 202
        explorer = Explorer(context.new_page(), server)
        explorer.sign_in("large")
        explorer.counts("1,000,000 rows")
        explorer.start_export()
        expect(explorer.panel).to_contain_text("Waiting, position")
        expect(explorer.panel.get_by_role("progressbar")).to_be_visible()
        explorer.panel.get_by_role("button", name="Cancel").click()
        expect(explorer.panel.get_by_role("alert")).to_contain_text("cancelled")
        expect(explorer.panel.get_by_role("progressbar")).to_have_count(0)
        expect(explorer.panel.get_by_role("link", name="Download")).to_have_count(0)


def test_recent_exports_can_be_copied_downloaded_deleted_and_restored(explorer: Explorer) -> None:
    explorer.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.tab.clock.install()
    explorer.sign_in("wares", "w2")
    explorer.add_filter("product", "STARTS_WITH", "p4")
    explorer.counts("11 of 50 rows")
    url = explorer.export()
    words = "product starts with p4"
    entry = explorer.panel.locator(".recent li", has_text=words)
    expect(entry).to_contain_text("11 rows")
    expect(entry).to_contain_text("just now")
    expect(entry).to_contain_text("left")
    entry.get_by_role("button", name=f"Copy link of {words}").click()
    expect(explorer.tab.locator("#notices")).to_contain_text("Link copied.")
    copied = explorer.tab.evaluate("navigator.clipboard.readText()")
    assert urlsplit(copied).path == urlsplit(url).path
    with explorer.tab.expect_download() as started:
        entry.get_by_role("button", name=f"Download {words}").click()
    assert started.value.suggested_filename == "wares-w2-filtered.csv"
    entry.get_by_role("button", name=f"Delete {words}").click()
    expect(entry).to_be_hidden()
    explorer.button("Undo").click()
    expect(entry).to_be_visible()
    assert explorer.server.request(url).status == 200
    entry.get_by_role("button", name=f"Delete {words}").click()
    with explorer.tab.expect_response(lambda answer: answer.request.method == "DELETE"):
        explorer.tab.clock.fast_forward(7_000)
    expect(explorer.panel.locator(".recent li", has_text=words)).to_have_count(0)
    assert explorer.server.request(url).status == 404
