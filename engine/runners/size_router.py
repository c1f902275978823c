"""Which runner an export gets: small ones never wait for a cluster."""

from contextlib import AbstractContextManager
from importlib.util import find_spec

from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import InvalidInput
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
) -> Runner:
    """The runner that the settings ask for; nothing is connected yet.

    Raises InvalidInput if Ray is asked for and not installed, or has no address.
    """
    local = LocalRunner(results, exports, duckdb)
    if settings.runner == "local":
        return local
    if find_spec("ray") is None:
        raise InvalidInput("TAILRACE_RUNNER=ray needs the package ray.", remedy="pip install 'tailrace[ray]'")
    if not settings.ray_address:
        raise InvalidInput("TAILRACE_RUNNER=ray needs a cluster.", remedy="Set RAY_ADDRESS to host:port of its head.")
    # Here, since most services do without a driver, which is a fifteenth of what they import.
    from engine.runners.ray.client import DrivenRunner
    from engine.runners.ray.driver_process import Driver

    driven = DrivenRunner(
        Driver(settings.ray_address),
        exports,
        storage,
        duckdb,
        tasks_at_once=settings.ray_max_tasks,
    )
    return SizedRunner(local, driven, settings.runner_min_bytes)


class SizedRunner:
    """``large`` for plans that read ``min_bytes`` or more and can be spread, ``small`` for the others."""

    def __init__(self, small: Runner, large: Runner, min_bytes: int) -> None:
        self._small = small
        self._large = large
        self._min_bytes = min_bytes

    def stage(
        self, plan: ExportPlan, key: str, cancel: CancelToken, progress: Progress
    ) -> AbstractContextManager[Staged]:
        """Write the file of a plan; what the port promises."""
        runner = self._large if spreads(plan, self._min_bytes) else self._small
        return runner.stage(plan, key, cancel, progress)


def spreads(plan: ExportPlan, min_bytes: int) -> bool:
    """Whether a plan is worth a cluster.

    A file of the run's own row groups is not, however large: nothing is encoded, and the hash needs all bytes here.
    """
    return (
        not plan.copies_row_groups
        and len(plan.scan_ranges) > 1
        and sum(range_.bytes for range_ in plan.scan_ranges) >= min_bytes
    )
