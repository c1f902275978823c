"""The readiness check: whether both stores and DuckDB respond, and the clocks agree."""

from collections.abc import Callable
from functools import partial

import duckdb

from engine.errors import ClockSkew, StoreError
from engine.exports.exporter import Exporter
from engine.stores.clock import require_same_time


def readiness(exporter: Exporter) -> dict[str, Exception | None]:
    """The error of each dependency by name; None for one that responds.

    A fourth entry, ``clock``, is a ClockSkew: this machine's clock differs from that of a store by more than a minute.
    """
    checks: dict[str, Callable[[], object]] = {
        "results": partial(require_same_time, exporter.results.store, "results"),
        "exports": partial(require_same_time, exporter.exports, "exports"),
        "duckdb": _check_duckdb,
    }
    errors = {name: _error_of(check) for name, check in checks.items()}
    for name, error in [*errors.items()]:
        if isinstance(error, ClockSkew):
            # That store responds.
            errors |= {name: None, "clock": error}
    return errors


def _error_of(check: Callable[[], object]) -> Exception | None:
    try:
        check()
    except (StoreError, ClockSkew, duckdb.Error) as error:
        return error
    return None


def _check_duckdb() -> None:
    with duckdb.connect() as connection:
        connection.execute("SELECT 1")
