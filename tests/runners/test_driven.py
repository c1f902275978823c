"""What the service hears of its driver, played by a thread at the other end of the connection."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import pytest

from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import Cancelled, ClusterUnavailable, ObjectExists
from engine.exports.export import export_key
from engine.runners.ray.client import DrivenRunner
from engine.runners.ray.driver import Order, Told
from engine.runners.ray.driver_process import Driver
from engine.runners.ray.messages import Failure
from engine.settings import StorageSettings
from engine.stores import DirectoryStore
from tests.helpers.engine import Engine, entry
from tests.helpers.running import wait_for
from tests.helpers.small_parts import publish_small_parts

Playing = Callable[[Connection, Order], None]


class Played:
    """In the place of a process."""

    def __init__(self, playing: Playing) -> None:
        self._playing = playing

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection whose other end is played."""
        ours, theirs = Pipe()
        thread = threading.Thread(target=self._play, args=(theirs,))
        thread.start()
        yield ours
        thread.join(10)
        assert not thread.is_alive()

    def _play(self, connection: Connection) -> None:
        with connection, suppress(EOFError, OSError):
            self._playing(connection, connection.recv())


class Service:
    """One runner and what it is asked for."""

    def __init__(self, folder: Path, playing: Playing) -> None:
        self.engine = Engine(folder / "engine")
        publish_small_parts(self.engine, [{"n": n} for n in range(10_000)])
        self.exports = DirectoryStore(folder / "exports")
        filters = [entry("n", "IN", [1, 9_000])]
        self.plan = self.engine.plan(self.engine.exporter(), "csv", filters=filters, sort_by="n")
        self.key = export_key("w", self.plan.export_id, self.plan.request.format)
        self.cancel, self.progress = CancelToken(), Progress()
        storage = StorageSettings(results=str(folder / "engine" / "store"), exports=str(folder / "exports"))
        driver = cast("Driver", Played(playing))
        self._runner = DrivenRunner(driver, self.exports, storage, self.engine.settings(1), tasks_at_once=3)

    def run(self, before_commit: Callable[[], None] = lambda: None) -> int:
        """The size that the store tells."""
        with self._runner.stage(self.plan, self.key, self.cancel, self.progress) as staged:
            before_commit()
            return staged.commit({"by": "us"}).size


STAGED = Told(staged=(1, 3, "hash"))


def commit(service: Service) -> Told:
    """What a driver does at the end."""
    return Told(committed=service.exports.create(service.key, b"abc", content_type="text/csv", metadata={}))


def test_a_cancel_is_heard_among_many_words(tmp_path: Path) -> None:
    stopped = threading.Event()

    def flood(connection: Connection, _: Order) -> None:
        def listen() -> None:
            assert connection.recv() is None
            stopped.set()

        listener = threading.Thread(target=listen)
        listener.start()
        rows = 0
        while not stopped.is_set():
            rows += 1
            connection.send(Told(rows, rows))
        listener.join()
        connection.send(Told(failure=Failure("Cancelled", "c", {})))

    service = Service(tmp_path, flood)

    def leave() -> None:
        wait_for(lambda: service.progress.rows > 100)
        service.cancel.cancel()

    threading.Thread(target=leave).start()
    with pytest.raises(Cancelled):
        service.run()
    assert stopped.is_set()


def test_a_commit_that_is_under_way_is_not_cancelled(tmp_path: Path) -> None:
    def play(connection: Connection, _: Order) -> None:
        connection.send(STAGED)
        assert connection.recv() == {"by": "us"}
        threading.Event().wait(0.6)
        connection.send(commit(service))

    service = Service(tmp_path, play)
    assert service.run(service.cancel.cancel) == 3


def test_a_driver_that_died_behind_the_commit_has_made_the_file(tmp_path: Path) -> None:
    def play(connection: Connection, _: Order) -> None:
        connection.send(STAGED)
        connection.recv()
        commit(service)

    service = Service(tmp_path, play)
    assert service.run() == 3


def test_one_that_died_before_it_has_not(tmp_path: Path) -> None:
    def play(connection: Connection, _: Order) -> None:
        connection.send(STAGED)
        connection.recv()

    with pytest.raises(ClusterUnavailable):
        Service(tmp_path, play).run()


def test_an_order_has_the_limits_and_the_ranges_of_its_export_and_no_bounds(tmp_path: Path) -> None:
    orders: list[Order] = []

    def play(connection: Connection, order: Order) -> None:
        orders.append(order)
        connection.send(STAGED)
        connection.recv()
        connection.send(commit(service))

    service = Service(tmp_path, play)
    assert service.run() == 3
    (found,) = orders
    assert (found.key, found.tasks_at_once, found.settings) == (service.key, 3, service.engine.settings(1))
    assert [one.bytes for one in found.plan.scan_ranges] == [one.bytes for one in service.plan.scan_ranges]
    assert found.plan.export_id == service.plan.export_id
    assert found.plan.row_group_mask == ()
    assert {str(group.statistics) for part in found.plan.run.parts for group in part.row_groups} == {"{}"}
    assert service.plan.run.parts[0].row_groups[0].statistics != {}
    (range_,) = found.plan.ranges
    assert [piece.parts for piece in range_.subranges] == [(part,) for part in found.plan.run.parts]


def test_what_it_failed_with_is_raised(tmp_path: Path) -> None:
    def play(connection: Connection, _: Order) -> None:
        connection.send(STAGED)
        connection.recv()
        connection.send(Told(failure=Failure("ObjectExists", "taken", {})))

    with pytest.raises(ObjectExists, match="taken"):
        Service(tmp_path, play).run()
