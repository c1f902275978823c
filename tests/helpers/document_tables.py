"""The tables of the documents that are made from the code. ``make tables`` writes them; a test compares them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic.fields import FieldInfo

from engine.request.operators import OPERATORS
from web.environment import variable_of
from web.settings import SETTINGS

ROOT = Path(__file__).parents[2]

README_SETTINGS = (
    "TAILRACE_RESULTS",
    "TAILRACE_EXPORTS",
    "AZURE_STORAGE_CONNECTION_STRING",
    "TAILRACE_BASE_URL",
    "TAILRACE_API_KEYS_FILE",
    "TAILRACE_SIGNING_KEYS",
    "TAILRACE_URL_TTL_SECONDS",
    "TAILRACE_DOWNLOAD_MODE",
    "TAILRACE_MAX_CONCURRENT_EXPORTS",
    "TAILRACE_MEMORY_LIMIT",
    "TAILRACE_SPILL_DIRECTORY",
    "TAILRACE_USER_SQL",
)
"""The settings that matter first; .container/OPERATIONS.md has all of them."""


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "number of cores"
    return "" if field.default in (None, "") else f"`{field.default}`"


def settings_rows() -> dict[str, str]:
    """The row of each setting by its name, in the order of the classes."""
    return {
        (full := variable_of(settings, name)): f"| `{full}` | {_default(field)} | {field.description} |"
        for settings in SETTINGS
        for name, field in settings.model_fields.items()
    }


def _operator_rows() -> list[str]:
    return [f"| `{row.name}` | {row.meaning} | {row.value.value} |" for row in OPERATORS.values()]


@dataclass(frozen=True)
class Table:
    """One table: its document, its header line (the only one of its kind there), and what its rows should be."""

    document: str
    header: str
    wanted: Callable[[], list[str]]

    def rows(self) -> list[str]:
        """The rows that the document has."""
        start, end = self._place(self._lines())
        return self._lines()[start:end]

    def write(self) -> None:
        """Replace the rows of the document."""
        lines = self._lines()
        start, end = self._place(lines)
        lines[start:end] = self.wanted()
        (ROOT / self.document).write_text("\n".join(lines) + "\n", "utf-8")

    def _lines(self) -> list[str]:
        return (ROOT / self.document).read_text("utf-8").splitlines()

    def _place(self, lines: list[str]) -> tuple[int, int]:
        start = lines.index(self.header) + 2
        return start, next((n for n in range(start, len(lines)) if not lines[n].startswith("|")), len(lines))


_SETTINGS_HEADER = "| setting | default | meaning |"
TABLES = (
    Table("README.md", "| operator | meaning | value |", _operator_rows),
    Table("README.md", _SETTINGS_HEADER, lambda: [settings_rows()[name] for name in README_SETTINGS]),
    Table(".container/OPERATIONS.md", _SETTINGS_HEADER, lambda: list(settings_rows().values())),
)


if __name__ == "__main__":
    for table in TABLES:
        table.write()
        sys.stdout.write(f"{table.document}: {len(table.rows())} rows below {table.header}\n")
