"""Reads the row group statistics in the footer of a part."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet

from engine.catalog.manifest import MAX_BOUND_LENGTH, ROW_HASH, ColumnStatistics, RowGroup, StoredColumn

_MAX_CODE_POINT, _SURROGATES = 0x10FFFF, range(0xD800, 0xE000)


def read_row_groups(path: Path) -> tuple[RowGroup, ...]:
    """The row groups of a Parquet file in order, with statistics by column path."""
    metadata = pyarrow.parquet.read_metadata(path)
    return tuple(_row_group(metadata.row_group(index)) for index in range(metadata.num_row_groups))


def read_columns(path: Path) -> dict[str, StoredColumn]:
    """The columns of a Parquet file by name, with their sizes and, if it says them, their distinct values."""
    metadata = pyarrow.parquet.read_metadata(path)
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    found, first = {}, 0
    for field in metadata.schema.to_arrow_schema():
        leaves = range(first, first + _leaves(field.type))
        first = leaves.stop
        distinct = None
        if len(groups) == 1 and not field.type.num_fields:
            statistics = groups[0].column(leaves[0]).statistics
            # pyarrow has None for what the file does not say.
            distinct = None if statistics is None else statistics.distinct_count
        size = sum(group.column(leaf).total_compressed_size for group in groups for leaf in leaves)
        if field.name not in ROW_HASH:
            found[field.name] = StoredColumn(bytes=size, distinct=distinct)
    return found


def _leaves(type_: Any) -> int:
    return sum(_leaves(type_.field(index).type) for index in range(type_.num_fields)) or 1


def _row_group(group: Any) -> RowGroup:
    columns = [group.column(index) for index in range(group.num_columns)]
    # A column "a.b" and the member b of a column "a" have the same path, so neither has statistics.
    paths = Counter(column.path_in_schema for column in columns)
    return RowGroup(
        rows=group.num_rows,
        bytes=sum(column.total_compressed_size for column in columns),
        statistics={
            column.path_in_schema: _statistics(column.statistics)
            for column in columns
            if paths[column.path_in_schema] == 1 and column.path_in_schema not in ROW_HASH
        },
    )


def _statistics(stats: Any) -> ColumnStatistics:
    if stats is None:
        return ColumnStatistics(minimum=None, maximum=None, nulls=None)
    minimum, maximum = (_lower_bound(stats.min), _upper_bound(stats.max)) if stats.has_min_max else (None, None)
    nulls = stats.null_count if stats.has_null_count else None
    return ColumnStatistics(minimum=minimum, maximum=maximum, nulls=nulls)


def _lower_bound(value: object) -> str | None:
    if isinstance(value, bytes):
        return None
    return str(value)[:MAX_BOUND_LENGTH]


def _upper_bound(value: object) -> str | None:
    if isinstance(value, bytes):
        return None
    text = str(value)
    return text if len(text) <= MAX_BOUND_LENGTH else _successor(text[:MAX_BOUND_LENGTH])


def _successor(prefix: str) -> str | None:
    """The smallest text above every text that begins with ``prefix``, or None if there is none."""
    text = prefix
    while text and ord(text[-1]) == _MAX_CODE_POINT:
        text = text[:-1]
    if not text:
        return None
    code = ord(text[-1]) + 1
    return text[:-1] + chr(_SURROGATES.stop if code in _SURROGATES else code)
