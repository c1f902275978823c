"""The file as the driver sees it: pieces in order, hashed, and what belongs between and behind them."""

import hashlib
from collections.abc import Callable
from typing import Protocol

from xxhash import xxh3_64_intdigest

from engine.errors import StoreError
from engine.execute.framing import NEXT, OPEN, array_end
from engine.execute.row_group_copy import told_as_damage
from engine.parquet.footer_merge import FooterJoin
from engine.runners.ray.messages import Piece
from engine.stores.port import Upload

Content = Callable[[Piece, int], memoryview]
"""The bytes of a piece's block of that number."""


class Join(Protocol):
    """What a format adds to pieces that follow each other."""

    def head(self, piece: Piece, content: Content) -> bytes | None:
        """What the piece has to begin with instead of as many bytes of its own, or None."""

    def end(self) -> bytes:
        """What follows the last piece."""


class PlainJoin:
    """Nothing: lines end themselves."""

    def head(self, _piece: Piece, _content: Content) -> bytes | None:
        """As it is."""
        return None

    def end(self) -> bytes:
        """Nothing."""
        return b""


class ArrayJoin:
    """The first piece that has rows opens the array; the others go on with it."""

    def __init__(self) -> None:
        self._any = False

    def head(self, piece: Piece, content: Content) -> bytes | None:
        """The bracket in the place of a comma, if no row came before."""
        if self._any or not piece.blocks:
            return None
        self._any = True
        return OPEN if bytes(content(piece, 0)[: len(OPEN)]) == NEXT else None

    def end(self) -> bytes:
        """The one closing bracket."""
        return array_end(any_rows=self._any)


class RowGroupJoin:
    """One footer for the row groups of all pieces."""

    def __init__(self) -> None:
        self._join = FooterJoin()

    def head(self, piece: Piece, _content: Content) -> bytes | None:
        """As it is; its footers count. Raises SourceDamaged if they are not of one schema."""
        with told_as_damage():
            for footer in piece.footers:
                for _ in self._join.add(footer):
                    pass
        return None

    def end(self) -> bytes:
        """The footer. Raises SourceDamaged if those of the pieces have not what one is made of."""
        with told_as_damage():
            return self._join.footer()


class JoinedFile:
    """Takes pieces in order, each one once; `finish` makes the file whole."""

    def __init__(self, upload: Upload, join: Join) -> None:
        self._upload = upload
        self._join = join
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
        head = self._join.head(piece, self._content)
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
        end = self._join.end()
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
