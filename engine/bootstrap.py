"""The stores that the settings name, opened."""

from datetime import timedelta

from engine.catalog.catalog import ResultStore
from engine.exports.exporter import Exporter
from engine.exports.quota import TeamQuota
from engine.runners.size_router import make_runner
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from engine.stores import located, open_store
from engine.stores.port import ObjectStore


def open_results(storage: StorageSettings) -> ResultStore:
    """The published results."""
    return ResultStore(_open(storage, storage.results))


def open_exporter(
    storage: StorageSettings,
    duckdb: DuckDBSettings,
    runner: RunnerSettings | None = None,
    *,
    keep: timedelta = timedelta(days=1),
    team_limit_bytes: int | None = None,
) -> Exporter:
    """The exporter from the results to the exports; ``keep`` is how long a file stays without a word of anyone.
    ``team_limit_bytes`` bounds the finished exports of each team.

    Raises InvalidInput for a runner that cannot be had.
    """
    results, exports = open_results(storage), _open(storage, storage.exports)
    made = None if runner is None else make_runner(runner, storage, duckdb, results.store, exports)
    quota = None if team_limit_bytes is None else TeamQuota(results, exports, team_limit_bytes)
    return Exporter(results, exports, duckdb, keep=keep, runner=made, quota=quota)


def _open(storage: StorageSettings, location: str) -> ObjectStore:
    return open_store(
        located(location),
        connection_string=storage.azure_connection_string,
        account_url=storage.azure_account_url,
    )
