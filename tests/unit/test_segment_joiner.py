"""Segments of a cluster's export joined into one file."""

import hashlib
import sys
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.execute.assemblers import assembler_for
from engine.execute.file_assembler import FileAssembler
from engine.runners.ray.joined_file import SegmentJoiner
from engine.runners.ray.messages import Block, Segment
from engine.stores import DirectoryStore
from engine.stores.port import Upload
from tests.helpers.crc64_oracle import crc64, crc64_text

CONTENT = b"1\n2\n3\n"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


@pytest.fixture
def upload(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> Upload:
    """One that cannot read staged blocks: their bytes come with their ids."""
    upload = store.begin("w/x.csv", content_type="text/csv")
    monkeypatch.setattr(type(upload), "readable", False)
    return upload


def segment_of(store: DirectoryStore, upload: Upload, *blocks: bytes, sent: bytes | None = None) -> Segment:
    """Some blocks as a task stages them, with their bytes; ``sent`` instead of those of the first."""
    staging = store.join("w/x.csv", upload.handle)
    staged = tuple(Block(staging.stage(number, one), len(one), crc64(one)) for number, one in enumerate(blocks))
    content = blocks if sent is None else (sent, *blocks[1:])
    return Segment(staged, tuple(map(memoryview, content)), rows=3)


@pytest.mark.parametrize("sent", [CONTENT, b"1\n2\n4\n", CONTENT[:-1], b""])
def test_bytes_that_differ_from_the_staged_block_are_refused(
    store: DirectoryStore, upload: Upload, sent: bytes
) -> None:
    file = SegmentJoiner(upload, FileAssembler(), sys.maxsize)
    segment = segment_of(store, upload, CONTENT, sent=sent)
    if sent != CONTENT:
        with pytest.raises(StoreError, match=r"(Checksum|Size) mismatch"):
            file.add(segment)
        upload.abort()
        return
    file.add(segment)
    file.finish()
    assert (file.rows, file.size, file.sha256) == (3, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert file.crc64nvme == crc64_text(CONTENT)
    upload.commit(file.block_ids, metadata={})
    assert store.read("w/x.csv") == CONTENT


def test_a_file_above_the_limit_has_a_checksum_and_no_hash_and_needs_no_more_bytes(
    store: DirectoryStore, upload: Upload
) -> None:
    """It is above it from its third block on; the end of the array is what the driver adds."""
    rows, limit = [b",\n\t{}", b",\n\t{ }", b",\n\t{  }", b",\n\t{   }"], 10
    file = SegmentJoiner(upload, assembler_for("json"), limit)
    file.add(segment_of(store, upload, *rows[:1]))
    assert (file.needs_bytes, file.size) == (True, 5)
    file.add(segment_of(store, upload, *rows[1:3]))
    assert not file.needs_bytes
    last = segment_of(store, upload, rows[3])
    file.add(Segment(last.blocks, (), rows=1))
    file.finish()
    wanted = b"[\n\t{},\n\t{ },\n\t{  },\n\t{   }\n]"
    assert (file.size, file.sha256, file.crc64nvme) == (len(wanted), None, crc64_text(wanted))
    upload.commit(file.block_ids, metadata={})
    assert store.read("w/x.csv") == wanted


def test_a_file_as_large_as_the_limit_has_both(store: DirectoryStore, upload: Upload) -> None:
    file = SegmentJoiner(upload, FileAssembler(), len(CONTENT))
    file.add(segment_of(store, upload, CONTENT[:2], CONTENT[2:]))
    assert (file.sha256, file.crc64nvme) == (hashlib.sha256(CONTENT).hexdigest(), crc64_text(CONTENT))


def test_a_segment_without_bytes_that_are_needed_is_refused(store: DirectoryStore, upload: Upload) -> None:
    segment = segment_of(store, upload, CONTENT)
    with pytest.raises(StoreError, match="came without its bytes"):
        SegmentJoiner(upload, FileAssembler(), len(CONTENT)).add(Segment(segment.blocks, (), rows=3))
