"""The file as the driver sees it: pieces in order, hashed, and what belongs between and behind them."""

import hashlib

from xxhash import xxh3_64_intdigest

from engine.errors import StoreError
from engine.execute.file_assembler import FileAssembler
from engine.execute.row_group_copy import told_as_damage
from engine.runners.ray.messages import Piece
from engine.stores.port import Upload


class JoinedFile:
    """Takes pieces in order, each one once; `finish` makes the file whole."""

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

    def add(self, piece: Piece) -> None:
        """The next bytes. Raises SourceDamaged or StoreError."""
        with told_as_damage():
            self._assembler.add_footers(piece.footers)
        head = None
        if piece.blocks:
            head = self._assembler.replace_head(lambda length: bytes(self._content(piece, 0)[:length]))
        self.rows += piece.rows
        for number, block in enumerate(piece.blocks):
            content = self._content(piece, number)
            if xxh3_64_intdigest(content) != block.xxh3:
                raise StoreError("A block of the file is not what its task has staged: try again.")
            if head is not None:
                self._stage(head + bytes(content[len(head) :]))
                head = None
                continue
            self._take(block.id, content)
            self._upload.adopt(block.id, block.length)

    def finish(self) -> None:
        """Add the end of the file."""
        with told_as_damage():
            end = b"".join(self._assembler.finish())
        if end:
            self._stage(end)

    def _content(self, piece: Piece, number: int) -> memoryview:
        """The bytes of one block, from where they are."""
        if self._upload.readable:
            block = piece.blocks[number]
            return self._upload.block(block.id, block.length)
        return memoryview(piece.content[number])

    def _stage(self, data: bytes) -> None:
        self._take(self._upload.stage(self._staged, data), data)
        self._staged += 1

    def _take(self, block_id: str, content: bytes | memoryview) -> None:
        self.block_ids.append(block_id)
        self._hash.update(content)
        self.size += len(content)
