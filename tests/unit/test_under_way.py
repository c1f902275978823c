"""Blocks on their way: bounded in number and bytes, in their order, and the first failure is heard early."""

import threading
from functools import partial
from pathlib import Path

import pytest

from engine.errors import LimitExceeded, StoreUnavailable
from engine.runners.ray.staged_blocks import PieceStream
from engine.stores import DirectoryStore, in_flight
from engine.stores.in_flight import UnderWay
from engine.stores.port import Staging
from tests.helpers.running import wait_for


def test_ids_are_in_the_order_of_the_blocks() -> None:
    first = threading.Event()

    def stage(number: int) -> str:
        assert number or first.wait(10)
        return str(number)

    blocks = UnderWay(4)
    for number in range(4):
        blocks.begin(partial(stage, number), 1)
    first.set()
    assert blocks.ids() == ["0", "1", "2", "3"]
    blocks.close()


class Slow:
    """A store whose blocks arrive when they may; the one of ``failing`` does not."""

    readable = False
    parallel_blocks = 2

    def __init__(self, failing: int | None = None) -> None:
        self.may = threading.Event()
        self.begun: list[int] = []
        self._failing = failing

    def stage(self, ordinal: int, data: bytes | memoryview) -> str:
        self.begun.append(ordinal)
        if ordinal == self._failing:
            raise StoreUnavailable("gone")
        assert self.may.wait(10)
        return f"{ordinal}:{bytes(data).decode()}"

    def block(self, block_id: str, length: int) -> memoryview:
        raise NotImplementedError

    def adopt(self, block_id: str, length: int) -> None:
        raise NotImplementedError


def fill(stream: PieceStream, times: int) -> None:
    for _ in range(times):
        stream.append(b"ab")


def test_a_task_waits_for_a_store_that_is_slower_than_its_rows() -> None:
    store: Staging = (slow := Slow())
    with PieceStream(store, [2] * 64) as stream:
        thread = threading.Thread(target=fill, args=(stream, 20))
        thread.start()
        wait_for(lambda: len(slow.begun) == 2)
        thread.join(0.1)
        assert thread.is_alive()
        assert slow.begun == [0, 1]
        slow.may.set()
        thread.join(10)
        stream.append(b"c")
        piece = stream.finish(21)
    assert [block.id for block in piece.blocks] == [*(f"{number}:ab" for number in range(20)), "20:c"]
    assert b"".join(map(bytes, piece.content)) == b"ab" * 20 + b"c"
    assert [block.length for block in piece.blocks] == [*[2] * 20, 1]


def test_a_task_hears_that_a_block_was_refused_before_it_has_encoded_all() -> None:
    slow = Slow(failing=0)
    slow.may.set()
    with PieceStream(slow, [2] * 64) as stream, pytest.raises(StoreUnavailable):
        fill(stream, 64)
    assert len(slow.begun) < 64


def test_large_blocks_of_a_task_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "UNDER_WAY_BYTES", 3)
    slow = Slow()
    with PieceStream(slow, [2] * 8) as stream:
        thread = threading.Thread(target=fill, args=(stream, 3))
        thread.start()
        wait_for(lambda: bool(slow.begun))
        thread.join(0.1)
        assert slow.begun == [0]
        slow.may.set()
        thread.join(10)
        stream.finish(3)


def test_a_task_beyond_its_blocks_is_refused(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    upload = store.begin("a", content_type="text/plain")
    with PieceStream(upload, [2]) as stream, pytest.raises(LimitExceeded):
        fill(stream, 3)
    upload.abort()
