"""Instances that are open ahead: few, each for one taker alone, and none left at the end."""

import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from engine.execute.file_assembler import FileAssembler
from engine.execute.filesystems import StageFileSystem
from engine.execute.instance_pool import Spares
from engine.execute.ordered_sink import OrderedSink

MOST = 2
_PATIENCE_SECONDS = 30

FORK = """
import os, sys, time
import duckdb
from engine.execute.instance_pool import Spares
spares = Spares(lambda: duckdb.connect(config={"threads": 1}), most=2)
with spares.kept():
    while spares.ready < 2:
        time.sleep(0.01)
    child = os.fork()
    if not child:
        first, second = spares.take(), None
        with spares.kept():
            while spares.ready < 2:
                time.sleep(0.01)
            second = spares.take()
        answers = [one.execute("SELECT 42").fetchall() for one in (first, second)]
        os._exit(0 if answers == [[(42,)], [(42,)]] else 1)
    status = os.waitpid(child, 0)[1]
    print(status, spares.ready, spares.take().execute("SELECT 43").fetchall())
"""


class Maker:
    """Makes instances, counts them, and fails when it is told to."""

    def __init__(self) -> None:
        self.made: list[duckdb.DuckDBPyConnection] = []
        self.made_at: list[float] = []
        self.failing: Exception | None = None
        self.failed = threading.Event()

    def __call__(self) -> duckdb.DuckDBPyConnection:
        if self.failing:
            self.failed.set()
            raise self.failing
        self.made_at.append(time.monotonic())
        connection = duckdb.connect(config={"threads": 1})
        self.made.append(connection)
        return connection


@pytest.fixture
def maker() -> Maker:
    """Counts what is made."""
    return Maker()


@pytest.fixture
def spares(maker: Maker) -> Spares:
    """Nobody keeps them yet."""
    return Spares(maker, most=MOST)


def wait_for(condition: Callable[[], bool]) -> None:
    """Until another thread has done what it has to."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_open(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether it still answers."""
    try:
        return connection.execute("SELECT 1").fetchall() == [(1,)]
    except duckdb.ConnectionException:
        return False


def fillers() -> list[threading.Thread]:
    """Threads that make instances ahead."""
    return [thread for thread in threading.enumerate() if thread.name == "spares"]


def test_nothing_is_open_ahead_unless_someone_keeps_it(spares: Spares, maker: Maker) -> None:
    taken = spares.take()
    assert is_open(taken)
    spares.retire(taken)
    assert maker.made == [taken]
    assert not is_open(taken)
    assert spares.ready == 0
    assert not fillers()


def test_so_many_are_open_ahead_and_each_is_taken_once(spares: Spares, maker: Maker) -> None:
    with spares.kept():
        wait_for(lambda: spares.ready == MOST)
        # One more than there are: it is made when it is asked for.
        taken = [spares.take() for _ in range(MOST + 1)]
        assert len(maker.made) == MOST + 1
        assert len({id(one) for one in taken}) == MOST + 1
        taken[0].execute("CREATE TABLE of_one_session AS SELECT 1")
        spares.retire(taken[0])
        wait_for(lambda: spares.ready == MOST)
        taken += [spares.take() for _ in range(MOST)]
        assert len({id(one) for one in taken}) == 2 * MOST + 1
        assert [one.execute("SHOW TABLES").fetchall() for one in taken[1:]] == [[]] * 2 * MOST
    assert all(map(is_open, taken[1:]))


def test_what_is_retired_is_closed_first_and_the_next_is_made_a_moment_later(spares: Spares, maker: Maker) -> None:
    """While one is ready: the rest of a small export takes less than that."""
    with spares.kept():
        wait_for(lambda: spares.ready == MOST)
        taken = spares.take()
        retired_at = time.monotonic()
        spares.retire(taken)
        wait_for(lambda: spares.ready == MOST)
        assert not is_open(taken)
        assert maker.made_at[-1] - retired_at > 0.02


def test_when_none_is_ready_others_are_made(spares: Spares) -> None:
    with spares.kept():
        wait_for(lambda: spares.ready == MOST)
        taken = [spares.take() for _ in range(MOST)]
        spares.retire(taken[0])
        wait_for(lambda: spares.ready == MOST)
        assert is_open(taken[1])


def test_what_is_retired_at_the_end_is_closed(spares: Spares) -> None:
    for _ in range(20):
        with spares.kept():
            taken = [spares.take() for _ in range(MOST)]
            for one in taken:
                spares.retire(one)
        assert not any(map(is_open, taken))
        assert spares.ready == 0


def test_what_a_retired_one_held_is_let_go() -> None:
    """Its file systems hold the last blocks of an export."""
    spares = Spares(duckdb.connect, most=MOST)
    with spares.kept():
        taken = spares.take()
        file_system = StageFileSystem(OrderedSink(FileAssembler(), lambda _: None, count=1, max_waiting_bytes=0))
        held = weakref.ref(file_system)
        taken.register_filesystem(file_system)
        spares.retire(taken)
        del taken, file_system
        wait_for(lambda: held() is None)


def test_there_are_never_more(spares: Spares, maker: Maker) -> None:
    def take(_: int) -> duckdb.DuckDBPyConnection:
        taken = spares.take()
        spares.retire(taken)
        assert spares.ready <= MOST
        return taken

    with spares.kept(), ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, range(100)))
        wait_for(lambda: spares.ready == MOST)
        assert len({id(one) for one in taken}) == 100
        assert len(maker.made) == 100 + MOST


def test_those_that_nobody_took_are_closed_by_the_last_who_keeps_them(spares: Spares, maker: Maker) -> None:
    with spares.kept():
        with spares.kept():
            wait_for(lambda: spares.ready == MOST)
        assert spares.ready == MOST
        assert all(map(is_open, maker.made))
    assert spares.ready == 0
    assert not any(map(is_open, maker.made))
    assert not fillers()
    with spares.kept():
        wait_for(lambda: spares.ready == MOST)
        assert is_open(spares.take())


@pytest.mark.parametrize("error", [duckdb.Error, MemoryError, RuntimeError])
def test_what_cannot_be_made_is_told_to_its_taker_alone(spares: Spares, maker: Maker, error: type[Exception]) -> None:
    maker.failing = error("no memory")
    with spares.kept():
        assert maker.failed.wait(_PATIENCE_SECONDS)
        with pytest.raises(error, match="no memory"):
            spares.take()
        maker.failing = None
        spares.retire(spares.take())
        wait_for(lambda: spares.ready == MOST)


def test_a_fork_has_none_of_its_parent() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0 2 [(43,)]\n", "")
