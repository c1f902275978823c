"""Faults of workers, nodes and connections: the file is exact, or there is none and the error says why."""

import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest

from engine.common.cancellation import CancelToken
from engine.errors import Cancelled, ClusterUnavailable, EngineError, LimitExceeded, StoreUnavailable
from engine.plan.planner import ExportPlan
from engine.publishing import publisher
from engine.runners.ray.task_window import STRAGGLER_SECONDS
from engine.stores import open_store
from tests.helpers.azurite import Azurite
from tests.helpers.engine import Engine
from tests.helpers.fault_proxy import BLOCK, READ, Fault, FaultProxy
from tests.helpers.folders import files_below
from tests.helpers.ray_cluster import RayCluster, worker_of
from tests.helpers.running import Running, wait_for
from tests.helpers.spread import SMALL, Spread, staged

PHASES = {"RangesTask": None, "SampleTask": "text", "SplitTask": "text", "MergeTask": "text"}
"""Tasks, and the sort field of an export that has them."""
STAGING = [("RangesTask", None), ("MergeTask", "text")]
"""Tasks that stage blocks."""


def working(cluster: RayCluster) -> list[int]:
    """Processes that run a task."""
    return [pid for node in range(2) for task in PHASES for pid in cluster.pids(node, f"ray::{task}")]


def spilled(spread: Spread) -> set[Path]:
    """Spill folders of sessions; those of killed tasks remain until a sweep."""
    folder = spread.engine.folder / "spill"
    return set(folder.iterdir()) if folder.exists() else set()


def blocks_lie_in(folder: Path) -> bool:
    try:
        return any(path.stat().st_size for path in files_below(folder / ".staging"))
    except FileNotFoundError:
        # It has just been adopted.
        return True


def kill_worker(cluster: RayCluster, task: str, running: Running) -> bool:
    """Kill a worker that certainly runs such a task: it is stopped before it is checked. False if there was none."""
    while running.alive:
        for pid in (pid for node in range(2) for pid in cluster.pids(node, f"ray::{task}")):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                if any(pid in cluster.pids(node, f"ray::{task}") for node in range(2)):
                    os.kill(pid, signal.SIGKILL)
                    return True
                os.kill(pid, signal.SIGCONT)
    return False


def at_work(cluster: RayCluster, node: int, task: str, running: Running) -> bool:
    """Wait until the node runs such a task; False if the export ended before."""
    while running.alive:
        if cluster.pids(node, f"ray::{task}"):
            return True
        time.sleep(0.01)
    return False


def plans_of(spread: Spread, sort_by: str | None = None, format_name: str = "csv") -> Iterator[ExportPlan]:
    """Thirty equivalent exports, since a fault may come too late for the first of them."""
    for number in range(30):
        filters = [{"field": "n", "operator": "GREATER_THAN", "value": number}]
        yield spread.engine.plan(spread.exporter, format_name, filters=filters, sort_by=sort_by)
    pytest.fail("no export ran such a task for long enough")


def check_afterwards(spread: Spread, plan: ExportPlan, folder: Path) -> None:
    """The file is complete, and nothing else is left."""
    spread.check(plan)
    assert staged(folder) == []


@pytest.mark.parametrize(
    ("task", "place", "format_name"),
    [
        *((task, "directory", "csv") for task in PHASES),
        ("RangesTask", "azure", "json"),
        ("MergeTask", "azure", "parquet"),
    ],
)
def test_a_file_is_exact_after_a_worker_was_killed(
    cluster: RayCluster,
    spread_large: Callable[..., Spread],
    azurite: Azurite,
    tmp_path: Path,
    task: str,
    place: str,
    format_name: str,
) -> None:
    where = (f"az://cluster-{uuid.uuid4().hex}/x", azurite.connection_string) if place == "azure" else ()
    spread = spread_large(cluster, *where)
    for plan in plans_of(spread, PHASES[task], format_name):
        running = Running(spread, plan)
        killed = kill_worker(cluster, task, running)
        running.end()
        assert running.error is None
        if killed:
            break
    check_afterwards(spread, plan, tmp_path / "exports")


