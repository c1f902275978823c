"""What people do on the page at ``/``, as methods."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.helpers.server import KEY, Server

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: install it from the lock")
expect = playwright.expect


class Explorer:
    """The page in a browser tab. ``violations`` are script errors, breaches of the policy, and requests elsewhere."""

    def __init__(self, tab: Any, server: Server) -> None:
        self.tab = tab
        self.server = server
        self.violations: list[str] = []
        tab.on("pageerror", lambda error: self.violations.append(str(error)))
        tab.on("console", self._on_console)
        tab.on("request", self._on_request)

    def _on_console(self, line: Any) -> None:
        if "Content Security Policy" in line.text:
            self.violations.append(line.text)

    def _on_request(self, sent: Any) -> None:
        if not sent.url.startswith(self.server.base):
            self.violations.append(sent.url)

    def open(self, fragment: str = "", query: str = "") -> None:
        """Load the page anew."""
        self.tab.goto("about:blank")
        self.tab.goto(f"{self.server.base}/{query}{fragment}")

    def sign_in(self, workflow: str | None = None, run: str | None = None, *, key: str = KEY, query: str = "") -> None:
        """Open a workflow by the address that `make run` prints."""
        parts = {"key": key, "workflow": workflow, "run": run}
        self.open("#" + "&".join(f"{name}={value}" for name, value in parts.items() if value), query)

    def type_key(self, key: str = KEY) -> None:
        """Sign in as people do."""
        self.tab.get_by_label("API key").fill(key)
        self.tab.get_by_role("button", name="Sign in").click()

    def button(self, name: str) -> Any:
        """A button by its whole name."""
        return self.tab.get_by_role("button", name=name, exact=True)

    def counts(self, text: str) -> None:
        """Expect this many rows: ``400 of 1,200 rows``."""
        expect(self.tab.locator("#count")).to_have_text(text)

    def fill_filter(self, field: str, condition: str, value: str | None = None) -> None:
        """Open the form of a filter and fill it in."""
        self.button("Filter").click()
        self.tab.get_by_label("Column", exact=True).select_option(field)
        self.tab.get_by_label("Condition", exact=True).select_option(condition)
        if value is not None:
            self.tab.get_by_label("Value", exact=True).fill(value)

    def add_filter(self, field: str, condition: str, value: str | None = None) -> None:
        """Add a filter by its form."""
        self.fill_filter(field, condition, value)
        self.button("Apply").click()

    @property
    def chips(self) -> list[str]:
        """The filters in words."""
        texts: list[str] = self.tab.locator(".chip").all_inner_texts()
        return [" ".join(text.split()) for text in texts]

    def choose_workflow(self, name: str) -> None:
        """Choose a workflow from the list."""
        self.tab.locator("#workflow").click()
        self.tab.locator("#popover").get_by_role("option", name=name).click()

    def choose_run(self, run: str) -> None:
        """Choose a run from the list."""
        self.tab.locator("#run").click()
        self.tab.locator("#popover").get_by_role("option", name=run).click()

    def head(self, name: str) -> Any:
        """The head of a column."""
        return self.tab.locator(f'.grid th[data-name="{name}"]')

    def sort(self, name: str) -> None:
        """Click the head of a column."""
        self.head(name).locator("button.head").click()

    @property
    def heads(self) -> list[str]:
        """The names of the columns in the grid."""
        names: list[str] = self.tab.locator("#panel-rows thead .name").all_inner_texts()
        return names

    def cell(self, row: int, column: int) -> Any:
        """A cell of the page of rows, both from 0."""
        return self.tab.locator("#panel-rows tbody tr").nth(row).locator("td").nth(column)

    def column(self, column: int) -> list[str]:
        """The texts of a column, from 0."""
        texts: list[str] = self.tab.locator(f"#panel-rows tbody tr td:nth-child({column + 2})").all_inner_texts()
        return texts

    @property
    def panel(self) -> Any:
        """The export panel."""
        return self.tab.locator("#export")

    def choose(self, label: str) -> None:
        """Choose a format or another of the choices that stand side by side."""
        self.panel.locator("label", has=self.tab.get_by_role("radio", name=label, exact=True)).click()

    def start_export(self) -> None:
        """Start an export; the panel opens if it is not."""
        if not self.panel.is_visible():
            self.button("Export").click()
        self.panel.get_by_role("button", name="Export", exact=False).first.click()

    def export(self) -> str:
        """Export what the page shows and return the URL of the file."""
        self.start_export()
        link = self.panel.get_by_role("link", name="Download", exact=True)
        expect(link).to_be_visible()
        return str(link.get_attribute("href"))

    @property
    def fragment(self) -> list[tuple[str, str]]:
        """The view in the address."""
        return parse_qsl(urlsplit(self.tab.url).fragment, keep_blank_values=True)
