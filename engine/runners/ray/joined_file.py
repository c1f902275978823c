"""Joins the segments that tasks have staged into one file: checks them, and adds what belongs between them."""

import hashlib

from engine.errors import StoreError
from engine.execute.file_assembler import FileAssembler
from engine.execute.row_group_copy import raising_source_damaged
from engine.runners.ray.messages import Segment
from engine.stores import crc64
from engine.stores.port import Upload


class SegmentJoiner:
    """Takes every segment once, in order; `finish` completes the file.

    The CRC-64 of the file follows from those of its blocks. The SHA-256 needs all bytes, so there is one only of a file
    of at most ``max_hashed_bytes``.
    """

    def __init__(self, upload: Upload, assembler: FileAssembler, max_hashed_bytes: int) -> None:
        self._upload = upload
        self._assembler = assembler
        self._max_hashed_bytes = max_hashed_bytes
        self._hash = hashlib.sha256()
        self._crc64 = 0
        self._staged = 0
        self.block_ids: list[str] = []
        self.rows = 0
        self.size = 0

    @property
    def needs_bytes(self) -> bool:
        """Whether the bytes of the next segment are needed; once they are not, they never are again.

        A segment comes with its bytes if they were needed when its task was submitted.
        """
        return self.size <= self._max_hashed_bytes

    @property
    def sha256(self) -> str | None:
        """The hash of the bytes so far, in hexadecimal, or None if there are too many."""
        return self._hash.hexdigest() if self.needs_bytes else None

    @property
    def crc64nvme(self) -> str:
        """The checksum of the bytes so far, as text."""
        return crc64.as_text(self._crc64)

    def add(self, segment: Segment) -> None:
        """Take the next segment. Raises SourceDamaged or StoreError."""
        with raising_source_damaged():
            self._assembler.add_footers(segment.footers)
        head = None
        if segment.blocks:
            # Only before the first bytes does the assembler look at a segment.
            head = self._assembler.replace_head(lambda length: bytes(self._content(segment, 0)[:length]))
        self.rows += segment.rows
        for number, block in enumerate(segment.blocks):
            content = self._content(segment, number)
            # What the store cannot read, it has compared with a checksum itself when the task sent it.
            if content and crc64.crc64nvme(content) != block.crc64:
                raise StoreError("Checksum mismatch: a staged block differs from what its task wrote. Try again.")
            if head is not None:
                self._stage(head + bytes(content[len(head) :]))
                head = None
                continue
            self._append(block.id, block.length, block.crc64, content)
            self._upload.adopt(block.id, block.length)

    def finish(self) -> None:
        """Add the end of the file."""
        with raising_source_damaged():
            end = b"".join(self._assembler.finish())
        if end:
            self._stage(end)

    def _content(self, segment: Segment, number: int) -> memoryview:
        """The bytes of a block; none if they are neither needed nor here."""
        block = segment.blocks[number]
        if self._upload.readable:
            content = self._upload.block(block.id, block.length)
        elif segment.content:
            content = memoryview(segment.content[number])
        elif not self.needs_bytes:
            return memoryview(b"")
        else:
            raise StoreError("A segment of the file came without its bytes.")
        if len(content) != block.length:
            raise StoreError("Size mismatch: a staged block differs from what its task wrote. Try again.")
        return content

    def _stage(self, data: bytes) -> None:
        self._append(self._upload.stage(self._staged, data), len(data), crc64.crc64nvme(data), data)
        self._staged += 1

    def _append(self, block_id: str, length: int, checksum: int, content: bytes | memoryview) -> None:
        self.block_ids.append(block_id)
        self._crc64 = crc64.combined(self._crc64, checksum, length)
        self.size += length
        if self.needs_bytes:
            self._hash.update(content)
