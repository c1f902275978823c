"""Pictures for README.md: the page in a browser, and a few commands in a terminal. ``make screenshots`` runs it."""

import html
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import expect, sync_playwright

from engine.publishing.sample import write_sample
from tests.helpers.chromium import ARGUMENTS, CHROMIUM
from tests.helpers.server import KEY, Server

_PICTURES = Path(__file__).parents[1] / "pictures"
_LOOKED_AT = Path(".tailrace/pictures")
_WORKFLOW = "sample-products"
_FILTERS = quote(
    '&filter=["rating","GREATER_THAN","4"]&filter=["title","CONTAINS","ca"]&sort=listedOn&order=desc', safe="&="
)
_COLUMNS = "&columns=" + quote('["title","photo","price","rating","inStock","listedOn","tags","productUrl"]')
_COMMANDS = (
    ["runs"],
    ["export", _WORKFLOW, "--filter", "price.amount GREATER_THAN 400000", "--sort-by", "rating", "-o", "top.csv"],
    ["sql", f"SELECT inStock, count(*) AS products, avg(rating) AS rating FROM result('{_WORKFLOW}') GROUP BY ALL"],
)
_TERMINAL = """<!doctype html><meta charset=utf-8><style>
body { margin: 0; padding: 16px; background: #17191b; color: #e6e6e3; font: 13px/1.4 monospace; width: 1040px }
pre { margin: 0 0 12px; white-space: pre-wrap } b { color: #86b8ee }
</style>"""


def _page(browser: Any, server: Server) -> None:
    """The picture of the README: an export of filtered rows."""
    page = _open(browser, server, _FILTERS + _COLUMNS)
    page.get_by_role("button", name="Export", exact=True).click()
    page.locator("#export form button.primary").click()
    expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible()
    page.mouse.move(0, 0)
    page.screenshot(path=_PICTURES / "explorer.png")
    page.context.close()


def _states(browser: Any, server: Server) -> None:
    """Pictures to look at after a change of the page; they are not part of the repository."""
    shown = _FILTERS + _COLUMNS
    for name, fragment, options in (
        ("light", f"{shown}&row=10", {}),
        ("dark", f"{shown}&row=10", {"color_scheme": "dark"}),
        ("phone", shown, {"viewport": {"width": 390, "height": 844}, "has_touch": True}),
        ("wide", "", {"viewport": {"width": 2560, "height": 1300}}),
        ("changes", "&run=2026-11-08&tab=changes", {}),
        ("columns", "&tab=columns", {}),
        ("sql", f"{shown}&tab=sql", {}),
        ("offline", shown, {}),
        ("empty", shown + quote('&filter=["title","EQUALS","none"]', safe="&="), {}),
        ("error", shown + quote('&filter=["price.amount","GREATER_THAN","dear"]', safe="&="), {}),
    ):
        page = _open(browser, server, fragment, **options)
        if name == "sql":
            page.get_by_label("Statement", exact=True).fill("SELECT title, price, listedOn, tags FROM matching")
            page.get_by_role("button", name="Run", exact=True).click()
            expect(page.locator(".answer td").first).to_be_visible()
        if name == "offline":
            page.context.set_offline(True)
            expect(page.locator(".strip")).to_be_visible()
        page.screenshot(path=_LOOKED_AT / f"{name}.png")
        page.context.close()


def _open(browser: Any, server: Server, fragment: str, **options: Any) -> Any:
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, "color_scheme": "light", **options})
    page = context.new_page()
    run = "" if "run=" in fragment else "&run=2026-11-01"
    page.goto(f"{server.base}/#key={KEY}&workflow={_WORKFLOW}{run}{fragment}")
    expect(page.locator("#count, .blank").filter(has_text=re.compile("row|change|filter")).first).to_be_visible()
    page.wait_for_load_state("networkidle")
    return page


def _terminal(browser: Any, server: Server) -> None:
    shown = []
    for command in _COMMANDS:
        done = subprocess.run(
            [sys.executable, "-c", "from web.cli import main; main()", *command],
            env=server.environment, cwd=server.folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        typed = " ".join(f"'{word}'" if " " in word else word for word in command)
        said = html.escape((done.stdout + done.stderr)[:2400])
        shown.append(f"<pre><b>$ tailrace {html.escape(typed)}</b>\n{said}</pre>")
    page = browser.new_page(viewport={"width": 1072, "height": 400})
    page.set_content(_TERMINAL + "".join(shown))
    page.screenshot(path=_PICTURES / "command-line.png", full_page=True)


def _publish_later(server: Server, data: Path, schema: Path) -> None:
    """A week later: some prices are others, some products are gone, and some are new."""
    rows = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    for row in rows[::600]:
        row["price"]["amount"] += 500
    for row in rows[7::900]:
        row["inStock"] = not row["inStock"]
    new = [{**row, "sku": f"NEW-{row['sku']}"} for row in rows[:1200:3]]
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows[12:], *new]), "utf-8")
    server.publish(
        *("--workflow", _WORKFLOW, "--run", "2026-11-08", "--schema", str(schema), "--row-id", "sku", str(data))
    )


def main() -> None:
    """Make the pictures anew."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        folder = Path(name)
        with Server((str(folder / "store"), {}), folder) as server:
            data, schema = write_sample(folder / "sample")
            server.publish(
                *("--workflow", _WORKFLOW, "--run", "2026-11-01", "--name", "Sample products"),
                *("--schema", str(schema), "--row-id", "sku", str(data)),
            )
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            _page(browser, server)
            _publish_later(server, data, schema)
            _LOOKED_AT.mkdir(parents=True, exist_ok=True)
            _states(browser, server)
            _terminal(browser, server)
            browser.close()


if __name__ == "__main__":
    main()