@pytest.mark.parametrize(("task", "sort_by"), STAGING)
def test_a_file_is_exact_after_a_worker_was_killed_that_had_staged_blocks(
    cluster: RayCluster,
    spread_large: Callable[..., Spread],
    tmp_path: Path,
    task: str,
    sort_by: str | None,
) -> None:
    spread = spread_large(cluster)
    for plan in plans_of(spread, sort_by):
        running = Running(spread, plan)
        while running.alive and not blocks_lie_in(tmp_path / "exports"):
            time.sleep(0.01)
        killed = kill_worker(cluster, task, running)
        running.end()
        assert running.error is None
        if killed:
            break
    check_afterwards(spread, plan, tmp_path / "exports")


@pytest.mark.parametrize(("task", "sort_by"), STAGING)
def test_a_file_is_exact_after_a_node_was_lost(
    cluster: RayCluster,
    spread_large: Callable[..., Spread],
    tmp_path: Path,
    task: str,
    sort_by: str | None,
) -> None:
    spread = spread_large(cluster)
    # The node gets tasks once the cluster has registered it.
    for plan in plans_of(spread, sort_by=sort_by):
        running = Running(spread, plan)
        if at_work(cluster, 1, task, running):
            break
        running.end()
    cluster.kill_node(1)
    try:
        running.end()
        assert running.error is None
        check_afterwards(spread, plan, tmp_path / "exports")
    finally:
        cluster.start_node(1)


def test_tasks_that_exceed_the_memory_of_a_node_are_refused(
    large: Engine, tmp_path: Path, spread_on: Callable[..., Spread]
) -> None:
    """Ray kills a task whose node has too little memory, and by default restarts it without limit."""
    no_memory = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "50"}
    with RayCluster(nodes=1, environment=no_memory) as starved:
        spread = spread_on(starved, engine=large, min_task_bytes=10_000_000)
        with pytest.raises(LimitExceeded):
            spread.exporter.export(large.plan(spread.exporter, "csv"), CancelToken())
        assert spread.visible() == []
        assert staged(tmp_path / "exports") == []


def test_a_version_mismatch_of_a_node_names_both_versions(
    cluster: RayCluster, spread_large: Callable[..., Spread], tmp_path: Path
) -> None:
    other = tmp_path / "packages" / "tailrace-9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: tailrace\nVersion: 9\n")
    spread = spread_large(cluster)
    cluster.kill_node(1)
    try:
        cluster.start_node(1, before=other.parent)
        # The node gets tasks once the cluster has registered it.
        for plan in plans_of(spread):
            running = Running(spread, plan)
            running.end()
            if running.error is not None:
                break
        assert isinstance(running.error, ClusterUnavailable)
        assert re.search(r"it has tailrace 9 .*, the service has tailrace 0.*Install the same", running.error.message)
        assert spread.exporter.finished(plan) is None
        assert staged(tmp_path / "exports") == []
    finally:
        cluster.kill_node(1)
        cluster.start_node(1)
    check_afterwards(spread, plan, tmp_path / "exports")


@pytest.mark.parametrize("task", ["SplitTask"])
def test_a_cancel_ends_the_tasks(
    cluster: RayCluster, spread_large: Callable[..., Spread], tmp_path: Path, task: str
) -> None:
    spread = spread_large(cluster)
    before = spilled(spread)
    for plan in plans_of(spread, "text"):
        running = Running(spread, plan)
        at_work(cluster, 0, task, running)
        running.cancel.cancel()
        running.end(30)
        if running.error is not None:
            break
    assert isinstance(running.error, Cancelled)
    assert spread.exporter.finished(plan) is None
    # The spill folders of cancelled tasks are removed, too.
    wait_for(lambda: not working(cluster) and spilled(spread) <= before)
    check_afterwards(spread, plan, tmp_path / "exports")


