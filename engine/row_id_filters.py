"""Row ids that a field gives: which row groups may have them, where bounds do not tell since the ids are in no order.

A Bloom filter for each row group, made at publishing; those of a part are one object beside it. One id of some
1,700 that a filter was not made of seems to be in it; none that is in it is ever missed. Positions by double hashing
(Kirsch and Mitzenmacher, "Less hashing, same performance", 2006): two numbers of 32 bits from the id's MD5, which every
version of DuckDB and of Python makes the same.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from engine.cancel import CancelToken
from engine.errors import SourceDamaged
from engine.plan import ExportPlan
from engine.ranges import Kept
from engine.readers import read_parquet
from engine.runs import Part, RowGroup
from engine.schema import ROW_ID
from engine.stores.port import ObjectStore

_BITS_OF_A_ROW = 16
_POSITIONS = 8
"""Bits that are set for each id: 39 % of all are, and 0.06 % of other ids find theirs set."""

MOST_LOOKS = 1_000_000
"""Ids times row groups that are looked up: each takes up to a microsecond, and Python's lock with it.

A constant, since what is read decides where the row groups of a Parquet export end.
"""

_LOW = 2**32 - 1

_Positions = tuple[tuple[int, int], ...]
"""Of one id: the place of a byte, and the bit in it."""


def make_filters(connection: duckdb.DuckDBPyConnection, path: Path, groups: Sequence[RowGroup]) -> Iterator[bytes]:
    """The filter of each row group of a Parquet file."""
    first = 0
    for group in groups:
        bits = 8 * _length(group)
        sets = " | ".join(f"bitstring_agg((a + {number} * b) % {bits}, 0, {bits - 1})" for number in range(_POSITIONS))
        rows = f"{read_parquet('$paths')} WHERE file_row_number >= $first AND file_row_number < $end"
        # Materialized, since DuckDB makes what has a name anew in each place that names it.
        sql = (
            f"WITH hashes AS MATERIALIZED (SELECT md5_number_lower({ROW_ID}) AS h FROM {rows}), "  # noqa: S608  # our own names and numbers
            f"halves AS MATERIALIZED (SELECT CAST(h >> 32 AS BIGINT) AS a, CAST(h & {_LOW} AS BIGINT) AS b FROM hashes)"
            f" SELECT CAST({sets} AS BLOB) FROM halves"
        )
        parameters = {"paths": [str(path)], "first": first, "end": first + group.rows}
        found = connection.execute(sql, parameters).fetchone()
        if found is None:
            raise AssertionError("an aggregate is one row")
        yield found[0]
        first += group.rows


def held(plan: ExportPlan, store: ObjectStore, cancel: CancelToken) -> Kept:
    """What a plan keeps, without the row groups that have none of its row ids.

    Raises SourceDamaged, ObjectMissing or ObjectChanged for filters that are not those of the run, Cancelled, and
    StoreUnavailable.
    """
    ids = plan.request.row_ids or ()
    if len(ids) * sum(map(sum, plan.kept)) > MOST_LOOKS:
        return plan.kept
    positions: dict[int, list[_Positions]] = {}
    found = []
    for part, flags in zip(plan.run.parts, plan.kept, strict=True):
        cancel.raise_if_cancelled()
        found.append(_held(part, flags, ids, store, positions))
    return tuple(found)


def _held(
    part: Part, flags: Sequence[bool], ids: Sequence[str], store: ObjectStore, positions: dict[int, list[_Positions]]
) -> Sequence[bool]:
    if part.row_id_filters is None or not any(flags):
        return flags
    filters = store.read(part.row_id_filters.key, etag=part.row_id_filters.etag)
    if len(filters) != sum(map(_length, part.row_groups)):
        raise SourceDamaged("The Bloom filters of a part of the run are not of its row groups.")
    found = []
    start = 0
    for group, kept in zip(part.row_groups, flags, strict=True):
        length = _length(group)
        if length not in positions:
            positions[length] = [_positions(row_id, 8 * length) for row_id in ids]
        found.append(kept and any(_holds(filters, start, one) for one in positions[length]))
        start += length
    return tuple(found)


def _holds(filters: bytes, start: int, positions: _Positions) -> bool:
    return all(filters[start + place] & bit for place, bit in positions)


def _positions(row_id: str, bits: int) -> _Positions:
    number = int.from_bytes(hashlib.md5(row_id.encode(), usedforsecurity=False).digest()[8:], "little")
    high, low = number >> 32, number & _LOW
    bits_set = ((high + place * low) % bits for place in range(_POSITIONS))
    return tuple((bit // 8, 0x80 >> bit % 8) for bit in bits_set)


def _length(group: RowGroup) -> int:
    """Bytes of a row group's filter."""
    return max(1, group.rows * _BITS_OF_A_ROW // 8)
