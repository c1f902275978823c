"""One run and its exports, for clients that are not ours: they get a URL and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.chromium import ARGUMENTS, CHROMIUM, MISSING
from tests.helpers.extensions import load_extension
from tests.helpers.server import Server

ROWS = 1_500
"""Enough for every kind of value; what needs many row groups publishes its own run."""

_TEXTS = ["plain", 'say "hi", twice', "Grüße aus Köln", "line\nbreak", "🙂 smile", "", "=1+1", "日本語", "tab\there"]
_FIRST = datetime(2024, 1, 1, 12, 0, 0, tzinfo=UTC)


def row(n: int) -> dict[str, Any]:
    """The row of that number, in Python's own types."""
    return {
        "n": n,
        "big": 2**60 + n,
        "text": None if n % 11 == 0 else _TEXTS[n % len(_TEXTS)],
        "price": Decimal(n * 7919 % 100_000) / 100,
        "ratio": n / 8,
        "flag": n % 2 == 0,
        "day": date(2024, 1, 1) + timedelta(days=n % 1000),
        "moment": _FIRST + timedelta(seconds=n),
        "tags": [f"t{n % 3}", "x"],
        "inner": {"a": n % 5, "b": None if n % 2 else "y"},
    }


_SCHEMA = pa.schema(
    [
        ("n", pa.int32()),
        ("big", pa.int64()),
        ("text", pa.string()),
        ("price", pa.decimal128(12, 2)),
        ("ratio", pa.float64()),
        ("flag", pa.bool_()),
        ("day", pa.date32()),
        ("moment", pa.timestamp("us", "UTC")),
        ("tags", pa.list_(pa.string())),
        ("inner", pa.struct([("a", pa.int64()), ("b", pa.string())])),
    ]
)


@dataclass(frozen=True)
class Exports:
    """A server with the run ``mixed``."""

    server: Server

    def ask(self, format_name: str, **parameters: Any) -> dict[str, Any]:
        """The answer to an export of the run."""
        answer = self.server.export("mixed", format=format_name, **parameters)
        assert answer.status == 200, answer.body
        body: dict[str, Any] = answer.json()
        return body

    def url(self, format_name: str, **parameters: Any) -> str:
        """A signed URL: all that a client gets."""
        return str(self.ask(format_name, **parameters)["url"])

    def sent_to(self, url: str) -> int:
        """Bytes of bodies that the service sent for this export, by its own log."""
        export_id = url.partition("/exports/")[2].partition("/")[0]
        return sum(
            line["sent"]
            for line in self.server.logged()
            if line.get("export_id") == export_id and line.get("route", "").endswith("/{file_name}")
        )


@pytest.fixture(scope="module")
def exports(
    module_store_url: tuple[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exports]:
    """The run on either store."""
    folder = tmp_path_factory.mktemp("clients")
    pq.write_table(pa.Table.from_pylist([row(n) for n in range(ROWS)], _SCHEMA), folder / "mixed.parquet")
    with Server(module_store_url, folder) as server:
        server.publish("--workflow", "mixed", "--run", "r1", str(folder / "mixed.parquet"))
        yield Exports(server)


@pytest.fixture
def download_folder(tmp_path: Path) -> Path:
    """Where a client may put files."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: install it from the lock")
    if CHROMIUM is None:
        pytest.skip(MISSING)
    # Its default of 5 s is too short where the machine does other work as well.
    playwright.expect.set_options(timeout=30_000)
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def httpfs() -> duckdb.DuckDBPyConnection:
    """DuckDB with its httpfs extension; skips where that is not to be had."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    load_extension(connection, "httpfs")
    connection.execute("SET TimeZone='UTC'")
    return connection
