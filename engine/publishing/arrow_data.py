"""Tables in memory as a publisher's files: Arrow data becomes one Parquet file, which is read as any other.

So the types of a table are checked as those of files are. What Parquet would store as something else is refused here.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from engine.errors import InvalidInput
from engine.execute.duckdb_errors import reason_of

_ROW_GROUP_ROWS = 122_880
_UNREADABLE = (pa.ArrowException, ValueError, TypeError, OverflowError)
"""What libraries raise for types that Arrow does not have."""


def is_arrow_data(data: object) -> bool:
    """Whether it offers itself as a stream of Arrow batches (the Arrow PyCapsule interface)."""
    return hasattr(data, "__arrow_c_stream__") or isinstance(data, pa.RecordBatch)


def write_arrow(data: Any, path: Path) -> Path:
    """Write the data batch by batch. Raises InvalidInput, which names the column, for types that Parquet changes."""
    reader = _reader(data)
    for field in reader.schema:
        _check(field.name, field.type)
    try:
        # Written for one reading: compressing it costs more than it saves.
        with pyarrow.parquet.ParquetWriter(path, reader.schema, compression="lz4", version="2.6") as writer:
            for batch in reader:
                writer.write_batch(batch, row_group_size=_ROW_GROUP_ROWS)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise InvalidInput(f"The table cannot be written as Parquet: {reason_of(error)}.") from error
    return path


def _reader(data: Any) -> pa.RecordBatchReader:
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    module = type(data).__module__.partition(".")[0]
    if module == "pandas":
        return _pandas(data).to_reader(_ROW_GROUP_ROWS)
    try:
        return _polars(data) if module == "polars" else pa.RecordBatchReader.from_stream(data)
    except _UNREADABLE as error:
        raise InvalidInput(f"The table cannot be read: {reason_of(error)}.") from error


def _polars(data: Any) -> pa.RecordBatchReader:
    """The rows of a frame or a series, slice by slice; in its own stream, Arrow cannot read categories."""
    frame = data.to_frame() if hasattr(data, "to_frame") else data
    for name, type_ in frame.schema.items():
        if str(type_) == "Object":
            # Arrow would be given their addresses in memory.
            raise InvalidInput(f"The column {name} has Python objects: convert them, to text for example.")
    plain = partial(type(frame).to_arrow, compat_level=sys.modules["polars"].CompatLevel.oldest())
    slices = (batch for piece in frame.iter_slices(_ROW_GROUP_ROWS) for batch in plain(piece).to_batches())
    return pa.RecordBatchReader.from_batches(plain(frame.head(0)).schema, slices)


def _pandas(frame: Any) -> pa.Table:
    """The columns of a frame, and of its index if that has names; by pandas' own stream the index would be a column."""
    try:
        frame = frame.to_frame() if frame.ndim == 1 else frame
        named = all(name is not None for name in frame.index.names)
        table = pa.Table.from_pandas(frame.reset_index() if named else frame, preserve_index=False)
    except _UNREADABLE as error:
        raise InvalidInput(f"The data frame cannot be read: {reason_of(error)}.") from error
    return table.replace_schema_metadata(None)


def _check(name: str, type_: pa.DataType) -> None:
    if pa.types.is_duration(type_):
        raise InvalidInput(f"The column {name} has durations, which Parquet stores as bare numbers: cast it.")
    if pa.types.is_dictionary(type_):
        _check(name, type_.value_type)
    for index in range(type_.num_fields):
        _check(name, type_.field(index).type)
