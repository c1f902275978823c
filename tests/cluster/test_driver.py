"""The driver process: one for all exports, and what happens when it, its cluster or its service dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.common.cancellation import CancelToken
from engine.errors import ClusterUnavailable
from engine.runners.ray.driver_process import Driver, DriverProcess
from tests.cluster.conftest import Drivers
from tests.helpers.ray_cluster import RayCluster, drivers_of, worker_of
from tests.helpers.running import Running, wait_for
from tests.helpers.spread import Spread, staged


def pid_of(driver: Driver) -> int:
    """The process that the next export uses."""
    return driver.process().pid


def test_exports_share_one_driver_process_in_sequence_and_in_parallel(
    cluster: RayCluster, spread_on: Callable[..., Spread], drivers: Drivers, tmp_path: Path
) -> None:
    spread = spread_on(cluster)
    plans = [spread.engine.plan(spread.exporter, name, sort_by="text") for name in ("csv", "json", "parquet")]
    before = pid_of(drivers.of(cluster))
    exports = [Running(spread, plan) for plan in plans]
    for running in exports:
        running.end()
        assert running.error is None
    for plan in plans:
        spread.check(plan)
    assert pid_of(drivers.of(cluster)) == before
    assert staged(tmp_path / "exports") == []


@pytest.mark.parametrize(("task", "sort_by"), [("RangesTask", None), ("SplitTask", "text"), ("MergeTask", "text")])
def test_a_killed_driver_is_an_error_and_the_next_export_starts_another(
    cluster: RayCluster, spread_large: Callable[..., Spread], drivers: Drivers, task: str, sort_by: str | None
) -> None:
    spread = spread_large(cluster)
    plan = spread.engine.plan(spread.exporter, "csv", sort_by=sort_by)
    running = Running(spread, plan)
    worker_of(cluster, task)
    killed = pid_of(drivers.of(cluster))
    os.kill(killed, signal.SIGKILL)
    running.end()
    assert isinstance(running.error, ClusterUnavailable)
    assert spread.visible() == []
    spread.check(plan)
    assert pid_of(drivers.of(cluster)) != killed


def test_a_driver_that_was_killed_between_two_exports_is_replaced(
    cluster: RayCluster, spread_on: Callable[..., Spread], drivers: Drivers
) -> None:
    spread, driver = spread_on(cluster), drivers.of(cluster)
    process = driver.process()
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not process.running)
    spread.check(spread.engine.plan(spread.exporter, "csv"))


def test_the_driver_ends_and_cleans_up_after_its_service_was_killed(
    cluster: RayCluster, spread_large: Callable[..., Spread], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = spread_large(cluster)
    settings = {
        "RUNNER": "ray",
        "RUNNER_MIN_BYTES": "0",
        "RESULTS": str(spread.engine.folder / "store"),
        "EXPORTS": str(tmp_path / "exports"),
        "SPILL_DIRECTORY": str(tmp_path / "spill"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"TAILRACE_{name}", value)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    command = [sys.executable, "-c", "from web.cli import main; main()", "export", "w", "--sort-by", "text"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as service:
        worker_of(cluster, "SplitTask")
        (driver,) = drivers_of(service.pid)
        assert len(staged(tmp_path / "exports")) == 1
        service.kill()
    wait_for(lambda: not Path(f"/proc/{driver}").exists())
    assert staged(tmp_path / "exports") == []
    assert spread.visible() == []


@pytest.mark.long
def test_exports_work_again_after_the_head_node_was_lost_and_restarted(
    spread_large: Callable[..., Spread], drivers: Drivers
) -> None:
    with RayCluster() as cluster:
        spread = spread_large(cluster)
        plan = spread.engine.plan(spread.exporter, "csv", sort_by="text")
        running = Running(spread, plan)
        worker_of(cluster, "SplitTask")
        lost = drivers.of(cluster).process()
        cluster.kill_node(0)
        running.end()
    assert isinstance(running.error, ClusterUnavailable)
    assert spread.visible() == []
    wait_for(lambda: not lost.running)
    with RayCluster(port=int(cluster.address.split(":")[1])) as again:
        spread_large(again).check(plan)


def test_an_unreachable_cluster_is_an_error_and_retires_the_driver(
    spread_large: Callable[..., Spread], cluster: RayCluster
) -> None:
    spread = spread_large(cluster)
    large = spread.exporter._runner._large  # type: ignore[attr-defined]  # of a SizeRouter, which this runner is
    driver = large._driver = Driver("127.0.0.2:9")
    plan = spread.engine.plan(spread.exporter, "csv")
    before = driver.process()
    with pytest.raises(ClusterUnavailable, match="RAY_ADDRESS"):
        spread.exporter.export(plan, CancelToken())
    assert spread.visible() == []
    assert pid_of(driver) != before.pid, "a process that could not connect is not used again"
    # It ends although it is still referenced here.
    wait_for(lambda: not before.running)
    driver.close()


def test_the_driver_inherits_no_secrets(cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cluster.access.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TAILRACE_SIGNING_KEYS", "k1=a-secret-that-signs-urls-0123456789abcdef")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=a-secret-that-opens-the-store")
    process = DriverProcess(cluster.address)
    inherited = Path(f"/proc/{process.pid}/environ").read_bytes()
    process.close()
    assert not process.running
    assert b"RAY_AUTH_TOKEN=" in inherited
    assert b"a-secret" not in inherited
