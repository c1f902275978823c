"""Opens the stores and makes the exporter that the settings describe."""

from datetime import timedelta
from functools import cache, partial
from typing import TYPE_CHECKING

from engine.catalog.catalog import ResultStore
from engine.errors import StoreError, StoreNotInitialised
from engine.exports.store_pair import StorePair
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from engine.stores import absolute_location, open_store
from engine.stores.local.store import DirectoryStore
from engine.stores.marked import MarkedStore
from engine.stores.marker import Role
from engine.stores.port import ObjectStore

if TYPE_CHECKING:
    from engine.execute.instance_pool import InstancePool
    from engine.exports.exporter import Exporter
    from engine.query.sandbox import Limits
    from engine.runners import Runner


def open_results(storage: StorageSettings) -> ResultStore:
    """The catalog of the results store, which raises StoreUnavailable while it has no marker (`initialise`)."""
    return ResultStore(_marked(storage, open_pair(storage), "results"))


def open_stores(storage: StorageSettings) -> tuple[ResultStore, ObjectStore]:
    """The catalog of the results store, and the exports store; they raise StoreUnavailable while they have no marker.

    Raises InvalidInput for a location that cannot be used.
    """
    pair = open_pair(storage)
    return ResultStore(_marked(storage, pair, "results")), _marked(storage, pair, "exports")


def open_exporter(
    storage: StorageSettings,
    duckdb: DuckDBSettings,
    runner: RunnerSettings | None = None,
    *,
    retention: timedelta = timedelta(days=1),
    instances: "InstancePool | None" = None,
    team_limit_bytes: int | None = None,
    statements: "Limits | None" = None,
) -> "Exporter":
    """The exporter between both stores, which raise StoreUnavailable while they have no marker (`initialise`).

    ``retention`` is how long a file is retained without a lease. Sessions of exports use ``instances`` if there is a
    pool. ``team_limit_bytes`` limits the finished exports of each team, and ``statements`` the SQL of callers whose
    results are exported; without it no result is. Raises InvalidInput for a location or runner that cannot be used.
    """
    # Imported here: it takes a tenth of a second, for which a statement of an administrator has no use.
    from engine.exports.exporter import Exporter
    from engine.exports.quota import TeamQuota
    from engine.runners import LocalRunner
    from engine.runners.size_router import make_runner

    results, exports = open_stores(storage)
    if runner is None:
        made: Runner = LocalRunner(results.store, exports, duckdb, instances)
    else:
        made = make_runner(runner, storage, duckdb, results.store, exports, instances)
    if statements is not None:
        # Imported here: commands have no use for it.
        from engine.query.sandbox.statement_runner import StatementRunner

        made = StatementRunner(made, results, exports, statements)
    quota = None if team_limit_bytes is None else TeamQuota(results, exports, team_limit_bytes)
    return Exporter(results, exports, duckdb, retention=retention, runner=made, quota=quota)


def initialise(storage: StorageSettings, *, replace: bool = False) -> list[Role]:
    """Create both stores if they are missing, and write the markers that are missing or damaged.

    Returns the roles of the markers that were written. `StorePair.initialise` describes ``replace`` and the errors.
    """
    return open_pair(storage, create=True).initialise(replace=replace)


def initialise_if_new(storage: StorageSettings) -> list[Role] | None:
    """`initialise` both stores before a publish, unless the results store has its marker.

    Returns None if it has; else the roles of the markers that were written. The list is empty if another publisher has
    initialised the results store meanwhile and the exports store cannot be reached from here. Raises StoreError.
    """
    results = open_results(storage).store
    try:
        results.head("workflow")
    except StoreNotInitialised:
        try:
            return initialise(storage)
        except StoreError:
            # The results may have their marker by now, from a publisher that cannot reach the exports either.
            results.head("workflow")
            return []
    return None


def open_pair(storage: StorageSettings, *, create: bool = False) -> StorePair:
    """Both stores without marker checks; with ``create``, a write creates a missing directory or container."""
    results, exports = (cache(partial(open_unmarked, storage, role, create=create)) for role in ("results", "exports"))
    return StorePair(results, exports)


def open_unmarked(storage: StorageSettings, role: Role, *, create: bool = False) -> ObjectStore:
    """One of the stores, without a marker check; ``create`` as in `open_pair`. Raises InvalidInput."""
    return open_store(
        absolute_location(storage.results if role == "results" else storage.exports),
        connection_string=storage.azure_connection_string,
        account_url=storage.azure_account_url,
        checksum=storage.azure_checksum,
        create=create,
    )


def _marked(storage: StorageSettings, pair: StorePair, role: Role) -> ObjectStore:
    # Opened now, so that an invalid location is refused at the start.
    store = open_unmarked(storage, role)
    # Only a directory can be the mount point of a volume that is not mounted.
    return MarkedStore(store, partial(pair.require, role), each_write=isinstance(store, DirectoryStore))
