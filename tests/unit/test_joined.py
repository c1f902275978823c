"""The file of a cluster's export as its driver puts it together."""

import hashlib
from pathlib import Path

import pytest
from xxhash import xxh3_64_intdigest

from engine.errors import StoreError
from engine.execute.file_assembler import FileAssembler
from engine.runners.ray.joined_file import JoinedFile
from engine.runners.ray.messages import Block, Piece
from engine.stores import DirectoryStore

CONTENT = b"1\n2\n3\n"


@pytest.mark.parametrize("told", [CONTENT, b"1\n2\n4\n"])
def test_bytes_that_come_with_their_ids_have_to_be_those_that_were_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bytes
) -> None:
    """As those of a store do that cannot be read before the commit."""
    store = DirectoryStore(tmp_path)
    upload = store.begin("w/x.csv", content_type="text/csv")
    monkeypatch.setattr(type(upload), "readable", False)
    block_id = store.join("w/x.csv", upload.handle).stage(7, CONTENT)
    piece = Piece((Block(block_id, len(CONTENT), xxh3_64_intdigest(CONTENT)),), (memoryview(told),), rows=3)
    file = JoinedFile(upload, FileAssembler())
    if told != CONTENT:
        with pytest.raises(StoreError, match="is not what its task has staged"):
            file.add(piece)
        upload.abort()
        return
    file.add(piece)
    file.finish()
    assert (file.rows, file.size, file.sha256) == (3, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    upload.commit(file.block_ids, metadata={})
    assert store.read("w/x.csv") == CONTENT
