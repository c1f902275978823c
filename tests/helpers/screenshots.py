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
    page = browser.new_page(viewport={"width": 1100, "height": 2300})
    page.goto(server.base)
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Add a filter").click()
    page.get_by_label("Column of filter 1", exact=True).select_option("price.amount")
    page.get_by_label("Operator of filter 1", exact=True).select_option("GREATER_THAN")
    page.get_by_label("Value of filter 1", exact=True).fill("400000")
    expect(page.locator("#count")).to_have_text("10,228 rows match")
    for card in page.locator("#columns li").all():
        expect(card).to_contain_text("null")
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