def test_a_sort_beyond_the_memory_of_its_tasks_is_refused(
    cluster: RayCluster, spread_on: Callable[..., Spread], large: Engine, tmp_path: Path
) -> None:
    spread = spread_on(cluster, engine=large, min_task_bytes=10_000_000, memory_limit="20MB")
    before = spilled(spread)
    plan = large.plan(spread.exporter, "csv", sort_by="text")
    with pytest.raises(LimitExceeded):
        spread.exporter.export(plan, CancelToken())
    assert spread.visible() == []
    assert staged(tmp_path / "exports") == []
    # A queued task may start before it is cancelled.
    wait_for(lambda: not working(cluster) and spilled(spread) <= before)


def test_a_worker_that_was_stopped_for_seconds_finishes_its_task(
    cluster: RayCluster, spread_large: Callable[..., Spread], tmp_path: Path
) -> None:
    spread = spread_large(cluster)
    plan = spread.engine.plan(spread.exporter, "csv")
    running = Running(spread, plan)
    pid = worker_of(cluster, "RangesTask")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(3)
    os.kill(pid, signal.SIGCONT)
    running.end()
    assert running.error is None
    check_afterwards(spread, plan, tmp_path / "exports")


@pytest.mark.long
@pytest.mark.parametrize("task", ["RangesTask", "SplitTask", "MergeTask"])
def test_a_worker_that_is_stopped_for_good_is_replaced(
    cluster: RayCluster, spread_large: Callable[..., Spread], tmp_path: Path, task: str
) -> None:
    spread = spread_large(cluster)
    plan = spread.engine.plan(spread.exporter, "csv", sort_by=PHASES[task])
    began = time.monotonic()
    running = Running(spread, plan)
    pid = worker_of(cluster, task)
    os.kill(pid, signal.SIGSTOP)
    try:
        running.end(STRAGGLER_SECONDS + 60)
        assert running.error is None
        assert time.monotonic() - began > STRAGGLER_SECONDS, "the worker that was stopped ran no task of the export"
        check_afterwards(spread, plan, tmp_path / "exports")
    finally:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not working(cluster))


@pytest.mark.long
@pytest.mark.parametrize("sort_by", [None, "text"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(BLOCK, "reset", times=1), None),
        (Fault(BLOCK, "lost", times=1), None),
        (Fault(BLOCK, "403 AuthenticationFailed"), StoreUnavailable),
        (Fault(READ, "reset", times=1), None),
        (Fault(READ, "403 AuthenticationFailed"), StoreUnavailable),
        (Fault(READ, "403 AuthenticationFailed", first=2), StoreUnavailable),
    ],
    ids=[
        *("a block is reset", "the answer to a block is lost", "blocks are refused"),
        *("a read is reset", "the first reads are refused", "later reads are refused"),
    ],
)
def test_faults_of_the_store_under_a_task_are_retried_or_raised(
    cluster: RayCluster,
    spread_on: Callable[..., Spread],
    azurite: Azurite,
    proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    error: type[EngineError] | None,
    sort_by: str | None,
) -> None:
    # The driver connects directly, and the nodes through the proxy.
    location = f"az://cluster-{uuid.uuid4().hex}"
    engine = Engine(tmp_path, open_store(f"{location}/results", connection_string=azurite.connection_string))
    text = [sha256(str(n).encode()).hexdigest() for n in range(200_000)]
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", SMALL.replace("2048", "32768"))
    engine.publish(engine.write_parquet(pa.table({"text": text})))
    places = (f"{location}/x", azurite.connection_string)
    limits = {"min_task_bytes": 1_000_000}
    spread = spread_on(cluster, *places, engine, results=f"{location}/results", **limits)
    plan = spread.engine.plan(spread.exporter, "csv", sort_by=sort_by)
    proxy.inject(fault)
    try:
        running = Running(spread, plan)
        running.end()
    finally:
        hit = proxy.hit
        proxy.inject(None)
    assert hit > 0
    assert type(running.error) is (error or type(None))
    assert len(spread.visible()) == (error is None)
    spread.check(plan)
