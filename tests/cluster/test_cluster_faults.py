"""Workers, nodes, drivers, lines and heads that die: the file is exact, or there is none and it is told why."""

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cancel import CancelToken
from engine.errors import Cancelled, ClusterUnavailable, EngineError, StoreUnavailable
from engine.plan import ExportPlan
from tests.helpers.azurite import Azurite
from tests.helpers.fault_proxy import BLOCK, Fault, FaultProxy
from tests.helpers.ray_cluster import RayCluster
from tests.helpers.spread import Spread, staged

PHASES = {"RangesTask": None, "SampleTask": "text", "SplitTask": "text", "MergeTask": "text"}


class Running:
    """An export in a thread of its own."""

    def __init__(self, spread: Spread, plan: ExportPlan) -> None:
        self.cancel = CancelToken()
        self.error: BaseException | None = None
        self._spread, self._plan = spread, plan
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._spread.exporter.export(self._plan, self.cancel)
        except EngineError as error:
            self.error = error

    def end(self, seconds: float = 120) -> None:
        """Wait for its end."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the export hangs"


def worker_of(cluster: RayCluster, task: str, seconds: float = 60) -> int:
    """The process of a running task of that kind, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for node in range(2):
            for pid in cluster.pids(node, f"ray::{task}"):
                return pid
        time.sleep(0.005)
    raise TimeoutError(f"no {task} ran")


def drivers() -> set[int]:
    """Processes that drive an export."""
    found = subprocess.run(
        ["pgrep", "-f", "--", "-m engine.runners [0-9]+$"], capture_output=True, text=True, check=False
    )
    return set(map(int, found.stdout.split()))


def check_afterwards(spread: Spread, plan: ExportPlan, folder: Path) -> None:
    """The file is whole, and nothing else is left."""
    spread.check(plan)
    assert staged(folder) == []
    assert drivers() == set()


@pytest.mark.parametrize("task", PHASES)
def test_a_worker_is_killed(
    cluster: RayCluster, spread_large: Callable[..., Spread], tmp_path: Path, task: str
) -> None:
    spread = spread_large(cluster)
    plan = spread.engine.plan(spread.exporter, "csv", sort_by=PHASES[task])
    running = Running(spread, plan)
    os.kill(worker_of(cluster, task), signal.SIGKILL)
    running.end()
    assert running.error is None
    check_afterwards(spread, plan, tmp_path / "exports")


@pytest.mark.parametrize("sort_by", [None, "text"])
def test_a_node_is_lost(spread_large: Callable[..., Spread], tmp_path: Path, sort_by: str | None) -> None:
    with RayCluster() as cluster:
        spread = spread_large(cluster)
        plan = spread.engine.plan(spread.exporter, "csv", sort_by=sort_by)
        running = Running(spread, plan)
        worker_of(cluster, "MergeTask" if sort_by else "RangesTask")
        cluster.kill_node(1)
        running.end()
        assert running.error is None
        check_afterwards(spread, plan, tmp_path / "exports")


def test_the_head_is_lost(spread_large: Callable[..., Spread], tmp_path: Path) -> None:
    with RayCluster() as cluster:
        spread = spread_large(cluster)
        plan = spread.engine.plan(spread.exporter, "csv", sort_by="text")
        running = Running(spread, plan)
        worker_of(cluster, "SplitTask")
        cluster.kill_node(0)
        running.end()
    assert isinstance(running.error, ClusterUnavailable)
    assert spread.visible() == []
    assert drivers() == set()


def test_the_driver_inherits_no_key_of_callers(
    cluster: RayCluster, spread_large: Callable[..., Spread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_SIGNING_KEYS", "k1=a-secret-that-signs-urls-0123456789abcdef")
    spread = spread_large(cluster)
    running = Running(spread, spread.engine.plan(spread.exporter, "csv"))
    worker_of(cluster, "RangesTask")
    (driver,) = drivers()
    inherited = Path(f"/proc/{driver}/environ").read_bytes()
    running.end()
    assert running.error is None
    assert b"RAY_AUTH_TOKEN=" in inherited
    assert b"a-secret-that-signs" not in inherited


def test_the_driver_is_killed(cluster: RayCluster, spread_large: Callable[..., Spread]) -> None:
    spread = spread_large(cluster)
    plan = spread.engine.plan(spread.exporter, "csv")
    running = Running(spread, plan)
    worker_of(cluster, "RangesTask")
    (driver,) = drivers()
    os.kill(driver, signal.SIGKILL)
    running.end()
    assert isinstance(running.error, ClusterUnavailable)
    assert spread.visible() == []
    spread.check(plan)


def test_a_cancel_ends_the_tasks(cluster: RayCluster, spread_large: Callable[..., Spread], tmp_path: Path) -> None:
    spread = spread_large(cluster)
    plan = spread.engine.plan(spread.exporter, "csv", sort_by="text")
    running = Running(spread, plan)
    worker_of(cluster, "SplitTask")
    running.cancel.cancel()
    running.end(30)
    assert isinstance(running.error, Cancelled)
    assert spread.visible() == []
    check_afterwards(spread, plan, tmp_path / "exports")


def test_a_straggler_is_waited_for(cluster: RayCluster, spread_large: Callable[..., Spread], tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(BLOCK, "reset", times=1), None),
        (Fault(BLOCK, "lost", times=1), None),
        (Fault(BLOCK, "403 AuthenticationFailed"), StoreUnavailable),
    ],
    ids=["a block is reset", "the answer to a block is lost", "blocks are refused"],
)
def test_the_store_fails_under_a_task(
    cluster: RayCluster,
    spread_large: Callable[..., Spread],
    azurite: Azurite,
    proxy: FaultProxy,
    fault: Fault,
    told: type[EngineError] | None,
) -> None:
    # The driver has the good line here, and the nodes have the proxy.
    spread = spread_large(cluster, f"az://cluster-{uuid.uuid4().hex}/x", azurite.connection_string)
    plan = spread.engine.plan(spread.exporter, "csv")
    proxy.inject(fault)
    try:
        running = Running(spread, plan)
        running.end()
    finally:
        hit = proxy.hit
        proxy.inject(None)
    assert hit > 0
    assert type(running.error) is (told or type(None))
    assert len(spread.visible()) == (told is None)
    spread.check(plan)


def test_nobody_is_at_the_address(spread_large: Callable[..., Spread], cluster: RayCluster) -> None:
    spread = spread_large(cluster)
    spread.exporter._runner._large._address = "127.0.0.2:9"  # type: ignore[attr-defined]
    plan = spread.engine.plan(spread.exporter, "csv")
    with pytest.raises(ClusterUnavailable, match=r"RAY_ADDRESS|has ended"):
        spread.exporter.export(plan, CancelToken())
    assert spread.visible() == []
