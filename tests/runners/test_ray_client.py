"""The client of the driver, which a thread plays at the other end of the connection."""

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
from engine.runners.ray.client import RayClientRunner
from engine.runners.ray.driver import DriverReply, DriverRequest
from engine.runners.ray.driver_process import Driver
from engine.runners.ray.messages import Failure
from engine.settings import StorageSettings
from engine.stores import DirectoryStore
from tests.helpers.engine import Engine, entry
from tests.helpers.running import wait_for
from tests.helpers.small_parts import publish_small_parts

Script = Callable[[Connection, DriverRequest], None]


class ScriptedDriver:
    """Takes the place of `Driver`: a thread runs a script instead of a process."""

    def __init__(self, script: Script) -> None:
        self._script = script

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection to the script."""
        ours, theirs = Pipe()
        thread = threading.Thread(target=self._play, args=(theirs,))
        thread.start()
        yield ours
        thread.join(10)
        assert not thread.is_alive()

    def _play(self, connection: Connection) -> None:
        with connection, suppress(EOFError, OSError):
            self._script(connection, connection.recv())


class Service:
    """One runner and one export."""

    def __init__(self, folder: Path, script: Script) -> None:
        self.engine = Engine(folder / "engine")
        publish_small_parts(self.engine, [{"n": n} for n in range(10_000)])
        self.exports = DirectoryStore(folder / "exports")
        filters = [entry("n", "IN", [1, 9_000])]
        self.plan = self.engine.plan(self.engine.exporter(), "csv", filters=filters, sort_by="n")
        self.key = export_key("w", self.plan.export_id, self.plan.request.format)
        self.cancel, self.progress = CancelToken(), Progress()
        storage = StorageSettings(
            results=str(folder / "engine" / "store"), exports=str(folder / "exports"), azure_checksum="md5"
        )
        driver = cast("Driver", ScriptedDriver(script))
        self._runner = RayClientRunner(driver, self.exports, storage, self.engine.settings(1), max_tasks=3)

    def run(self, before_commit: Callable[[], None] = lambda: None) -> int:
        """Run the export; returns the size of its object."""
        with self._runner.stage(self.plan, self.key, self.cancel, self.progress) as staged:
            before_commit()
            return staged.commit({"by": "us"}).size


STAGED = DriverReply(staged=(1, 3, "hash", "checksum"))


def commit(service: Service) -> DriverReply:
    """Commit as a driver does."""
    return DriverReply(committed=service.exports.create(service.key, b"abc", content_type="text/csv", metadata={}))


def test_a_cancel_is_noticed_while_the_driver_sends_many_messages(tmp_path: Path) -> None:
    stopped = threading.Event()

    def flood(connection: Connection, _: DriverRequest) -> None:
        def listen() -> None:
            assert connection.recv() is None
            stopped.set()

        listener = threading.Thread(target=listen)
        listener.start()
        rows = 0
        while not stopped.is_set():
            rows += 1
            connection.send(DriverReply(rows, rows))
        listener.join()
        connection.send(DriverReply(failure=Failure("Cancelled", "c", {})))

    service = Service(tmp_path, flood)

    def leave() -> None:
        wait_for(lambda: service.progress.rows > 100)
        service.cancel.cancel()

    threading.Thread(target=leave).start()
    with pytest.raises(Cancelled):
        service.run()
    assert stopped.is_set()


def test_a_commit_in_progress_is_not_cancelled(tmp_path: Path) -> None:
    def play(connection: Connection, _: DriverRequest) -> None:
        connection.send(STAGED)
        assert connection.recv() == {"by": "us"}
        threading.Event().wait(0.6)
        connection.send(commit(service))

    service = Service(tmp_path, play)
    assert service.run(service.cancel.cancel) == 3


def test_a_driver_that_died_after_its_commit_has_written_the_file(tmp_path: Path) -> None:
    def play(connection: Connection, _: DriverRequest) -> None:
        connection.send(STAGED)
        connection.recv()
        commit(service)

    service = Service(tmp_path, play)
    assert service.run() == 3


def test_a_driver_that_died_before_its_commit_is_an_error(tmp_path: Path) -> None:
    def play(connection: Connection, _: DriverRequest) -> None:
        connection.send(STAGED)
        connection.recv()

    with pytest.raises(ClusterUnavailable):
        Service(tmp_path, play).run()


def test_a_request_has_the_limits_and_ranges_of_its_export_but_no_column_statistics(tmp_path: Path) -> None:
    orders: list[DriverRequest] = []

    def play(connection: Connection, order: DriverRequest) -> None:
        orders.append(order)
        connection.send(STAGED)
        connection.recv()
        connection.send(commit(service))

    service = Service(tmp_path, play)
    assert service.run() == 3
    (found,) = orders
    assert (found.key, found.max_tasks, found.settings) == (service.key, 3, service.engine.settings(1))
    assert found.checksum == "md5"
    assert [one.bytes for one in found.plan.scan_ranges] == [one.bytes for one in service.plan.scan_ranges]
    assert found.plan.export_id == service.plan.export_id
    assert found.plan.row_group_mask == ()
    assert {str(group.statistics) for part in found.plan.run.parts for group in part.row_groups} == {"{}"}
    assert service.plan.run.parts[0].row_groups[0].statistics != {}
    (range_,) = found.plan.ranges
    assert [piece.parts for piece in range_.subranges] == [(part,) for part in found.plan.run.parts]


def test_the_failure_of_the_driver_is_raised(tmp_path: Path) -> None:
    def play(connection: Connection, _: DriverRequest) -> None:
        connection.send(STAGED)
        connection.recv()
        connection.send(DriverReply(failure=Failure("ObjectExists", "taken", {})))

    with pytest.raises(ObjectExists, match="taken"):
        Service(tmp_path, play).run()
