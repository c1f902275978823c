"""The stores that the settings name, opened."""

from datetime import timedelta
from functools import cache, partial

from engine.catalog.catalog import ResultStore
from engine.errors import StoreError, StoreNotInitialised
from engine.exports.exporter import Exporter
from engine.exports.quota import TeamQuota
from engine.exports.store_pair import StorePair
from engine.runners.size_router import make_runner
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from engine.stores import absolute_location, open_store
from engine.stores.marked import MarkedStore
from engine.stores.marker import Role
from engine.stores.port import ObjectStore


def open_results(storage: StorageSettings) -> ResultStore:
    """The published results. They raise StoreUnavailable while the store has no marker (`initialise`)."""
    return ResultStore(_marked(storage, open_pair(storage), "results"))


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

    Both stores raise StoreUnavailable while they have no marker (`initialise`). Raises InvalidInput for a runner that
    cannot be had.
    """
    pair = open_pair(storage)
    results, exports = ResultStore(_marked(storage, pair, "results")), _marked(storage, pair, "exports")
    made = None if runner is None else make_runner(runner, storage, duckdb, results.store, exports)
    quota = None if team_limit_bytes is None else TeamQuota(results, exports, team_limit_bytes)
    return Exporter(results, exports, duckdb, keep=keep, runner=made, quota=quota)


def initialise(storage: StorageSettings, *, replace: bool = False) -> list[Role]:
    """Make both stores where they are missing, and write the markers that are missing or damaged.

    Returns the roles of the markers that were written. See `StorePair.initialise` for ``replace`` and what is raised.
    """
    return open_pair(storage, create=True).initialise(replace=replace)


def initialise_if_new(storage: StorageSettings) -> list[Role] | None:
    """`initialise` both stores unless the results have their marker, for whoever publishes.

    Returns None if nothing was to be done; else the roles of the markers that were written, which are none if the
    exports cannot be reached from here. Raises StoreError.
    """
    results = open_results(storage).store
    try:
        results.head("workflow")
    except StoreNotInitialised:
        try:
            return initialise(storage)
        except StoreError:
            # The results may have been initialised by a publisher who cannot reach the exports.
            results.head("workflow")
            return []
    return None


def open_pair(storage: StorageSettings, *, create: bool = False) -> StorePair:
    """Both stores without a check of their markers; ``create`` lets writes make a directory or container."""
    results, exports = (cache(partial(open_unmarked, storage, role, create=create)) for role in ("results", "exports"))
    return StorePair(results, exports)


def open_unmarked(storage: StorageSettings, role: Role, *, create: bool = False) -> ObjectStore:
    """One of the stores, without a check of its marker."""
    return open_store(
        absolute_location(storage.results if role == "results" else storage.exports),
        connection_string=storage.azure_connection_string,
        account_url=storage.azure_account_url,
        create=create,
    )


def _marked(storage: StorageSettings, pair: StorePair, role: Role) -> ObjectStore:
    # Opened here, so that a location that cannot be opened is refused at the start.
    return MarkedStore(open_unmarked(storage, role), partial(pair.require, role))
