"""The contract of every object store for single objects, as the docstrings of `engine.stores.port` state it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from engine.errors import ObjectChanged, ObjectExists, ObjectMissing, StoreError
from engine.stores import ObjectInfo, ObjectStore

CSV = "text/csv; charset=utf-8"
BIG = bytes(range(256)) * 4 * 1024 * 10


def put(store: ObjectStore, key: str, data: bytes) -> ObjectInfo:
    return store.create(key, data, content_type=CSV, metadata={"rows": "3"})


def test_create_writes_an_object_that_head_and_read_return(store: ObjectStore) -> None:
    info = put(store, "exports/wf-1/a.csv", b"hello")

    assert (info.key, info.size, info.content_type, info.metadata) == ("exports/wf-1/a.csv", 5, CSV, {"rows": "3"})
    assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert store.head("exports/wf-1/a.csv") == info
    assert store.read("exports/wf-1/a.csv") == b"hello"


def test_metadata_is_returned_unchanged(store: ObjectStore) -> None:
    metadata = {"rows": "12", "requestHash": "ab" * 32, "schema": '[{"name": "a, b", "type": "x;y=z"}]', "_x": "~!"}
    store.create("k", b"", content_type="application/json", metadata=metadata)

    info = store.head("k")

    assert info is not None
    assert info.metadata == metadata


CHANGEABLE = [
    {"no-hyphen": "x"},
    {"1st": "x"},
    {"": "x"},
    {"a": ""},
    {"a": " x"},
    {"a": "é"},
    {"a": "x\r\ny: z"},
    {"a": "1", "A": "2"},
    {"attempt": "1"},
    {"a": "x" * 9000},
]


def test_metadata_that_a_store_could_change_is_refused(store: ObjectStore) -> None:
    for metadata in CHANGEABLE:
        with pytest.raises(ValueError, match="metadata"):
            store.create("k", b"", content_type=CSV, metadata=metadata)
        assert store.head("k") is None, metadata


def test_create_of_a_taken_key_raises_and_does_not_change_the_object(store: ObjectStore) -> None:
    info = put(store, "k", b"first")

    with pytest.raises(ObjectExists):
        store.create("k", b"second!", content_type="text/plain", metadata={})

    assert store.head("k") == info
    assert store.read("k") == b"first"


def test_one_of_many_concurrent_creates_wins(store: ObjectStore) -> None:
    def attempt(number: int) -> int | None:
        try:
            put(store, "k", b"%d" % number)
        except ObjectExists:
            return None
        return number

    with ThreadPoolExecutor(8) as threads:
        winners = [number for number in threads.map(attempt, range(8)) if number is not None]

    assert len(winners) == 1
    assert store.read("k") == b"%d" % winners[0]


def test_replace_writes_the_next_version_and_keeps_type_and_metadata(store: ObjectStore) -> None:
    first = put(store, "k", b"first")

    second = store.replace("k", b"the second", etag=first.etag)

    assert (second.size, second.content_type, second.metadata) == (10, CSV, {"rows": "3"})
    assert store.head("k") == second
    assert store.read("k") == b"the second"


def test_every_version_has_a_different_etag(store: ObjectStore) -> None:
    etags = [put(store, "k", b"0").etag]
    for _ in range(20):
        etags.append(store.replace("k", b"0", etag=etags[-1]).etag)
    store.delete("k")
    etags.append(put(store, "k", b"0").etag)

    assert len(set(etags)) == len(etags)


def test_replace_of_an_older_version_raises_and_does_not_change_the_object(store: ObjectStore) -> None:
    first = put(store, "k", b"first")
    second = store.replace("k", b"second", etag=first.etag)

    with pytest.raises(ObjectChanged):
        store.replace("k", b"third", etag=first.etag)

    assert store.head("k") == second
    assert store.read("k") == b"second"


def test_replace_of_a_missing_object_raises_object_missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        store.replace("k", b"x", etag="0x0")
    assert store.head("k") is None


def test_concurrent_replacements_lose_no_increment(store: ObjectStore) -> None:
    put(store, "counter", b"0")

    def increment(_: int) -> None:
        while True:
            info = store.head("counter")
            assert info is not None
            try:
                value = int(store.read("counter", etag=info.etag))
                store.replace("counter", b"%d" % (value + 1), etag=info.etag)
            except ObjectChanged:
                continue
            return

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(increment, range(20)))

    assert store.read("counter") == b"20"


RANGES: list[tuple[int, int | None, bytes]] = [
    (0, None, b"0123456789"),
    (0, 4, b"0123"),
    (3, 4, b"3456"),
    (3, None, b"3456789"),
    (8, 100, b"89"),
    (9, 1, b"9"),
    (10, None, b""),
    (10, 1, b""),
    (99, 5, b""),
    (0, 0, b""),
    (5, 0, b""),
]


def test_read_returns_the_range(store: ObjectStore) -> None:
    etag = put(store, "k", b"0123456789").etag
    for start, length, expected in RANGES:
        assert store.read("k", start=start, length=length) == expected, (start, length)
        assert store.read("k", start=start, length=length, etag=etag) == expected, (start, length)


def test_negative_ranges_are_refused(store: ObjectStore) -> None:
    put(store, "k", b"x")
    with pytest.raises(ValueError, match="range"):
        store.read("k", start=-1)
    with pytest.raises(ValueError, match="range"):
        store.read("k", length=-1)


def test_read_with_an_old_etag_raises_object_changed(store: ObjectStore) -> None:
    first = put(store, "k", b"first")
    store.replace("k", b"other", etag=first.etag)
    for start, length in ((0, None), (0, 0), (1, 1), (50, None)):
        with pytest.raises(ObjectChanged):
            store.read("k", start=start, length=length, etag=first.etag)


READS: list[Callable[[ObjectStore], object]] = [
    lambda store: store.read("gone"),
    lambda store: store.read("gone", length=0),
    lambda store: store.read("gone", start=7),
    lambda store: store.read("gone", etag="0x0"),
    lambda store: list(store.stream("gone", start=0, length=1, etag="0x0")),
    lambda store: list(store.stream("gone", start=0, length=0, etag="0x0")),
]


def test_reading_a_missing_object_raises_object_missing(store: ObjectStore) -> None:
    """In an empty store, and in one with another object."""

    def check() -> None:
        for read in READS:
            with pytest.raises(ObjectMissing):
                read(store)

    check()
    put(store, "other", b"x")
    check()


def test_stream_yields_exactly_the_range_in_chunks_of_a_few_mib(store: ObjectStore) -> None:
    etag = put(store, "big", BIG).etag
    for start, length in ((0, len(BIG)), (1, len(BIG) - 1), (4_194_303, 2), (5_000_000, 4_194_304), (17, 0)):
        chunks = list(store.stream("big", start=start, length=length, etag=etag))
        assert b"".join(chunks) == BIG[start : start + length], (start, length)
        assert all(0 < len(chunk) <= 8 * 1024 * 1024 for chunk in chunks), (start, length)


def test_stream_raises_rather_than_end_early(store: ObjectStore) -> None:
    etag = put(store, "k", b"0123456789").etag
    for start, length in ((0, 11), (5, 6), (10, 1), (11, 1)):
        with pytest.raises(StoreError):
            list(store.stream("k", start=start, length=length, etag=etag))


def test_stream_with_an_old_etag_raises_object_changed(store: ObjectStore) -> None:
    first = put(store, "k", b"first")
    store.replace("k", b"other", etag=first.etag)
    for length in (0, 3):
        with pytest.raises(ObjectChanged):
            list(store.stream("k", start=0, length=length, etag=first.etag))


def test_stream_never_mixes_versions(store: ObjectStore) -> None:
    first = put(store, "big", BIG)
    chunks = store.stream("big", start=0, length=len(BIG), etag=first.etag)
    received = next(chunks)
    store.replace("big", bytes(len(BIG)), etag=first.etag)

    try:
        received += b"".join(chunks)
    except ObjectChanged:
        return
    assert received == BIG


def test_empty_objects_are_objects(store: ObjectStore) -> None:
    info = put(store, "empty", b"")

    assert info.size == 0
    assert store.head("empty") == info
    assert store.read("empty") == b""
    assert store.read("empty", start=0, length=10, etag=info.etag) == b""
    assert list(store.stream("empty", start=0, length=0, etag=info.etag)) == []


def test_list_returns_the_objects_of_a_prefix_in_key_order(store: ObjectStore) -> None:
    keys = ["a/b", "a-b", "a/b.c/d", "a/b0", "a.b", "ab/c/d", "b", "a/b=1/x", "B", "a/c/x/y"]
    infos = {key: put(store, key, key.encode()) for key in keys}

    def listed(prefix: str) -> list[str]:
        return [info.key for info in store.list(prefix)]

    assert listed("") == sorted(keys)
    for prefix in ["a", "a/", "a/b", "a/b.c/", "a/c/x/y", "ab/c", "z", "a/z/", "b/", "a/b.c/d/e"]:
        assert listed(prefix) == sorted(key for key in keys if key.startswith(prefix)), prefix
    assert all(info.size == len(info.key) and info.etag == infos[info.key].etag for info in store.list(""))
    assert all(earlier <= later for earlier, later in pairwise(listed("a")))


def test_list_of_an_empty_store_is_empty(store: ObjectStore) -> None:
    assert list(store.list("")) == []
    assert list(store.list("exports/")) == []


def test_delete_removes_the_object_and_returns_whether_it_existed(store: ObjectStore) -> None:
    put(store, "a/b", b"x")
    put(store, "a/c", b"y")

    assert store.delete("a/b") is True
    assert store.delete("a/b") is False
    assert store.delete("never/there") is False

    assert store.head("a/b") is None
    assert [info.key for info in store.list("")] == ["a/c"]
    with pytest.raises(ObjectMissing):
        store.read("a/b")


def test_delete_with_an_old_etag_removes_nothing(store: ObjectStore) -> None:
    first = put(store, "k", b"first")
    second = store.replace("k", b"second", etag=first.etag)

    assert store.delete("k", etag=first.etag) is False
    assert store.head("k") == second
    assert store.read("k") == b"second"
    assert store.delete("k", etag=second.etag) is True
    assert store.head("k") is None
    assert store.delete("k", etag=second.etag) is False

    again = put(store, "k", b"first")
    assert store.delete("k", etag=first.etag) is False, "the same bytes, but another version"
    assert store.head("k") == again


def test_one_of_many_concurrent_deletes_and_replacements_wins(store: ObjectStore) -> None:
    for round_ in range(5):
        info = put(store, f"k{round_}", b"old")

        def attempt(number: int, info: ObjectInfo = info) -> bool:
            if number % 2:
                return store.delete(info.key, etag=info.etag)
            try:
                store.replace(info.key, b"new", etag=info.etag)
            except (ObjectChanged, ObjectMissing):
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            won = [number for number, done in enumerate(threads.map(attempt, range(8))) if done]
        assert len(won) == 1
        assert (store.head(info.key) is None) == bool(won[0] % 2)


def test_a_deleted_key_can_be_written_again(store: ObjectStore) -> None:
    put(store, "a/b", b"old")
    store.delete("a/b")
    info = store.create("a/b", b"newer", content_type="text/plain", metadata={})
    assert store.head("a/b") == info
    assert info.metadata == {}


def test_local_path_is_a_file_with_the_same_bytes_or_none(store: ObjectStore) -> None:
    put(store, "a/b.csv", b"hello")
    path = store.local_path("a/b.csv")
    assert path is None or path.read_bytes() == b"hello"


def test_check_returns_the_time_before_and_after_the_first_object(store: ObjectStore) -> None:
    for _ in range(2):
        before = datetime.now(UTC)
        at = store.check()
        # The time may be truncated to the second, and the clock of the file system to some milliseconds.
        assert before - timedelta(seconds=1) <= at <= datetime.now(UTC)
        if store.head("check") is None:
            put(store, "check", b"x")
    assert [info.key for info in store.list("")] == ["check"]
