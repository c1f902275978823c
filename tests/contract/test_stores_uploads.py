"""The contract of every object store for uploads: blocks in any order, and one atomic commit."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.errors import ObjectExists, ObjectMissing, StoreError
from engine.stores import DirectoryStore, ObjectInfo, ObjectStore, Upload

CSV = "text/csv; charset=utf-8"
BLOCKS = [bytes([65 + number]) * (number * 1000 + 1) for number in range(20)]
WHOLE = b"".join(BLOCKS)


def staged(upload: Upload, blocks: list[bytes]) -> list[str]:
    return [upload.stage(ordinal, block) for ordinal, block in enumerate(blocks)]


def test_commit_concatenates_the_blocks(store: ObjectStore) -> None:
    upload = store.begin("exports/a.csv", content_type=CSV)
    info = upload.commit(staged(upload, BLOCKS), metadata={"rows": "7"})

    assert (info.key, info.size, info.content_type, info.metadata) == ("exports/a.csv", len(WHOLE), CSV, {"rows": "7"})
    assert store.head("exports/a.csv") == info
    assert store.read("exports/a.csv", etag=info.etag) == WHOLE


def test_the_object_has_the_order_of_the_commit(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    order = list(range(len(BLOCKS)))
    random.Random(7).shuffle(order)
    ids = {ordinal: upload.stage(ordinal, BLOCKS[ordinal]) for ordinal in order}

    upload.commit([ids[ordinal] for ordinal in range(len(BLOCKS))], metadata={})

    assert store.read("k") == WHOLE


def test_blocks_may_be_staged_from_many_threads(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    assert upload.parallel_blocks >= 1

    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(upload.stage, range(len(BLOCKS)), BLOCKS))
    upload.commit(ids, metadata={})

    assert store.read("k") == WHOLE


def test_blocks_that_the_commit_omits_are_not_in_the_object(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    ids = staged(upload, BLOCKS)
    info = upload.commit(ids[3:5], metadata={})
    assert store.read("k") == b"".join(BLOCKS[3:5])
    assert info.size == len(BLOCKS[3]) + len(BLOCKS[4])


def test_staging_an_ordinal_again_replaces_its_bytes(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    upload.stage(0, b"first try")
    upload.commit([upload.stage(0, b"second"), upload.stage(1, b" try")], metadata={})
    assert store.read("k") == b"second try"


@pytest.mark.parametrize("ordinals", [[0, 49_999], [49_999, 7, 0]], ids=str)
def test_the_first_and_the_last_ordinal_are_accepted(store: ObjectStore, ordinals: list[int]) -> None:
    upload = store.begin("k", content_type=CSV)
    upload.commit([upload.stage(ordinal, b"%d." % ordinal) for ordinal in ordinals], metadata={})
    assert store.read("k") == b"".join(b"%d." % ordinal for ordinal in ordinals)


@pytest.mark.parametrize("ordinal", [-1, 50_000])
def test_other_ordinals_are_refused(store: ObjectStore, ordinal: int) -> None:
    upload = store.begin("k", content_type=CSV)
    with pytest.raises(ValueError, match="ordinal"):
        upload.stage(ordinal, b"x")
    upload.abort()


@pytest.mark.parametrize("blocks", [[], [b""], [b"", b""]], ids=["no block", "an empty block", "empty blocks"])
def test_a_commit_without_bytes_is_an_empty_object(store: ObjectStore, blocks: list[bytes]) -> None:
    upload = store.begin("empty", content_type=CSV)
    info = upload.commit(staged(upload, blocks), metadata={"rows": "0"})
    assert info.size == 0
    assert store.head("empty") == info
    assert store.read("empty") == b""


def test_empty_blocks_among_others_add_nothing(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    upload.commit(staged(upload, [b"", b"a", b"", b"b", b""]), metadata={})
    assert store.read("k") == b"ab"


def test_nothing_is_visible_before_the_commit(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    ids = staged(upload, BLOCKS)

    assert store.head("k") is None
    assert list(store.list("")) == []
    with pytest.raises(ObjectMissing):
        store.read("k")
    with pytest.raises(ObjectMissing):
        store.replace("k", b"x", etag="0x0")
    assert store.delete("k") is False
    assert store.delete("k", etag="0x0") is False

    upload.commit(ids, metadata={})
    assert store.read("k") == WHOLE


def test_readers_see_nothing_or_the_complete_object(store: ObjectStore) -> None:
    ended = threading.Event()

    def watch() -> set[int]:
        sizes: set[int] = set()
        while not ended.is_set() or len(WHOLE) not in sizes:
            info = store.head("k")
            sizes.add(info.size if info else -1)
            try:
                data = store.read("k")
            except ObjectMissing:
                assert info is None
                continue
            assert data == WHOLE
            assert [listed.size for listed in store.list("")] == [len(WHOLE)]
        return sizes

    with ThreadPoolExecutor(2) as threads:
        watchers = [threads.submit(watch) for _ in range(2)]
        upload = store.begin("k", content_type=CSV)
        upload.commit(staged(upload, BLOCKS), metadata={})
        ended.set()
        assert all(watcher.result(timeout=30) <= {-1, len(WHOLE)} for watcher in watchers)


@pytest.mark.parametrize("ending", ["abort", "commit refused", "block gone"])
def test_a_failed_upload_does_not_change_an_existing_object(store: ObjectStore, ending: str) -> None:
    older = store.create("k", b"older", content_type="text/plain", metadata={"a": "b"})
    upload = store.begin("k", content_type=CSV)
    ids = staged(upload, BLOCKS)
    assert store.head("k") == older

    if ending == "commit refused":
        with pytest.raises(ObjectExists):
            upload.commit(ids, metadata={})
    if ending == "block gone":
        with pytest.raises(StoreError):
            upload.commit([*ids, "f" * len(ids[0])], metadata={})
    upload.abort()

    assert store.head("k") == older
    assert store.read("k") == b"older"


def test_a_commit_with_a_missing_block_creates_no_object(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    ids = staged(upload, BLOCKS)
    with pytest.raises(StoreError):
        upload.commit([*ids, "f" * len(ids[0])], metadata={})
    upload.abort()
    assert store.head("k") is None
    assert list(store.list("")) == []


def test_abort_leaves_nothing_and_can_be_repeated(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    staged(upload, BLOCKS)
    upload.abort()
    upload.abort()
    assert store.head("k") is None
    assert list(store.list("")) == []


def test_abort_after_the_commit_leaves_the_object(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    info = upload.commit(staged(upload, BLOCKS), metadata={})
    upload.abort()
    upload.abort()
    assert store.head("k") == info
    assert store.read("k") == WHOLE


@pytest.mark.parametrize("how", ["abort", "commit"])
def test_an_upload_that_has_ended_accepts_nothing(store: ObjectStore, how: str) -> None:
    upload = store.begin("k", content_type=CSV)
    ids = staged(upload, [b"x"])
    if how == "abort":
        upload.abort()
    else:
        upload.commit(ids, metadata={})
    with pytest.raises(StoreError):
        upload.stage(1, b"y")
    with pytest.raises(StoreError):
        upload.commit(ids, metadata={})


def test_commit_validates_metadata(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    with pytest.raises(ValueError, match="metadata"):
        upload.commit(staged(upload, [b"x"]), metadata={"bad name": "x"})
    upload.abort()
    assert store.head("k") is None


def test_one_of_several_concurrent_commits_wins(store: ObjectStore) -> None:
    payloads = [[bytes([97 + number]) * 50_000] * 4 for number in range(4)]
    uploads = [store.begin("k", content_type=CSV) for _ in payloads]
    ids = [staged(upload, payload) for upload, payload in zip(uploads, payloads, strict=True)]
    start = threading.Barrier(len(uploads))

    def commit(number: int) -> ObjectInfo | None:
        start.wait()
        try:
            return uploads[number].commit(ids[number], metadata={"writer": str(number)})
        except ObjectExists:
            uploads[number].abort()
            return None

    with ThreadPoolExecutor(len(uploads)) as threads:
        infos = list(threads.map(commit, range(len(uploads))))

    (winner,) = [number for number, info in enumerate(infos) if info is not None]
    assert store.head("k") == infos[winner]
    assert store.read("k") == b"".join(payloads[winner])


def test_a_commit_after_another_commit_of_the_key_raises_object_exists(store: ObjectStore) -> None:
    loser = store.begin("k", content_type=CSV)
    early = loser.stage(0, b"early")
    winner = store.begin("k", content_type=CSV)
    info = winner.commit([winner.stage(0, b"winner")], metadata={})
    late = loser.stage(1, b"late")

    with pytest.raises(ObjectExists):
        loser.commit([early, late], metadata={})

    assert store.head("k") == info
    assert store.read("k") == b"winner"


def test_uploads_to_different_keys_are_independent(store: ObjectStore) -> None:
    uploads = [store.begin(f"k{number}", content_type=CSV) for number in range(3)]
    ids = [upload.stage(0, b"%d" % number) for number, upload in enumerate(uploads)]
    assert len(set(ids)) == 3
    for upload, block_id in zip(uploads, ids, strict=True):
        upload.commit([block_id], metadata={})
    assert [store.read(f"k{number}") for number in range(3)] == [b"0", b"1", b"2"]


def test_a_commit_can_name_adopted_blocks_of_other_processes(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    others = [store.join("k", upload.handle) for _ in range(2)]
    ids = [
        others[0].stage(0, b"one,"),
        upload.stage(0, b"two,"),
        others[1].stage(0, b"three,"),
        others[0].stage(1, b"4"),
    ]
    assert len(set(ids)) == len(ids)
    assert len({len(block_id) for block_id in ids}) == 1
    for block_id, length in ((ids[0], 4), (ids[2], 6), (ids[3], 1)):
        upload.adopt(block_id, length)
    info = upload.commit(ids, metadata={})
    assert store.read("k") == b"one,two,three,4"
    assert info.size == 15


def test_a_readable_store_returns_staged_blocks_before_the_commit(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    other = store.join("k", upload.handle)
    block_id = other.stage(0, b"some bytes")
    assert upload.readable == other.readable == isinstance(store, DirectoryStore)
    wanted = [(block_id, 10)] if upload.readable else []
    assert [bytes(upload.block(*one)) for one in wanted] == [b"some bytes"] * len(wanted)
    for one in [(block_id, 9), ("0123456789ab00000", 10), *([] if wanted else [(block_id, 10)])]:
        with pytest.raises(StoreError):
            upload.block(*one)
    upload.abort()
    with pytest.raises(StoreError):
        upload.block(block_id, 10)


def test_blocks_that_are_not_adopted_are_discarded(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    ghost, other = store.join("k", upload.handle), store.join("k", upload.handle)
    ghost.stage(0, b"ghost")
    block_id = other.stage(0, b"other")
    upload.adopt(block_id, 5)
    upload.commit([block_id], metadata={})
    assert store.read("k") == b"other"
    assert [info.key for info in store.list("")] == ["k"]


def _commit_adopted(upload: Upload, block_id: str, length: int) -> None:
    """Either step may raise."""
    upload.adopt(block_id, length)
    upload.commit([block_id], metadata={})


def test_adopting_a_missing_block_creates_no_object(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    with pytest.raises(StoreError):
        _commit_adopted(upload, "0123456789ab00000", 3)
    upload.abort()
    assert store.head("k") is None


def test_adopting_a_block_with_the_wrong_length_creates_no_object(store: ObjectStore) -> None:
    upload = store.begin("k", content_type=CSV)
    block_id = store.join("k", upload.handle).stage(0, b"four")
    with pytest.raises(StoreError):
        _commit_adopted(upload, block_id, 3)
    upload.abort()
    assert store.head("k") is None
