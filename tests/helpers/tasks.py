"""Exports as the tasks of a pool, between stores that are directories."""

from typing import Any

from engine.runners.ray.pool_port import TaskPool
from engine.runners.ray.runner import ClusterRunner, LocatedStore
from engine.settings import DuckDBSettings
from engine.stores import ObjectStore


def tasks_of(
    pool: TaskPool,
    results: ObjectStore,
    exports: ObjectStore,
    settings: DuckDBSettings,
    *,
    min_task_bytes: int = 1,
    **limits: Any,
) -> ClusterRunner:
    """The cluster's runner on a pool whose tasks see the same directories."""
    return ClusterRunner(_place(results), _place(exports), settings, pool, min_task_bytes=min_task_bytes, **limits)


def _place(store: ObjectStore) -> LocatedStore:
    path = store.local_path("x")
    if path is None:
        raise ValueError("tasks of this pool have no credentials for a store elsewhere")
    return LocatedStore(str(path.parent), store)
