"""Bloom filters of row ids that come from a field: such ids are unsorted, so minimum and maximum rule nothing out.

Publishing builds one filter per row group and stores the filters of a part as one object beside it. Each filter follows
its CRC-32, since a single lost bit would lose rows. About one in 1,700 ids that a row group does not have passes its
filter; an id that it has always does. Positions come from double hashing (Kirsch and Mitzenmacher, "Less hashing, same
performance", 2006) of two 32-bit halves of the id's MD5, which every version of DuckDB and Python computes alike.
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

_BITS_PER_ROW = 16
_HASHES = 8
"""Bits that each id sets. 39 % of all bits are set then, and the false-positive rate is 0.06 %."""

MAX_LOOKUPS = 1_000_000
"""Maximum ids times row groups: each lookup takes one to two microseconds and holds Python's global lock.

A constant, since the row groups that are read decide where those of a Parquet export end.
"""

MAX_BLOOM_FILTERS = 20_000
"""Maximum filters that are read, of 240 KB each; a constant for the same reason. Use a cluster for larger runs."""

_CHECKSUM_BYTES = 4
_LOW_BITS = 2**32 - 1

_Hash = tuple[int, int]
"""First position and step, both before the modulo, of the bits of an id."""


def build_filters(connection: duckdb.DuckDBPyConnection, path: Path, groups: Sequence[RowGroup]) -> Iterator[bytes]:
    """Yield the checksum and filter of each row group of a local Parquet file."""
    first = 0
    for group in groups:
        bits = 8 * (_size(group) - _CHECKSUM_BYTES)
        filter_ = " | ".join(f"bitstring_agg((a + {number} * b) % {bits}, 0, {bits - 1})" for number in range(_HASHES))
        rows = f"{read_parquet('$paths')} WHERE file_row_number >= $first AND file_row_number < $end"
        # Materialized, since DuckDB otherwise evaluates a CTE once per reference. Its md5_number_lower is these bits as
        # well, by way of their text, which takes four times as long.
        sql = (
            f"WITH hashes AS MATERIALIZED (SELECT CAST(md5_number({ROW_ID}) >> 64 AS UBIGINT) AS h FROM {rows}), "  # noqa: S608  # our own names and numbers
            "halves AS MATERIALIZED "
            f"(SELECT CAST(h >> 32 AS BIGINT) AS a, CAST(h & {_LOW_BITS} AS BIGINT) AS b FROM hashes)"
            f" SELECT CAST({filter_} AS BLOB) FROM halves"
        )
        parameters = {"paths": [exact_path(path)], "first": first, "end": first + group.rows}
        row = connection.execute(sql, parameters).fetchone()
        if row is None:
            raise AssertionError("an aggregate returns one row")
        yield zlib.crc32(row[0]).to_bytes(_CHECKSUM_BYTES, "little") + row[0]
        first += group.rows


def prune_by_bloom(plan: ExportPlan, store: ObjectStore, cancel: CancelToken) -> RowGroupMask:
    """Return the plan's mask without the row groups whose filter has none of the requested row ids.

    Raises SourceDamaged, ObjectMissing or ObjectChanged if the filters are not those of the run; Cancelled; and
    StoreUnavailable.
    """
    ids = plan.request.row_ids or ()
    groups = sum(map(sum, plan.row_group_mask))
    if len(ids) * groups > MAX_LOOKUPS or groups > MAX_BLOOM_FILTERS:
        return plan.row_group_mask
    hashes = [_hash(row_id) for row_id in ids]

    def prune_part(part_and_flags: tuple[Part, Sequence[bool]]) -> Sequence[bool]:
        cancel.raise_if_cancelled()
        return _prune_part(*part_and_flags, hashes, store)

    return tuple(read_all(prune_part, list(zip(plan.run.parts, plan.row_group_mask, strict=True))))


def _prune_part(part: Part, flags: Sequence[bool], hashes: Sequence[_Hash], store: ObjectStore) -> Sequence[bool]:
    filters = part.row_id_filters
    if filters is None or not any(flags):
        return flags
    starts = list(accumulate(map(_size, part.row_groups), initial=0))
    in_mask = [number for number, flag in enumerate(flags) if flag]
    start, end = starts[in_mask[0]], starts[in_mask[-1] + 1]
    content = memoryview(store.read(filters.key, start=start, length=end - start, etag=filters.etag))
    if filters.bytes != starts[-1] or len(content) != end - start:
        raise SourceDamaged("The Bloom filters of a part do not match its row groups: publish the run again.")
    return tuple(
        flag and _may_have_any(content[low - start : high - start], hashes)
        for flag, (low, high) in zip(flags, pairwise(starts), strict=True)
    )


def _may_have_any(checksum_and_filter: memoryview, hashes: Sequence[_Hash]) -> bool:
    filter_ = checksum_and_filter[_CHECKSUM_BYTES:]
    if zlib.crc32(filter_).to_bytes(_CHECKSUM_BYTES, "little") != checksum_and_filter[:_CHECKSUM_BYTES]:
        raise SourceDamaged("The Bloom filters of a part of the run are damaged: publish the run again.")
    return any(_may_have(filter_, one) for one in hashes)


def _may_have(filter_: memoryview, hash_: _Hash) -> bool:
    bits = 8 * len(filter_)
    first, step = hash_
    positions = ((first + number * step) % bits for number in range(_HASHES))
    return all(filter_[position // 8] & 0x80 >> position % 8 for position in positions)


def _hash(row_id: str) -> _Hash:
    number = int.from_bytes(hashlib.md5(row_id.encode(), usedforsecurity=False).digest()[8:], "little")
    return number >> 32, number & _LOW_BITS


def _size(group: RowGroup) -> int:
    """Bytes of a row group's checksum and filter."""
    return _CHECKSUM_BYTES + max(1, group.rows * _BITS_PER_ROW // 8)
