"""Joins the segments that tasks have staged into one file: hashes them in order, and adds what belongs between them."""

import hashlib

from xxhash import xxh3_64_intdigest

from engine.errors import StoreError
from engine.execute.file_assembler import FileAssembler
from engine.execute.row_group_copy import raising_source_damaged
from engine.runners.ray.messages import Segment
from engine.stores.port import Upload


class SegmentJoiner:
    """Takes every segment once, in order; `finish` completes the file."""

    def __init__(self, upload: Upload, assembler: FileAssembler) -> None:
        self._upload = upload
        self._assembler = assembler
        self._hash = hashlib.sha256()
        self._staged = 0
        self.block_ids: list[str] = []
        self.rows = 0
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hash of the bytes so far, in hexadecimal."""
        return self._hash.hexdigest()

    def add(self, segment: Segment) -> None:
        """Take the next segment. Raises SourceDamaged or StoreError."""
        with raising_source_damaged():
            self._assembler.add_footers(segment.footers)
        head = None
        if segment.blocks:
            head = self._assembler.replace_head(lambda length: bytes(self._content(segment, 0)[:length]))
        self.rows += segment.rows
        for number, block in enumerate(segment.blocks):
            content = self._content(segment, number)
            if xxh3_64_intdigest(content) != block.xxh3:
                raise StoreError("Checksum mismatch: a staged block differs from what its task wrote. Try again.")
            if head is not None:
                self._stage(head + bytes(content[len(head) :]))
                head = None
                continue
            self._append(block.id, content)
            self._upload.adopt(block.id, block.length)

    def finish(self) -> None:
        """Add the end of the file."""
        with raising_source_damaged():
            end = b"".join(self._assembler.finish())
        if end:
            self._stage(end)

    def _content(self, segment: Segment, number: int) -> memoryview:
        if self._upload.readable:
            block = segment.blocks[number]
            return self._upload.block(block.id, block.length)
        return memoryview(segment.content[number])

    def _stage(self, data: bytes) -> None:
        self._append(self._upload.stage(self._staged, data), data)
        self._staged += 1

    def _append(self, block_id: str, content: bytes | memoryview) -> None:
        self.block_ids.append(block_id)
        self._hash.update(content)
        self.size += len(content)
