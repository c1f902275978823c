"""Pictures for README.md: the page in a browser, and a few commands in a terminal. ``make screenshots`` runs it."""

import html
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

from engine.publishing.sample import write_sample
from tests.helpers.chromium import ARGUMENTS, CHROMIUM
from tests.helpers.server import KEY, Server

_PICTURES = Path(__file__).parents[1] / "pictures"
_WORKFLOW = "sample-products"
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
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
    filters = '&filter=["rating","GREATER_THAN","4"]&filter=["title","CONTAINS","ca"]&sort=listedOn&order=desc'
    columns = '&columns=["title","photo","price","rating","inStock","listedOn","tags","productUrl"]'
    page.goto(f"{server.base}/#key={KEY}&workflow={_WORKFLOW}{filters}{columns}")
    expect(page.locator("#count")).to_contain_text("of 50,000 rows")
    expect(page.locator(".plot:empty")).to_have_count(0)
    page.get_by_role("button", name="Export", exact=True).click()
    page.locator("#export form button.primary").click()
    expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible()
    page.mouse.move(0, 0)
    page.screenshot(path=_PICTURES / "explorer.png")


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
            _terminal(browser, server)
            browser.close()


if __name__ == "__main__":
    main()
