"""Copies row groups of a run unchanged into a Parquet file; nothing is decoded."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb

from engine.catalog.manifest import ROW_HASH, RunObject
from engine.catalog.schema import ROW_ID
from engine.common.cancellation import CancelToken
from engine.common.progress import Progress
from engine.errors import SourceDamaged
from engine.parquet.footer_merge import MAGIC, TAIL_BYTES, ByteRange, FooterMerger, writer_of
from engine.plan.planner import ExportPlan
from engine.plan.ranges import Range
from engine.stores.port import ObjectStore

_READ_BYTES = 8 * 1024 * 1024
_READ_AHEAD = 4
"""Reads in flight while earlier bytes are written: 32 MiB in memory."""

_FOOTER_ERRORS = (ValueError, LookupError, TypeError, AttributeError)
"""Raised for bytes that are not a footer: fields are missing, have another type, or point beyond the end."""


_WRITER = f"DuckDB version v{duckdb.__version__} "
"""What footers of files begin the name of their writer with, if it is the version that encodes here."""


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
        return _write([self], store, forward, cancel, Progress())


def copy_of(plan: ExportPlan, range_: Range) -> RowGroupCopy:
    """The file of a range that is copied. Raises ValueError if the range is not."""
    if range_.copied is None:
        raise ValueError("the range is not copied")
    (part,) = range_.parts
    source = RunObject(key=part.key, bytes=part.bytes, sha256=part.sha256, etag=part.etag)
    return RowGroupCopy(source, range_.copied, range_.max_rows, _excluded(plan))


def copy_row_groups(
    plan: ExportPlan,
    store: ObjectStore,
    forward: Callable[[bytes], None],
    *,
    cancel: CancelToken,
    progress: Progress,
) -> int:
    """Write the file of a plan that copies all it reads through ``forward`` and return the number of its rows.

    Raises SourceDamaged, Cancelled, StoreError, or whatever ``forward`` raised; bytes may have been forwarded then.
    """
    copies = []
    for part, flags in zip(plan.run.parts, plan.row_group_mask, strict=True):
        groups = [number for number, flag in enumerate(flags) if flag]
        if groups:
            rows = sum(part.row_groups[number].rows for number in groups)
            copies.append(RowGroupCopy(part, groups, rows, _excluded(plan)))
    return _write(copies, store, forward, cancel, progress)


def with_possible_copies(plan: ExportPlan, store: ObjectStore) -> ExportPlan:
    """The plan, without copies if some ranges are encoded, and another version of DuckDB wrote the run.

    Files of two versions may describe a column differently, and then have no footer in common.
    Raises SourceDamaged or StoreError.
    """
    copied = next((range_ for range_ in plan.ranges if range_.copied is not None), None)
    if copied is None or plan.copies_row_groups:
        return plan
    with raising_source_damaged():
        writer = writer_of(_footer(store, copied.parts[0]))
    if writer.startswith(_WRITER):
        return plan
    ranges = tuple(replace(range_, copied=None) for range_ in plan.ranges)
    return replace(plan, ranges=ranges, scan_ranges=ranges)


def _excluded(plan: ExportPlan) -> tuple[str, ...]:
    row_id = () if plan.request.include_row_ids else (ROW_ID,)
    return (*row_id, *(ROW_HASH if plan.run.row_hashes else ()))


def _write(
    copies: Sequence[RowGroupCopy],
    store: ObjectStore,
    forward: Callable[[bytes], None],
    cancel: CancelToken,
    progress: Progress,
) -> int:
    merger = FooterMerger(copies[0].excluded)
    forward(MAGIC)
    with ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="copy") as pool:
        ahead: deque[Future[bytes]] = deque()
        try:
            for part, byte_range in _byte_ranges(copies, store, merger, progress):
                cancel.raise_if_cancelled()
                ahead.append(pool.submit(_read, store, part, byte_range))
                if len(ahead) == _READ_AHEAD:
                    forward(ahead.popleft().result())
            while ahead:
                forward(ahead.popleft().result())
        finally:
            for future in ahead:
                future.cancel()
    with raising_source_damaged():
        footer = merger.footer()
    forward(footer)
    return merger.rows


@contextmanager
def raising_source_damaged() -> Iterator[None]:
    """Raise SourceDamaged for errors of bytes that are not a footer."""
    try:
        yield
    except _FOOTER_ERRORS as error:
        raise SourceDamaged("A part of the run cannot be read.") from error


def _byte_ranges(
    copies: Sequence[RowGroupCopy], store: ObjectStore, merger: FooterMerger, progress: Progress
) -> Iterator[tuple[RunObject, ByteRange]]:
    rows = 0
    for copy in copies:
        part = copy.part
        with raising_source_damaged():
            for byte_range in merger.add(_footer(store, part), copy.groups):
                if byte_range.start < 0 or not 0 < byte_range.length <= part.bytes - byte_range.start:
                    raise ValueError("a row group ends beyond the file")
                for start in range(0, byte_range.length, _READ_BYTES):
                    yield part, ByteRange(byte_range.start + start, min(_READ_BYTES, byte_range.length - start))
            if merger.rows != rows + copy.rows:
                raise ValueError("the number of rows differs from the manifest")
        rows += copy.rows
        progress.add_rows(copy.rows)


def _footer(store: ObjectStore, part: RunObject) -> bytes:
    tail = _read(store, part, ByteRange(part.bytes - TAIL_BYTES, TAIL_BYTES))
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or length > part.bytes - TAIL_BYTES - len(MAGIC):
        raise ValueError("the file does not end with a footer")
    return _read(store, part, ByteRange(part.bytes - TAIL_BYTES - length, length))


def _read(store: ObjectStore, part: RunObject, byte_range: ByteRange) -> bytes:
    return store.read(part.key, start=byte_range.start, length=byte_range.length, etag=part.etag)
