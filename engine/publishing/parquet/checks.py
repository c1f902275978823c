"""What a publisher's Parquet file holds that DuckDB would read as something else, without a word.

Probed with DuckDB 1.5.5: nanoseconds in UTC, of times of day and in INT96 are cut to microseconds, decimals of more
than 38 digits become doubles, members of one name but for case are renamed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from engine.catalog.field_names import check_names
from engine.common.cancellation import checkpoint
from engine.errors import InvalidInput
from engine.execute.duckdb_errors import reason_of
from engine.publishing.renaming import renamed


def check_parquet(path: Path, new_names: Mapping[str, str]) -> pa.Schema:
    """Raise InvalidInput, which names the column, if a value would not be read as it is.

    ``new_names`` are those of columns that the publisher renames. Returns Arrow's schema of the file.
    """
    try:
        opened = pyarrow.parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"The file {path.name} cannot be read as Parquet: {reason_of(error)}.") from error
    with opened as file:
        schema = file.schema_arrow
        check_names(renamed(schema.names, new_names))
        for field in schema:
            _check_type(field.name, field.type)
        fine = [field.name for field in schema if _without_nanoseconds(field.type) != field.type]
        if fine:
            for batch in file.iter_batches(columns=fine):
                checkpoint()
                _check_nanoseconds(batch)
        return schema


def average_row_of(path: Path) -> float:
    """Bytes of a row before compression; values that a dictionary has only once count once."""
    metadata = pyarrow.parquet.read_metadata(path)
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    return float(size / max(metadata.num_rows, 1))


def geo_metadata_of(path: Path) -> str | None:
    """What a GeoParquet file says of its geometries, as JSON; None of other files."""
    metadata = pyarrow.parquet.read_metadata(path).metadata or {}
    text = metadata.get(b"geo")
    return None if text is None else text.decode("utf-8", "replace")


def _check_type(path: str, type_: pa.DataType) -> None:
    if pa.types.is_struct(type_):
        check_names((type_.field(index).name for index in range(type_.num_fields)), within=path)
    if pa.types.is_decimal256(type_):
        raise InvalidInput(f"The column {path} is a {type_}, and 38 digits is the most: cast it to another type.")
    for name, child in _children(type_):
        _check_type(f"{path}.{name}", child)


def _children(type_: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    if pa.types.is_nested(type_):
        for index in range(type_.num_fields):
            yield type_.field(index).name, type_.field(index).type


def _check_nanoseconds(batch: pa.RecordBatch) -> None:
    for field, column in zip(batch.schema, batch.columns, strict=True):
        try:
            column.cast(_without_nanoseconds(field.type))
        except pa.ArrowInvalid as error:
            raise InvalidInput(
                f"The column {field.name} holds nanoseconds, and moments are kept to the microsecond: "
                "round them, or bring them as whole numbers."
            ) from error


def _without_nanoseconds(type_: pa.DataType) -> pa.DataType:
    """The type with microseconds in place of nanoseconds, at any depth."""
    if pa.types.is_timestamp(type_) and type_.unit == "ns":
        return pa.timestamp("us", type_.tz)
    if pa.types.is_time64(type_) and type_.unit == "ns":
        return pa.time64("us")
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(_without_nanoseconds(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(_without_nanoseconds(type_.key_type), _without_nanoseconds(type_.item_type))
    if pa.types.is_list(type_):
        return pa.list_(_without_nanoseconds(type_.value_type))
    if pa.types.is_large_list(type_):
        return pa.large_list(_without_nanoseconds(type_.value_type))
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(_without_nanoseconds(type_.value_type), type_.list_size)
    return type_
