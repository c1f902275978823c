"""A real Ray cluster of two nodes, and exports that run on it. Skips where Ray is not installed."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from engine.publishing import publisher
from engine.runners.ray.client import RayClientRunner
from engine.runners.ray.driver_process import Driver
from engine.settings import StorageSettings
from engine.stores import DirectoryStore, open_store
from tests.helpers.azurite import Azurite
from tests.helpers.engine import Engine
from tests.helpers.fault_proxy import FaultProxy
from tests.helpers.ray_cluster import RayCluster, available
from tests.helpers.spread import SMALL, Spread

ROWS = 60_000
LARGE_ROWS = 400_000


@pytest.fixture(scope="session", autouse=True)
def _ray() -> None:
    reason = available()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def proxy(azurite: Azurite) -> Iterator[FaultProxy]:
    """The proxy between tasks and the emulator; it injects no fault unless a test does."""
    with FaultProxy(azurite.port) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def cluster(proxy: FaultProxy) -> Iterator[RayCluster]:
    """Two nodes whose environment has the credentials for Azure, through the proxy."""
    with RayCluster(environment={"AZURE_STORAGE_CONNECTION_STRING": proxy.connection_string}) as cluster:
        yield cluster


class Drivers:
    """One driver for each cluster, shared by all tests as it is by all exports of a service."""

    def __init__(self) -> None:
        self._found: dict[str, Driver] = {}

    def of(self, cluster: RayCluster) -> Driver:
        """The driver for a cluster."""
        return self._found.setdefault(cluster.address, Driver(cluster.address))

    def close(self) -> None:
        """End all drivers."""
        for driver in self._found.values():
            driver.close()


@pytest.fixture(scope="session")
def drivers() -> Iterator[Drivers]:
    """One driver for each cluster."""
    drivers = Drivers()
    yield drivers
    drivers.close()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A run of some thirty ranges in ten parts, in a directory that all nodes share."""
    chance = Random(5)
    engine = Engine(tmp_path_factory.mktemp("cluster"))
    table = pa.table(
        {
            "n": pa.array(range(ROWS)),
            "text": [f"{chance.getrandbits(64):x}" for _ in range(ROWS)],
            "few": [chance.choice(["a", None, "é,\n"]) for _ in range(ROWS)],
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publisher, "_COPY_OPTIONS", SMALL)
        engine.publish(engine.write_parquet(table))
    return engine


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A run whose tasks take long enough to inject faults."""
    engine = Engine(tmp_path_factory.mktemp("large"))
    text = [sha256(str(n).encode()).hexdigest() for n in range(LARGE_ROWS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publisher, "_COPY_OPTIONS", SMALL.replace("2048", "65536"))
        engine.publish(engine.write_parquet(pa.table({"n": pa.array(range(LARGE_ROWS)), "text": text})))
    return engine


@pytest.fixture
def spread_on(
    engine: Engine, drivers: Drivers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Spread]:
    """Exports of the run into a directory or Azure, on a cluster."""
    monkeypatch.setattr("engine.plan.planner.PARQUET_RANGE_BYTES", 1)

    def made(
        cluster: RayCluster,
        location: str | None = None,
        connection_string: str | None = None,
        engine: Engine = engine,
        min_task_bytes: int = 100_000,
        results: str | None = None,
        memory_limit: str = "500MB",
        **limits: int,
    ) -> Spread:
        for name, value in cluster.access.items():
            monkeypatch.setenv(name, value)
        exports = location or str(tmp_path / "exports")
        storage = StorageSettings(
            results=results or str(engine.folder / "store"),
            exports=exports,
            azure_connection_string=connection_string,
        )
        store = open_store(exports, connection_string=connection_string) if location else DirectoryStore(Path(exports))
        settings = engine.settings(2).model_copy(update={"memory_limit": memory_limit})
        driver = drivers.of(cluster)
        runner = RayClientRunner(driver, store, storage, settings, min_task_bytes=min_task_bytes, **limits)
        return Spread(engine, store, runner)

    return made


@pytest.fixture
def spread_large(spread_on: Callable[..., Spread], large: Engine) -> Callable[..., Spread]:
    """Exports of the larger run."""
    return lambda *places, **limits: spread_on(*places, engine=large, min_task_bytes=2_000_000, **limits)
