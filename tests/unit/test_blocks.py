"""A stream of bytes cut into the blocks of one object."""

import hashlib
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import LimitExceeded, ObjectExists, StoreUnavailable
from engine.runners.ray.staged_blocks import SegmentWriter
from engine.stores import DirectoryStore, Upload, block_stream, in_flight
from engine.stores.block_stream import BLOCK_TIERS, BlockStream
from engine.stores.block_writer import MIB, BlockWriter, block_bytes, shared_block_tiers
from engine.stores.validation import MAX_BLOCKS
from tests.helpers.running import wait_for

TIB = 1024**4
CHUNKS = st.lists(st.binary(max_size=40), max_size=12)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((2, 4), (49_998, 16)))


def test_the_blocks_of_one_writer_fill_the_largest_object() -> None:
    assert sum(count for count, _ in BLOCK_TIERS) == MAX_BLOCKS
    assert sum(count * size for count, size in BLOCK_TIERS) > 13 * TIB
    assert [block_bytes(ordinal, BLOCK_TIERS) for ordinal in (0, 9_999, 10_000, MAX_BLOCKS - 1)] == [
        size * MIB for size in (8, 8, 16, 1024)
    ]
    with pytest.raises(LimitExceeded, match="narrow the export by filters"):
        block_bytes(MAX_BLOCKS, BLOCK_TIERS)


@pytest.mark.parametrize("writers", [1, 2, 100, 781, 782, 5_000, 10_001, 20_000])
def test_several_writers_share_the_blocks_of_one_object(writers: int) -> None:
    sizes = [size for count, size in shared_block_tiers(writers) for _ in range(count)]
    # The driver of a cluster adds two blocks.
    assert writers * len(sizes) + 2 <= MAX_BLOCKS < writers * (len(sizes) + 1) + 2
    assert sizes == sorted(sizes)
    assert sizes[0] == 8 * MIB
    assert sizes[-1] == 4000 * MIB
    assert set(sizes[:-1]) <= {size * MIB for size in (8, 16, 64, 256, 1024)}
    assert writers * sum(sizes) > 10 * TIB


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=CHUNKS)
def test_the_object_is_the_concatenation(
    tmp_path_factory: pytest.TempPathFactory, small_blocks: None, chunks: list[bytes]
) -> None:
    store = DirectoryStore(tmp_path_factory.mktemp("blocks"))
    with BlockStream(store, "a/b", content_type="text/plain") as stream:
        for chunk in chunks:
            stream.append(chunk)
        info = stream.commit({"k": "v"})
    content = b"".join(chunks)
    assert store.read("a/b") == content
    assert (stream.size, info.size) == (len(content), len(content))
    assert stream.sha256 == hashlib.sha256(content).hexdigest()
    assert (info.content_type, dict(info.metadata)) == ("text/plain", {"k": "v"})


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=CHUNKS, readable=st.booleans(), hand_over=st.booleans())
def test_the_blocks_of_a_task_are_the_concatenation(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], readable: bool, hand_over: bool
) -> None:
    store = DirectoryStore(tmp_path_factory.mktemp("blocks"))
    upload = store.begin("a/b", content_type="text/plain")
    staging = store.join("a/b", upload.handle)
    staging.readable = readable
    with SegmentWriter(staging, [(2, 4), (3, 16), (1, 4_000)], hand_over=hand_over) as writer:
        for chunk in chunks:
            writer.append(chunk)
        segment = writer.finish(0)
    content = b"".join(chunks)
    assert [block.length for block in segment.blocks[:-1]] == [4, 4, 16, 16, 16][: max(0, len(segment.blocks) - 1)]
    assert b"".join(map(bytes, segment.content)) == (content if hand_over and not readable else b"")
    for block in segment.blocks:
        upload.adopt(block.id, block.length)
    upload.commit([block.id for block in segment.blocks], metadata={})
    assert store.read("a/b") == content


def test_memory_grows_with_the_bytes_of_a_block_and_not_with_its_maximum_size() -> None:
    """The last block of a task may hold 4,000 MiB, and usually holds little."""
    content = bytes(range(200)) * 1_000
    tracemalloc.start()
    writer = BlockWriter(lambda: pytest.fail("no block is full"), [(1, 4000 * MIB)], max_in_flight=1)
    for start in range(0, len(content), 7_000):
        writer.append(content[start : start + 7_000])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bytes(writer.pending) == content
    assert peak < 3 * len(content)


def test_the_buffer_of_a_staged_block_is_filled_again() -> None:
    """Each buffer is seen by the store, which keeps it alive, so that addresses are not reused by chance."""
    staged: list[memoryview] = []

    class Recorder:
        parallel_blocks = 1
        readable = True

        def stage(self, ordinal: int, data: bytes | memoryview) -> str:
            staged.append(memoryview(data))
            return str(ordinal)

    for reuse_buffers in (True, False):
        staged.clear()
        writer = BlockWriter(Recorder, [(20, 16)], max_in_flight=1, reuse_buffers=reuse_buffers)
        for number in range(20):
            writer.append(bytes([number]) * 16)
        assert writer.finish() == [str(number) for number in range(20)]
        buffers = {id(view.obj) for view in staged}
        assert len(buffers) <= 3 if reuse_buffers else len(buffers) == 20
        if not reuse_buffers:
            assert [bytes(view) for view in staged] == [bytes([number]) * 16 for number in range(20)]
        writer.close()


