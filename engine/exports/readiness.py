"""The readiness check: whether both stores and DuckDB respond."""

from collections.abc import Callable

import duckdb

from engine.errors import StoreError
from engine.exports.exporter import Exporter


def readiness(exporter: Exporter) -> dict[str, Exception | None]:
    """The error of each dependency by name; None for one that responds."""
    checks: dict[str, Callable[[], None]] = {
        "results": exporter.results.store.check,
        "exports": exporter.exports.check,
        "duckdb": _check_duckdb,
    }
    return {name: _error_of(check) for name, check in checks.items()}


def _error_of(check: Callable[[], None]) -> Exception | None:
    try:
        check()
    except (StoreError, duckdb.Error) as error:
        return error
    return None


def _check_duckdb() -> None:
    with duckdb.connect() as connection:
        connection.execute("SELECT 1")
