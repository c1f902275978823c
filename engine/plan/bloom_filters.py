"""Row ids that a field gives: which row groups may have them, where bounds do not tell since the ids are in no order.

A Bloom filter for each row group, made at publishing, behind its CRC-32, since one bit that a disk has lost would lose
rows; those of a part are one object beside it. One id of some
1,700 that a filter was not made of seems to be in it; none that is in it is ever missed. Positions by double hashing
(Kirsch and Mitzenmacher, "Less hashing, same performance", 2006): two numbers of 32 bits from the id's MD5, which every
version of DuckDB and of Python makes the same.
"""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import duckdb

from engine.catalog.manifest import Part, RowGroup
from engine.catalog.schema import ROW_ID
from engine.common.cancellation import CancelToken
from engine.common.concurrency import read_all
from engine.common.table_functions import exact_path, read_parquet
from engine.errors import SourceDamaged
from engine.plan.planner import ExportPlan
from engine.plan.ranges import RowGroupMask
from engine.stores.port import ObjectStore

_BITS_OF_A_ROW = 16
_POSITIONS = 8
"""Bits that are set for each id: 39 % of all are, and 0.06 % of other ids find theirs set."""

MOST_LOOKS = 1_000_000
"""Ids times row groups that are looked up: each takes a microsecond or two, and Python's lock with it.

A constant, since what is read decides where the row groups of a Parquet export end.
"""

MOST_FILTERS = 20_000
"""Filters that are read, of 240 KB each: a constant for the same reason. A larger run is one for a cluster."""

_SUM_BYTES = 4
_LOW = 2**32 - 1

_Numbers = tuple[int, int]
"""Of one id: its bits are the first, and each the second after the one before."""


def make_filters(connection: duckdb.DuckDBPyConnection, path: Path, groups: Sequence[RowGroup]) -> Iterator[bytes]:
    """The sum and the filter of each row group of a Parquet file."""
    first = 0
    for group in groups:
        bits = 8 * (_length(group) - _SUM_BYTES)
        sets = " | ".join(f"bitstring_agg((a + {number} * b) % {bits}, 0, {bits - 1})" for number in range(_POSITIONS))
        rows = f"{read_parquet('$paths')} WHERE file_row_number >= $first AND file_row_number < $end"
        # Materialized, since DuckDB makes what has a name anew in each place that names it.
        sql = (
            f"WITH hashes AS MATERIALIZED (SELECT md5_number_lower({ROW_ID}) AS h FROM {rows}), "  # noqa: S608  # our own names and numbers
            f"halves AS MATERIALIZED (SELECT CAST(h >> 32 AS BIGINT) AS a, CAST(h & {_LOW} AS BIGINT) AS b FROM hashes)"
            f" SELECT CAST({sets} AS BLOB) FROM halves"
        )
        parameters = {"paths": [exact_path(path)], "first": first, "end": first + group.rows}
        found = connection.execute(sql, parameters).fetchone()
        if found is None:
            raise AssertionError("an aggregate is one row")
        yield zlib.crc32(found[0]).to_bytes(_SUM_BYTES, "little") + found[0]
        first += group.rows


def prune_by_bloom(plan: ExportPlan, store: ObjectStore, cancel: CancelToken) -> RowGroupMask:
    """The row groups of a plan that may have one of its row ids.

    Raises SourceDamaged, ObjectMissing or ObjectChanged for filters that are not those of the run, Cancelled, and
    StoreUnavailable.
    """
    ids = plan.request.row_ids or ()
    groups = sum(map(sum, plan.row_group_mask))
    if len(ids) * groups > MOST_LOOKS or groups > MOST_FILTERS:
        return plan.row_group_mask
    numbers = [_numbers(row_id) for row_id in ids]

    def look(part: Part, flags: Sequence[bool]) -> Sequence[bool]:
        cancel.raise_if_cancelled()
        return _held(part, flags, numbers, store)

    return tuple(read_all(lambda one: look(*one), list(zip(plan.run.parts, plan.row_group_mask, strict=True))))


def _held(part: Part, flags: Sequence[bool], ids: Sequence[_Numbers], store: ObjectStore) -> Sequence[bool]:
    described = part.row_id_filters
    if described is None or not any(flags):
        return flags
    starts = list(accumulate(map(_length, part.row_groups), initial=0))
    wanted = [number for number, kept in enumerate(flags) if kept]
    start, end = starts[wanted[0]], starts[wanted[-1] + 1]
    filters = memoryview(store.read(described.key, start=start, length=end - start, etag=described.etag))
    if described.bytes != starts[-1] or len(filters) != end - start:
        raise SourceDamaged("The Bloom filters of a part of the run are not of its row groups.")
    return tuple(
        kept and _holds_any(filters[low - start : high - start], ids)
        for kept, (low, high) in zip(flags, pairwise(starts), strict=True)
    )


def _holds_any(summed: memoryview, ids: Sequence[_Numbers]) -> bool:
    found = summed[_SUM_BYTES:]
    if zlib.crc32(found).to_bytes(_SUM_BYTES, "little") != summed[:_SUM_BYTES]:
        raise SourceDamaged("The Bloom filters of a part of the run are damaged: publish it again.")
    return any(_holds(found, one) for one in ids)


def _holds(found: memoryview, numbers: _Numbers) -> bool:
    """Whether a filter has an id of these numbers, or seems to."""
    bits = 8 * len(found)
    high, low = numbers
    places = ((high + place * low) % bits for place in range(_POSITIONS))
    return all(found[place // 8] & 0x80 >> place % 8 for place in places)


def _numbers(row_id: str) -> _Numbers:
    number = int.from_bytes(hashlib.md5(row_id.encode(), usedforsecurity=False).digest()[8:], "little")
    return number >> 32, number & _LOW


def _length(group: RowGroup) -> int:
    """Bytes of a row group's filter and of its sum."""
    return _SUM_BYTES + max(1, group.rows * _BITS_OF_A_ROW // 8)
