"""Exports as the tasks of a pool, between stores that are directories."""

from typing import Any

from engine.runners.ray.pool_port import Pool
from engine.runners.ray.runner import ClusterRunner, Place
from engine.settings import DuckDBSettings
from engine.stores import ObjectStore


def tasks_of(
    pool: Pool,
    results: ObjectStore,
    exports: ObjectStore,
    settings: DuckDBSettings,
    *,
    least_bytes: int = 1,
    **limits: Any,
) -> ClusterRunner:
    """The cluster's runner on a pool whose tasks see the same directories, each of at least so many bytes."""
    return ClusterRunner(_place(results), _place(exports), settings, pool, least_bytes=least_bytes, **limits)


def _place(store: ObjectStore) -> Place:
    path = store.local_path("x")
    if path is None:
        raise ValueError("tasks of this pool have no credentials for a store elsewhere")
    return Place(str(path.parent), store)
