"""What a part's Parquet footer tells of its row groups."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet

from engine.catalog.manifest import ColumnStatistics, RowGroup

_LONGEST_BOUND = 64
"""Characters of a text bound; longer ones are cut, and rounded away from the texts that they bound."""
_LAST, _SURROGATES = 0x10FFFF, range(0xD800, 0xE000)
"""The last code point, and those that are no characters."""


def read_row_groups(path: Path) -> tuple[RowGroup, ...]:
    """The row groups of a Parquet file in order, with bounds by column path."""
    metadata = pyarrow.parquet.read_metadata(path)
    return tuple(_row_group(metadata.row_group(index)) for index in range(metadata.num_row_groups))


def _row_group(group: Any) -> RowGroup:
    columns = [group.column(index) for index in range(group.num_columns)]
    # A column "a.b" and the member b of a column "a" have the same path, and nothing can be said of either.
    paths = Counter(column.path_in_schema for column in columns)
    return RowGroup(
        rows=group.num_rows,
        bytes=sum(column.total_compressed_size for column in columns),
        statistics={
            column.path_in_schema: _statistics(column.statistics)
            for column in columns
            if paths[column.path_in_schema] == 1
        },
    )


def _statistics(found: Any) -> ColumnStatistics:
    if found is None:
        return ColumnStatistics(minimum=None, maximum=None, nulls=None)
    minimum, maximum = (_at_most(found.min), _at_least(found.max)) if found.has_min_max else (None, None)
    nulls = found.null_count if found.has_null_count else None
    return ColumnStatistics(minimum=minimum, maximum=maximum, nulls=nulls)


def _at_most(value: object) -> str | None:
    if isinstance(value, bytes):
        return None
    return str(value)[:_LONGEST_BOUND]


def _at_least(value: object) -> str | None:
    if isinstance(value, bytes):
        return None
    text = str(value)
    return text if len(text) <= _LONGEST_BOUND else _next(text[:_LONGEST_BOUND])


def _next(text: str) -> str | None:
    """The first text, as short as can be, that is above all texts which begin with this one."""
    while text and ord(text[-1]) == _LAST:
        text = text[:-1]
    if not text:
        return None
    code = ord(text[-1]) + 1
    return text[:-1] + chr(_SURROGATES.stop if code in _SURROGATES else code)
