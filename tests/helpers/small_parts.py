"""Runs of many row groups and parts from few rows."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.catalog.manifest import Run
from engine.plan.planner import ExportPlan
from engine.publishing import publisher, spooling
from tests.helpers.engine import Engine

GROUP_ROWS = 2048
GROUPS_OF_PART = 4
SMALL_PARTS = (
    f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS}, ROW_GROUPS_PER_FILE {GROUPS_OF_PART}, "
    "FILENAME_PATTERN '{i}'"
)


def publish_small_parts(engine: Engine, rows: Sequence[Mapping[str, Any]] | Path, **options: Any) -> Run:
    """Publish rows, or a Parquet file, as parts of four row groups, each of 2,048 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publisher, "_COPY_OPTIONS", SMALL_PARTS)
        # Rows of many columns are not wide, either.
        patch.setattr(spooling, "_ROW_GROUP_BYTES", 2**30)
        file = rows if isinstance(rows, Path) else engine.write_parquet(pa.Table.from_pylist(list(rows)))
        run = engine.publish(file, **options)
    assert sum(len(part.row_groups) for part in run.parts) == -(-run.rows // GROUP_ROWS)
    return run


def groups_read(plan: ExportPlan) -> int:
    """How many row groups of such a run a plan reads; none is read twice."""
    read = []
    for range_ in plan.ranges:
        for piece in range_.subranges or (range_,):
            for part in piece.parts:
                rows = piece.rows or range(piece.first or 0, piece.end or part.rows)
                read += sorted({(part.key, row // GROUP_ROWS) for row in rows})
    assert len(set(read)) == len(read)
    return len(read)


def break_footer(part: Path) -> None:
    """Overwrite the footer of a Parquet file with zeros; its length and modification time stay."""
    data = bytearray(part.read_bytes())
    length = int.from_bytes(data[-8:-4], "little")
    data[-8 - length : -8] = bytes(length)
    status = part.stat()
    part.write_bytes(data)
    os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
