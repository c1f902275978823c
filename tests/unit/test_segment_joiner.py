"""Segments of a cluster's export joined into one file."""

import hashlib
from pathlib import Path

import pytest
from xxhash import xxh3_64_intdigest

from engine.errors import StoreError
from engine.execute.file_assembler import FileAssembler
from engine.runners.ray.joined_file import SegmentJoiner
from engine.runners.ray.messages import Block, Segment
from engine.stores import DirectoryStore

CONTENT = b"1\n2\n3\n"


@pytest.mark.parametrize("sent", [CONTENT, b"1\n2\n4\n"])
def test_bytes_that_differ_from_the_staged_block_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """In a store that cannot read staged blocks, the bytes come with the ids of the blocks."""
    store = DirectoryStore(tmp_path)
    upload = store.begin("w/x.csv", content_type="text/csv")
    monkeypatch.setattr(type(upload), "readable", False)
    block_id = store.join("w/x.csv", upload.handle).stage(7, CONTENT)
    segment = Segment((Block(block_id, len(CONTENT), xxh3_64_intdigest(CONTENT)),), (memoryview(sent),), rows=3)
    file = SegmentJoiner(upload, FileAssembler())
    if sent != CONTENT:
        with pytest.raises(StoreError, match="Checksum mismatch"):
            file.add(segment)
        upload.abort()
        return
    file.add(segment)
    file.finish()
    assert (file.rows, file.size, file.sha256) == (3, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    upload.commit(file.block_ids, metadata={})
    assert store.read("w/x.csv") == CONTENT
