"""Blocks in flight: bounded in number and in bytes, in order, and the first failure is raised early."""

import threading
from functools import partial
from pathlib import Path

import pytest

from engine.errors import LimitExceeded, StoreUnavailable
from engine.runners.ray.staged_blocks import SegmentWriter
from engine.stores import DirectoryStore, in_flight
from engine.stores.in_flight import InFlightUploads
from engine.stores.port import Staging
from tests.helpers.running import wait_for


def test_ids_are_in_the_order_of_the_blocks() -> None:
    first = threading.Event()

    def stage(number: int) -> str:
        assert number or first.wait(10)
        return str(number)

    uploads = InFlightUploads(4)
    for number in range(4):
        uploads.submit(partial(stage, number), 1)
    first.set()
    assert uploads.ids() == ["0", "1", "2", "3"]
    uploads.close()


class SlowStaging:
    """Stages blocks once ``release`` is set, and fails for the block ``failing``."""

    readable = False
    parallel_blocks = 2

    def __init__(self, failing: int | None = None) -> None:
        self.release = threading.Event()
        self.started: list[int] = []
        self._failing = failing

    def stage(self, ordinal: int, data: bytes | memoryview) -> str:
        self.started.append(ordinal)
        if ordinal == self._failing:
            raise StoreUnavailable("unreachable")
        assert self.release.wait(10)
        return f"{ordinal}:{bytes(data).decode()}"


def append(writer: SegmentWriter, times: int) -> None:
    for _ in range(times):
        writer.append(b"ab")


def test_a_task_waits_for_a_store_that_is_slower_than_its_rows() -> None:
    staging: Staging = (slow := SlowStaging())
    with SegmentWriter(staging, [(64, 2)], hand_over=True) as writer:
        thread = threading.Thread(target=append, args=(writer, 20))
        thread.start()
        wait_for(lambda: len(slow.started) == 2)
        thread.join(0.1)
        assert thread.is_alive()
        assert sorted(slow.started) == [0, 1]
        slow.release.set()
        thread.join(10)
        writer.append(b"c")
        segment = writer.finish(21)
    assert [block.id for block in segment.blocks] == [*(f"{number}:ab" for number in range(20)), "20:c"]
    assert b"".join(map(bytes, segment.content)) == b"ab" * 20 + b"c"
    assert [block.length for block in segment.blocks] == [*[2] * 20, 1]


def test_a_task_fails_with_its_first_block_and_not_at_its_end() -> None:
    slow = SlowStaging(failing=0)
    slow.release.set()
    with SegmentWriter(slow, [(64, 2)], hand_over=True) as writer, pytest.raises(StoreUnavailable):
        append(writer, 64)
    assert len(slow.started) < 64


def test_large_blocks_of_a_task_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "MAX_IN_FLIGHT_BYTES", 3)
    slow = SlowStaging()
    with SegmentWriter(slow, [(8, 2)], hand_over=True) as writer:
        thread = threading.Thread(target=append, args=(writer, 3))
        thread.start()
        wait_for(lambda: bool(slow.started))
        thread.join(0.1)
        assert slow.started == [0]
        slow.release.set()
        thread.join(10)
        writer.finish(3)


def test_bytes_beyond_the_blocks_of_a_task_are_refused(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    upload = store.begin("a", content_type="text/plain")
    with SegmentWriter(upload, [(1, 2)], hand_over=True) as writer, pytest.raises(LimitExceeded):
        append(writer, 3)
    upload.abort()
