"""An upload to a directory store: blocks are appended to a staging file, which becomes the object."""

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from threading import Lock

from engine.common.private_files import FILE_MODE, open_private
from engine.errors import StoreError
from engine.stores.local.durable_files import copy_range, raising_store_errors, seal
from engine.stores.local.joined_upload import block_path
from engine.stores.local.tree import Tree, open_version
from engine.stores.port import CopySource, ObjectInfo
from engine.stores.validation import checked_metadata, checked_ordinal

_MAX_REMOVE_ATTEMPTS = 64
"""More than the number of tasks that stage at the same time, each of which may add a file during a removal."""


class DirectoryUpload:
    """The staging file has the blocks in order of arrival; none is copied if the commit has the same order."""

    parallel_blocks = 1
    readable = True

    def __init__(self, tree: Tree, key: str, content_type: str) -> None:
        self._tree = tree
        self._key = key
        self._content_type = content_type
        self._nonce = secrets.token_hex(6)
        self._folder = tree.new_staging()
        self.handle = self._folder.name
        self._file = self._folder / "data"
        self._file.touch(FILE_MODE)
        self._blocks: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._open = True
        self._mutex = Lock()

    def stage(self, ordinal: int, data: bytes | memoryview) -> str:
        """Append one block. If an ordinal is staged again, its id refers to the last bytes."""
        block_id = f"{self._nonce}{checked_ordinal(ordinal):05d}"
        with self._mutex, raising_store_errors():
            self._require_open()
            # A failed write leaves bytes past the end, which the next block overwrites or the commit truncates.
            _write_at(self._file, data, self._end)
            self._blocks[block_id] = (self._end, len(data))
            self._end += len(data)
        return block_id

    def stage_copy(self, ordinal: int, source: CopySource, *, start: int, length: int, md5: bytes) -> str:
        """Append bytes of another file, in the kernel if both are in one file system."""
        # Nobody here reads the bytes.
        del md5
        block_id = f"{self._nonce}{checked_ordinal(ordinal):05d}"
        with self._mutex, raising_store_errors():
            self._require_open()
            with open_version(Path(source.location), source.etag, 0) as file:
                self._append(file.fileno(), start, block_id, length)
        return block_id

    def block(self, block_id: str, length: int) -> memoryview:
        """A memory map of another process's block."""
        with raising_store_errors(), self._staged(block_id, length).open("rb") as file:
            return memoryview(mmap(file.fileno(), length, access=ACCESS_READ)) if length else memoryview(b"")

    def adopt(self, block_id: str, length: int) -> None:
        """Move the bytes of another process's block to the end of the staging file."""
        with self._mutex, raising_store_errors():
            path = self._staged(block_id, length)
            with path.open("rb", buffering=0) as source:
                self._append(source.fileno(), 0, block_id, length)
            path.unlink()

    def commit(self, block_ids: Sequence[str], *, metadata: Mapping[str, str]) -> ObjectInfo:
        """Make the object visible with one hard link. Raises ObjectExists if the key is taken."""
        metadata = checked_metadata(metadata)
        with self._mutex, raising_store_errors():
            self._require_open()
            try:
                ranges = [self._blocks[block_id] for block_id in block_ids]
            except KeyError:
                raise StoreError("A block of the upload is missing.") from None
            file = self._in_order(ranges)
            seal(file)
            info = self._tree.publish(self._key, file, self._content_type, metadata)
            self._open = False
        self.abort()
        return info

    def abort(self) -> None:
        """Remove the staging directory; a committed object has another hard link and stays."""
        with self._mutex:
            self._open = False
            folder = self._folder
            with suppress(OSError):
                # Renamed first, so that other processes cannot stage further blocks into it.
                folder = folder.rename(folder.with_name(f"{folder.name}-ended"))
            # A process that had opened it before may still add one file during each removal.
            for _ in range(_MAX_REMOVE_ATTEMPTS):
                shutil.rmtree(folder, ignore_errors=True)
                # Path.exists may raise OSError; abort never raises.
                if not os.path.lexists(folder):
                    break

    def _append(self, source: int, start: int, block_id: str, length: int) -> None:
        """Append bytes of an open file to the staging file as a block."""
        with self._file.open("r+b", buffering=0) as target:
            target.seek(self._end)
            copy_range(source, target.fileno(), start, length)
        self._blocks[block_id] = (self._end, length)
        self._end += length

    def _staged(self, block_id: str, length: int) -> Path:
        self._require_open()
        path = block_path(self._folder, block_id)
        if not path.is_file() or path.stat().st_size != length:
            raise StoreError("A block of the upload is missing.")
        return path

    def _require_open(self) -> None:
        if not self._open:
            raise StoreError("The upload has ended already.")

    def _in_order(self, ranges: Sequence[tuple[int, int]]) -> Path:
        """A file with these ranges of the staging file: the staging file itself if they are all of it in order."""
        merged = _merged(ranges)
        if merged == ([(0, self._end)] if self._end else []):
            os.truncate(self._file, self._end)
            return self._file
        ordered = self._folder / "ordered"
        ordered.unlink(missing_ok=True)
        with self._file.open("rb", buffering=0) as source, open_private(ordered, "xb", buffering=0) as target:
            for offset, length in merged:
                copy_range(source.fileno(), target.fileno(), offset, length)
        return ordered


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes in the same order, with adjacent ranges merged and empty ones omitted."""
    merged: list[tuple[int, int]] = []
    for offset, length in ranges:
        if merged and sum(merged[-1]) == offset:
            start, before = merged.pop()
            merged.append((start, before + length))
        elif length:
            merged.append((offset, length))
    return merged


def _write_at(path: Path, data: bytes | memoryview, offset: int) -> None:
    with path.open("r+b", buffering=0) as file:
        view = memoryview(data)
        while view:
            written = os.pwrite(file.fileno(), view, offset)
            view, offset = view[written:], offset + written
