"""What a part's Parquet footer tells of its row groups."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet

from engine.runs import ColumnStatistics, RowGroup

_LONGEST_BOUND = 64
"""Characters of a text bound; longer ones are left out, since a cut bound would have to be rounded."""


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
    minimum, maximum = (_bound(found.min), _bound(found.max)) if found.has_min_max else (None, None)
    nulls = found.null_count if found.has_null_count else None
    return ColumnStatistics(minimum=minimum, maximum=maximum, nulls=nulls)


def _bound(value: object) -> str | None:
    text = None if isinstance(value, bytes) else str(value)
    return None if text is None or len(text) > _LONGEST_BOUND else text
