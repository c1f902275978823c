"""A stream of bytes cut into blocks of one object."""

import hashlib
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import LimitExceeded, ObjectExists, StoreUnavailable
from engine.stores import DirectoryStore, Upload, block_stream, in_flight
from engine.stores.block_stream import BLOCK_TIERS, MIB, BlockStream, block_bytes
from engine.stores.validation import MAX_BLOCKS
from tests.helpers.running import wait_for


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((2, 4), (49_998, 16)))


def test_the_tiers_fill_the_largest_object() -> None:
    assert sum(count for count, _ in BLOCK_TIERS) == MAX_BLOCKS
    assert sum(count * size for count, size in BLOCK_TIERS) > 13 * 2**40
    assert [block_bytes(ordinal) for ordinal in (0, 9_999, 10_000, MAX_BLOCKS - 1)] == [
        size * MIB for size in (8, 8, 16, 1024)
    ]
    with pytest.raises(LimitExceeded, match="narrow the export by filters"):
        block_bytes(MAX_BLOCKS)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(max_size=40), max_size=12))
def test_the_object_is_the_concatenation(
    tmp_path_factory: pytest.TempPathFactory, small_blocks: None, pieces: list[bytes]
) -> None:
    store = DirectoryStore(tmp_path_factory.mktemp("blocks"))
    with BlockStream(store, "a/b", content_type="text/plain") as stream:
        for piece in pieces:
            stream.append(piece)
        info = stream.commit({"k": "v"})
    content = b"".join(pieces)
    assert store.read("a/b") == content
    assert (stream.size, info.size) == (len(content), len(content))
    assert stream.sha256 == hashlib.sha256(content).hexdigest()
    assert (info.content_type, dict(info.metadata)) == ("text/plain", {"k": "v"})


@pytest.mark.parametrize("content", [b"ab", b"x" * 100])
def test_without_a_commit_nothing_is_visible(tmp_path: Path, small_blocks: None, content: bytes) -> None:
    store = DirectoryStore(tmp_path)
    with BlockStream(store, "a", content_type="text/plain") as stream:
        stream.append(content)
    with pytest.raises(RuntimeError), BlockStream(store, "a", content_type="text/plain") as stream:  # noqa: PT012
        stream.append(content)
        raise RuntimeError
    assert list(store.list("")) == []


@pytest.mark.parametrize("content", [b"ab", b"x" * 100])
def test_an_object_that_is_there_stays(tmp_path: Path, small_blocks: None, content: bytes) -> None:
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
    _wrap_stage(monkeypatch, store, lambda ordinal: _fail() if ordinal == 3 else None)
    with pytest.raises(StoreUnavailable), BlockStream(store, "a", content_type="text/plain") as stream:  # noqa: PT012
        for _ in range(1000):
            stream.append(b"x" * 10)
        stream.commit({})
    assert list(store.list("")) == []


@pytest.mark.parametrize(("takes", "at_once"), [(2, 4), (4, 2)])
def test_no_more_blocks_are_under_way_than_the_store_takes_and_were_asked_for(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch, takes: int, at_once: int
) -> None:
    store = DirectoryStore(tmp_path)
    release, staged = threading.Event(), set()

    def wait(ordinal: int) -> None:
        staged.add(ordinal)
        release.wait(10)

    _wrap_stage(monkeypatch, store, wait, parallel=takes)
    with BlockStream(store, "a", content_type="text/plain", at_once=at_once) as stream:
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


@pytest.mark.parametrize(("size", "wanted"), [(4, 8), (8, 8), (16, 4), (32, 2), (64, 1), (128, 1)])
def test_the_larger_blocks_are_the_fewer_are_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, wanted: int
) -> None:
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((50_000, size),))
    monkeypatch.setattr(in_flight, "UNDER_WAY_BYTES", 64)
    store, release, begun = DirectoryStore(tmp_path), threading.Event(), []

    def wait(ordinal: int) -> None:
        begun.append(ordinal)
        release.wait(10)

    _wrap_stage(monkeypatch, store, wait, parallel=8)
    content = b"x" * size * 20
    with BlockStream(store, "a", content_type="text/plain", at_once=8) as stream:
        thread = threading.Thread(target=stream.append, args=(content,))
        thread.start()
        wait_for(lambda: len(begun) == wanted)
        assert not release.wait(0.05)
        assert len(begun) == wanted
        release.set()
        thread.join(10)
        stream.commit({})
    assert store.read("a") == content


def test_an_object_that_would_be_too_large_is_told_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_stream, "BLOCK_TIERS", ((3, 4),))
    store = DirectoryStore(tmp_path)
    with pytest.raises(LimitExceeded), BlockStream(store, "a", content_type="text/plain") as stream:
        stream.append(b"x" * 13)
    assert list(store.list("")) == []


def _fail() -> None:
    raise StoreUnavailable("gone")


def _wrap_stage(monkeypatch: pytest.MonkeyPatch, store: DirectoryStore, before: object, parallel: int = 1) -> None:
    begin = store.begin

    def wrapped(key: str, *, content_type: str) -> Upload:
        upload = begin(key, content_type=content_type)
        stage = upload.stage

        def staging(ordinal: int, data: bytes | memoryview) -> str:
            assert callable(before)
            before(ordinal)
            return stage(ordinal, data)

        upload.parallel_blocks = parallel
        upload.stage = staging  # type: ignore[method-assign]
        return upload

    monkeypatch.setattr(store, "begin", wrapped)
