"""Copies row groups of a run unchanged into a Parquet file; nothing is decoded."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb

from engine.catalog.manifest import ROW_HASH, Run, RunObject
from engine.catalog.schema import ROW_ID
from engine.common.cancellation import CancelToken
from engine.common.concurrency import read_all
from engine.common.progress import Progress
from engine.errors import SourceDamaged
from engine.parquet.footer_merge import MAGIC, TAIL_BYTES, ByteRange, FooterMerger, writer_of
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.stores.composition import MAX_COPY_BYTES
from engine.stores.port import ObjectStore

_READ_BYTES = 8 * 1024 * 1024
_READ_AHEAD = 4
"""Reads in flight while earlier bytes are written: 32 MiB in memory."""

_END_BYTES = 64 * 1024
"""What is read of a part to find its footer: more than most footers have."""

_FOOTER_ERRORS = (ValueError, LookupError, TypeError, AttributeError)
"""Raised for bytes that are not a footer: fields are missing, have another type, or point beyond the end."""

_WRITER = f"DuckDB version v{duckdb.__version__} "
"""What footers of files begin the name of their writer with, if it is the version that encodes here."""

Read = Callable[[RunObject, ByteRange], bytes]
"""Returns bytes of a part."""


@dataclass(frozen=True, slots=True)
class RowGroupCopy:
    """A Parquet file of row groups of a part, by their numbers, with ``rows`` rows and without columns ``excluded``."""

    part: RunObject
    groups: Collection[int]
    rows: int
    excluded: tuple[str, ...]

    def write(self, store: ObjectStore, forward: Callable[[bytes], None], cancel: CancelToken) -> int:
        """Write the file through ``forward`` and return the number of its rows.

        Raises SourceDamaged, Cancelled, StoreError, or whatever ``forward`` raised; bytes may have been forwarded then.
        """
        read = reader_of(store)
        return merge([self], read).write(read, forward, cancel, Progress())


@dataclass(frozen=True, slots=True)
class MergedFile:
    """One Parquet file of several copies: `MAGIC`, then the byte ranges of each part, then the footer."""

    copies: tuple[tuple[RowGroupCopy, tuple[ByteRange, ...]], ...]
    footer: bytes

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(copy.rows for copy, _ in self.copies)

    @property
    def size(self) -> int:
        """In bytes."""
        return len(MAGIC) + sum(one.length for _, ranges in self.copies for one in ranges) + len(self.footer)

    @property
    def pieces(self) -> list[tuple[RunObject, ByteRange]]:
        """What a store copies to make the file: the ranges, each of at most `MAX_COPY_BYTES`."""
        return [(copy.part, piece) for copy, ranges in self.copies for piece in cut(ranges, MAX_COPY_BYTES)]

    @property
    def recipe(self) -> str:
        """A hash, in hexadecimal, of what determines the bytes: the pieces, and the footer."""
        pieces = [[part.key, piece.start, piece.length] for part, piece in self.pieces]
        return hashlib.sha256(json.dumps(pieces).encode() + self.footer).hexdigest()

    def write(self, read: Read, forward: Callable[[bytes], None], cancel: CancelToken, progress: Progress) -> int:
        """Write the file through ``forward`` and return the number of its rows.

        Raises Cancelled, or what ``read`` or ``forward`` raised; bytes may have been forwarded then.
        """
        forward(MAGIC)
        with ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="copy") as pool:
            ahead: deque[Future[bytes]] = deque()
            try:
                for copy, ranges in self.copies:
                    for piece in cut(ranges, _READ_BYTES):
                        cancel.raise_if_cancelled()
                        ahead.append(pool.submit(read, copy.part, piece))
                        if len(ahead) == _READ_AHEAD:
                            forward(ahead.popleft().result())
                    progress.add_rows(copy.rows)
                while ahead:
                    forward(ahead.popleft().result())
            finally:
                for future in ahead:
                    future.cancel()
        forward(self.footer)
        return self.rows


def cut(ranges: Iterable[ByteRange], most: int) -> list[ByteRange]:
    """The same bytes in ranges of at most that many."""
    return [
        ByteRange(start, min(most, one.start + one.length - start))
        for one in ranges
        for start in range(one.start, one.start + one.length, most)
    ]


def copy_of(plan: ExportPlan, range_: Range) -> RowGroupCopy:
    """The file of a range that is copied. Raises ValueError if the range is not."""
    if range_.copied is None:
        raise ValueError("the range is not copied")
    (part,) = range_.parts
    source = RunObject(key=part.key, bytes=part.bytes, sha256=part.sha256, etag=part.etag)
    return RowGroupCopy(source, range_.copied, range_.max_rows, _excluded(plan))


def merge_plan(plan: ExportPlan, store: ObjectStore) -> MergedFile:
    """The file of a plan that copies all it reads. Raises SourceDamaged or StoreError."""
    copies = []
    for part, flags in zip(plan.run.parts, plan.row_group_mask, strict=True):
        groups = [number for number, flag in enumerate(flags) if flag]
        if groups:
            rows = sum(part.row_groups[number].rows for number in groups)
            copies.append(RowGroupCopy(part, groups, rows, _excluded(plan)))
    return merge(copies, reader_of(store))


def merge_run(run: Run, read: Read) -> MergedFile:
    """The file of a run that has all of its rows and columns, but those that are internal. Raises SourceDamaged."""
    copies = [
        RowGroupCopy(part, range(len(part.row_groups)), part.rows, (ROW_ID, *_row_hash(run))) for part in run.parts
    ]
    return merge(copies, read)


def with_possible_copies(plan: ExportPlan, store: ObjectStore) -> ExportPlan:
    """The plan, without copies if some ranges are encoded, and another version of DuckDB wrote the run.

    Files of two versions may describe a column differently, and then have no footer in common.
    Raises SourceDamaged or StoreError.
    """
    copied = next((range_ for range_ in plan.ranges if range_.copied is not None), None)
    if copied is None or plan.copies_row_groups:
        return plan
    with raising_source_damaged():
        writer = writer_of(_footer(reader_of(store), copied.parts[0]))
    if writer.startswith(_WRITER):
        return plan
    ranges = tuple(replace(range_, copied=None) for range_ in plan.ranges)
    return replace(plan, ranges=ranges, scan_ranges=ranges)


def merge(copies: Sequence[RowGroupCopy], read: Read) -> MergedFile:
    """The file of several copies, which leave out the same columns. Raises SourceDamaged, or what ``read`` raised."""
    merger = FooterMerger(copies[0].excluded)
    merged, rows = [], 0
    with raising_source_damaged():
        for copy, footer in zip(copies, read_all(lambda one: _footer(read, one.part), copies), strict=True):
            ranges = tuple(merger.add(footer, copy.groups))
            if any(one.start < 0 or not 0 < one.length <= copy.part.bytes - one.start for one in ranges):
                raise ValueError("a row group ends beyond the file")
            rows += copy.rows
            if merger.rows != rows:
                raise ValueError("the number of rows differs from the manifest")
            merged.append((copy, ranges))
        return MergedFile(tuple(merged), merger.footer())


def reader_of(store: ObjectStore) -> Read:
    """Reads bytes of parts from a store."""
    return lambda part, byte_range: store.read(
        part.key, start=byte_range.start, length=byte_range.length, etag=part.etag
    )


@contextmanager
def raising_source_damaged() -> Iterator[None]:
    """Raise SourceDamaged for errors of bytes that are not a footer."""
    try:
        yield
    except _FOOTER_ERRORS as error:
        raise SourceDamaged("A part of the run cannot be read.") from error


def _excluded(plan: ExportPlan) -> tuple[str, ...]:
    row_id = () if plan.request.include_row_ids else (ROW_ID,)
    return (*row_id, *_row_hash(plan.run))


def _row_hash(run: Run) -> tuple[str, ...]:
    return ROW_HASH if run.row_hashes else ()


def _footer(read: Read, part: RunObject) -> bytes:
    end = read(part, ByteRange(max(0, part.bytes - _END_BYTES), min(part.bytes, _END_BYTES)))
    length = int.from_bytes(end[-TAIL_BYTES : -len(MAGIC)], "little")
    if end[-len(MAGIC) :] != MAGIC or length > part.bytes - TAIL_BYTES - len(MAGIC):
        raise ValueError("the file does not end with a footer")
    if length + TAIL_BYTES > len(end):
        end = read(part, ByteRange(part.bytes - TAIL_BYTES - length, length + TAIL_BYTES))
    return end[-TAIL_BYTES - length : -TAIL_BYTES]
