"""Whether what an export needs answers: both stores, and DuckDB."""

from collections.abc import Callable

import duckdb

from engine.errors import StoreError
from engine.exports.exporter import Exporter


def readiness(exporter: Exporter) -> dict[str, Exception | None]:
    """What was asked, and the error of each that did not answer."""
    checks: dict[str, Callable[[], None]] = {
        "results": exporter.results.store.check,
        "exports": exporter.exports.check,
        "duckdb": _ask_duckdb,
    }
    return {name: _error_of(check) for name, check in checks.items()}


def _error_of(check: Callable[[], None]) -> Exception | None:
    try:
        check()
    except (StoreError, duckdb.Error) as error:
        return error
    return None


def _ask_duckdb() -> None:
    with duckdb.connect() as connection:
        connection.execute("SELECT 1")
