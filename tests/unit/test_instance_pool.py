"""The instance pool: a few instances ready, each of them for one caller, and none left open at the end."""

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from engine.execute.file_assembler import FileAssembler
from engine.execute.filesystems import StageFileSystem
from engine.execute.instance_pool import InstancePool
from engine.execute.ordered_sink import OrderedSink
from tests.helpers.running import wait_for

SIZE = 2


class Opener:
    """Opens instances, records them, and raises ``error`` if there is one."""

    def __init__(self) -> None:
        self.opened: list[duckdb.DuckDBPyConnection] = []
        self.opened_at: list[float] = []
        self.error: Exception | None = None
        self.failed = threading.Event()

    def __call__(self) -> duckdb.DuckDBPyConnection:
        if self.error:
            self.failed.set()
            raise self.error
        self.opened_at.append(time.monotonic())
        connection = duckdb.connect(config={"threads": 1})
        self.opened.append(connection)
        return connection


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def pool(opener: Opener) -> InstancePool:
    """A pool that is not running."""
    return InstancePool(opener, size=SIZE)


def is_open(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        return connection.execute("SELECT 1").fetchall() == [(1,)]
    except duckdb.ConnectionException:
        return False


def pool_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "instances"]


def test_a_pool_that_is_not_running_opens_on_demand_and_closes_at_once(pool: InstancePool, opener: Opener) -> None:
    connection = pool.acquire()
    assert is_open(connection)
    pool.release(connection)
    assert opener.opened == [connection]
    assert not is_open(connection)
    assert pool.ready == 0
    assert not pool_threads()


def test_every_instance_is_acquired_once(pool: InstancePool, opener: Opener) -> None:
    with pool.running():
        wait_for(lambda: pool.ready == SIZE)
        # One more than are ready.
        acquired = [pool.acquire() for _ in range(SIZE + 1)]
        assert len(opener.opened) == SIZE + 1
        assert len({id(one) for one in acquired}) == SIZE + 1
        acquired[0].execute("CREATE TABLE of_one_session AS SELECT 1")
        pool.release(acquired[0])
        wait_for(lambda: pool.ready == SIZE)
        acquired += [pool.acquire() for _ in range(SIZE)]
        assert len({id(one) for one in acquired}) == 2 * SIZE + 1
        assert [one.execute("SHOW TABLES").fetchall() for one in acquired[1:]] == [[]] * 2 * SIZE
    assert all(map(is_open, acquired[1:]))


def test_a_released_instance_is_closed_and_replaced_after_a_delay(pool: InstancePool, opener: Opener) -> None:
    """While another one is ready: the rest of a small export takes less than the delay."""
    with pool.running():
        wait_for(lambda: pool.ready == SIZE)
        connection = pool.acquire()
        released_at = time.monotonic()
        pool.release(connection)
        wait_for(lambda: pool.ready == SIZE)
        assert not is_open(connection)
        assert opener.opened_at[-1] - released_at > 0.02


def test_an_empty_pool_is_refilled_while_other_instances_are_in_use(pool: InstancePool) -> None:
    with pool.running():
        wait_for(lambda: pool.ready == SIZE)
        acquired = [pool.acquire() for _ in range(SIZE)]
        pool.release(acquired[0])
        wait_for(lambda: pool.ready == SIZE)
        assert is_open(acquired[1])


def test_instances_released_just_before_the_end_are_closed(pool: InstancePool) -> None:
    for _ in range(20):
        with pool.running():
            acquired = [pool.acquire() for _ in range(SIZE)]
            for one in acquired:
                pool.release(one)
        assert not any(map(is_open, acquired))
        assert pool.ready == 0


def test_a_released_instance_does_not_keep_its_file_systems_alive() -> None:
    """They hold the last blocks of an export."""
    pool = InstancePool(duckdb.connect, size=SIZE)
    with pool.running():
        connection = pool.acquire()
        file_system = StageFileSystem(OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0))
        alive = weakref.ref(file_system)
        connection.register_filesystem(file_system)
        pool.release(connection)
        del connection, file_system
        wait_for(lambda: alive() is None)


def test_the_pool_never_exceeds_its_size(pool: InstancePool, opener: Opener) -> None:
    def use(_: int) -> duckdb.DuckDBPyConnection:
        connection = pool.acquire()
        pool.release(connection)
        assert pool.ready <= SIZE
        return connection

    with pool.running(), ThreadPoolExecutor(8) as threads:
        acquired = list(threads.map(use, range(100)))
        wait_for(lambda: pool.ready == SIZE)
        assert len({id(one) for one in acquired}) == 100
        assert len(opener.opened) == 100 + SIZE


def test_instances_that_nobody_acquired_are_closed_at_the_end_and_the_pool_can_run_again(
    pool: InstancePool, opener: Opener
) -> None:
    for _ in range(2):
        with pool.running():
            wait_for(lambda: pool.ready == SIZE)
            assert all(map(is_open, opener.opened[-SIZE:]))
        assert pool.ready == 0
        assert not any(map(is_open, opener.opened))
        assert not pool_threads()


@pytest.mark.parametrize("error", [duckdb.Error, MemoryError, RuntimeError])
def test_an_instance_that_cannot_be_opened_fails_the_caller_and_not_the_pool(
    pool: InstancePool, opener: Opener, error: type[Exception]
) -> None:
    opener.error = error("no memory")
    with pool.running():
        assert opener.failed.wait(30)
        with pytest.raises(error, match="no memory"):
            pool.acquire()
        opener.error = None
        pool.release(pool.acquire())
        wait_for(lambda: pool.ready == SIZE)