@pytest.mark.parametrize("content", [b"ab", b"x" * 100])
def test_nothing_is_visible_without_a_commit(tmp_path: Path, small_blocks: None, content: bytes) -> None:
    store = DirectoryStore(tmp_path)
    with BlockStream(store, "a", content_type="text/plain") as stream:
        stream.append(content)
    with pytest.raises(RuntimeError), BlockStream(store, "a", content_type="text/plain") as stream:  # noqa: PT012
        stream.append(content)
        raise RuntimeError
    assert list(store.list("")) == []


@pytest.mark.parametrize("content", [b"ab", b"x" * 100])
def test_an_existing_object_is_not_replaced(tmp_path: Path, small_blocks: None, content: bytes) -> None:
    store = DirectoryStore(tmp_path)
    store.create("a", b"first", content_type="text/plain", metadata={})
    with BlockStream(store, "a", content_type="text/plain") as stream:
        stream.append(content)
        with pytest.raises(ObjectExists):
            stream.commit({})
    assert store.read("a") == b"first"


def test_a_block_that_cannot_be_staged_fails_the_stream(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(tmp_path)
    _before_stage(monkeypatch, store, lambda ordinal: _fail() if ordinal == 3 else None)
    with pytest.raises(StoreUnavailable), BlockStream(store, "a", content_type="text/plain") as stream:  # noqa: PT012
        for _ in range(1000):
            stream.append(b"x" * 10)
        stream.commit({})
    assert list(store.list("")) == []


@pytest.mark.parametrize(("parallel_blocks", "max_in_flight"), [(2, 4), (4, 2)])
def test_blocks_in_flight_are_limited_by_the_store_and_by_the_caller(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch, parallel_blocks: int, max_in_flight: int
) -> None:
    store = DirectoryStore(tmp_path)
    release, staged = threading.Event(), set()

    def wait(ordinal: int) -> None:
        staged.add(ordinal)
        release.wait(10)

    _before_stage(monkeypatch, store, wait, parallel_blocks)
    with BlockStream(store, "a", content_type="text/plain", max_in_flight=max_in_flight) as stream:
        done = threading.Event()

        def append() -> None:
            for _ in range(5):
                stream.append(b"x" * 16)
            done.set()

        thread = threading.Thread(target=append)
        thread.start()
        assert not done.wait(0.1)
        assert len(staged) == 2
        release.set()
        thread.join(10)
        assert done.is_set()
        stream.commit({})
    assert store.read("a") == b"x" * 80


@pytest.mark.parametrize(("size", "in_flight_blocks"), [(4, 8), (8, 8), (16, 4), (32, 2), (64, 1), (128, 1)])
def test_fewer_blocks_are_in_flight_if_they_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, in_flight_blocks: int
) -> None:
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((50_000, size),))
    monkeypatch.setattr(in_flight, "MAX_IN_FLIGHT_BYTES", 64)
    store, release, started = DirectoryStore(tmp_path), threading.Event(), []

    def wait(ordinal: int) -> None:
        started.append(ordinal)
        release.wait(10)

    _before_stage(monkeypatch, store, wait, parallel_blocks=8)
    content = b"x" * size * 20
    with BlockStream(store, "a", content_type="text/plain", max_in_flight=8) as stream:
        thread = threading.Thread(target=stream.append, args=(content,))
        thread.start()
        wait_for(lambda: len(started) == in_flight_blocks)
        assert not release.wait(0.05)
        assert len(started) == in_flight_blocks
        release.set()
        thread.join(10)
        stream.commit({})
    assert store.read("a") == content


def test_an_object_that_is_too_large_fails_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((3, 4),))
    store = DirectoryStore(tmp_path)
    with pytest.raises(LimitExceeded), BlockStream(store, "a", content_type="text/plain") as stream:
        stream.append(b"x" * 13)
    assert list(store.list("")) == []


def _fail() -> None:
    raise StoreUnavailable("unreachable")


def _before_stage(
    monkeypatch: pytest.MonkeyPatch, store: DirectoryStore, before: Callable[[int], None], parallel_blocks: int = 1
) -> None:
    begin = store.begin

    def wrapped(key: str, *, content_type: str) -> Upload:
        upload = begin(key, content_type=content_type)
        stage = upload.stage

        def staging(ordinal: int, data: bytes | memoryview) -> str:
            before(ordinal)
            return stage(ordinal, data)

        upload.parallel_blocks = parallel_blocks
        upload.stage = staging  # type: ignore[method-assign]
        return upload

    monkeypatch.setattr(store, "begin", wrapped)
