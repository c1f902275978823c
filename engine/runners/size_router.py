"""Chooses the runner of an export, so that a small one never waits for a cluster."""

from contextlib import AbstractContextManager
from importlib.util import find_spec

from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import InvalidInput
from engine.execute.instance_pool import InstancePool
from engine.plan.planner import ExportPlan
from engine.runners.local import LocalRunner
from engine.runners.port import Runner, Staged
from engine.settings import DuckDBSettings, RunnerSettings, StorageSettings
from engine.stores.port import ObjectStore


def make_runner(
    settings: RunnerSettings,
    storage: StorageSettings,
    duckdb: DuckDBSettings,
    results: ObjectStore,
    exports: ObjectStore,
    instances: InstancePool | None = None,
) -> Runner:
    """Make the runner that the settings select; it connects to a cluster when an export needs it.

    Raises InvalidInput if Ray is selected but not installed, or has no address.
    """
    local = LocalRunner(results, exports, duckdb, instances)
    if settings.runner == "local":
        return local
    if find_spec("ray") is None or find_spec("awscrt") is None:
        raise InvalidInput(
            "TAILRACE_RUNNER=ray needs the packages ray and awscrt.", remedy="pip install 'tailrace[ray]'"
        )
    if not settings.ray_address:
        raise InvalidInput("TAILRACE_RUNNER=ray needs a cluster.", remedy="Set RAY_ADDRESS to host:port of its head.")
    # Imported here: most services need no driver, and it is a fifteenth of what they import.
    from engine.runners.ray.client import RayClientRunner
    from engine.runners.ray.driver_process import Driver

    cluster = RayClientRunner(
        Driver(settings.ray_address),
        exports,
        storage,
        duckdb,
        max_tasks=settings.ray_max_tasks,
        max_hashed_bytes=settings.max_hashed_bytes,
    )
    return SizeRouter(local, cluster, settings.runner_min_bytes)


class SizeRouter:
    """Uses ``large`` for plans that are `worth_a_cluster`, and ``small`` for the others."""

    def __init__(self, small: Runner, large: Runner, min_bytes: int) -> None:
        self._small = small
        self._large = large
        self._min_bytes = min_bytes

    def stage(
        self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress
    ) -> AbstractContextManager[Staged]:
        """Implements `Runner.stage`."""
        runner = self._large if worth_a_cluster(plan, self._min_bytes) else self._small
        return runner.stage(plan, key, cancel, progress)


def worth_a_cluster(plan: ExportPlan, min_bytes: int) -> bool:
    """Whether a plan reads at least ``min_bytes`` in several ranges, and a cluster can write its file."""
    return (
        not plan.needs_one_process
        and len(plan.scan_ranges) > 1
        and sum(range_.bytes for range_ in plan.scan_ranges) >= min_bytes
    )
