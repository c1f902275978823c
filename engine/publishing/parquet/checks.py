"""What a publisher's Parquet file holds that DuckDB would read as something else, without a word.

Probed with DuckDB 1.5.5: nanoseconds in UTC, of times of day and in INT96 are cut to microseconds, decimals of more
than 38 digits become doubles, members of one name but for case are renamed.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from engine.catalog.field_names import check_names
from engine.common.cancellation import checkpoint
from engine.errors import InvalidInput
from engine.execute.duckdb_errors import reason_of
from engine.parquet.footer_merge import MAGIC
from engine.publishing.parquet.notes import children

_ENCRYPTED = b"PARE"
_WIDEST_DECIMAL = 38
_BATCH_ROWS, _BATCH_BYTES = 65_536, 16_000_000


def check_parquet(path: Path) -> pa.Schema:
    """Arrow's schema of the file. Raises InvalidInput, which names the column, for what would not be read as it is."""
    try:
        opened = pyarrow.parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(_why_unreadable(path, error)) from error
    with opened as file:
        if not file.schema_arrow.names:
            raise InvalidInput(f"{path.name} has no columns.")
        for field in file.schema_arrow:
            _check_type(path.name, field.name, field.type)
        names = [field.name for field in file.schema_arrow if _without_nanoseconds(field.type) != field.type]
        if names:
            # Nanoseconds of INT96 wrap around outside of the years 1677 to 2262: microseconds tell which year it is.
            with pyarrow.parquet.ParquetFile(path, coerce_int96_timestamp_unit="us") as cut:
                _check_nanoseconds(path.name, file.iter_batches(columns=names), cut.iter_batches(columns=names))
        return file.schema_arrow


def check_readable(path: Path) -> None:
    """Raise InvalidInput for the first column that is damaged, or has text that is not UTF-8, with its row."""
    batch_rows = max(min(int(_BATCH_BYTES / max(average_row_of(path), 1)), _BATCH_ROWS), 1)
    with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
        for name in dict.fromkeys(file.schema_arrow.names):
            rows = 0
            try:
                for batch in file.iter_batches(batch_rows, columns=[name]):
                    checkpoint()
                    for column in batch.columns:
                        row = _first_row(column, _is_valid)
                        if row is not None:
                            raise InvalidInput(
                                f"{path.name}, row {rows + row:,}: the column {name} has text that is not UTF-8: write "
                                "it as binary, or decode it before."
                            )
                    rows += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise InvalidInput(
                    f"{path.name} is damaged: the column {name} cannot be read after row {rows:,} "
                    f"({reason_of(error)}): copy or write the file again."
                ) from error


def _why_unreadable(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
        file.seek(-min(len(MAGIC), path.stat().st_size), os.SEEK_END)
        end = file.read()
    if _ENCRYPTED in (start, end):
        return f"{path.name} is encrypted: decrypt it, and write it as plain Parquet."
    if start != MAGIC:
        return f"{path.name} is not Parquet, by its first bytes: if it is CSV or JSON, name it so or use --format."
    if end != MAGIC:
        return (
            f"{path.name} is cut: a Parquet file ends with its footer, and this one does not. Write or copy it again."
        )
    return f"{path.name} cannot be read as Parquet: {reason_of(error)}."


def average_row_of(path: Path) -> float:
    """Bytes of a row before compression; values that a dictionary has only once count once."""
    metadata = pyarrow.parquet.read_metadata(path)
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    return float(size / max(metadata.num_rows, 1))


def _check_type(file: str, path: str, type_: pa.DataType) -> None:
    if pa.types.is_struct(type_):
        check_names((type_.field(index).name for index in range(type_.num_fields)), within=path)
    if pa.types.is_decimal256(type_) and type_.precision > _WIDEST_DECIMAL:
        raise InvalidInput(
            f"{file}: the column {path} is a {type_}, and {_WIDEST_DECIMAL} digits is the most: cast it."
        )
    for child in children(type_):
        _check_type(file, f"{path}.{child.name}", child.type)


def _check_nanoseconds(file: str, batches: Iterable[pa.RecordBatch], in_microseconds: Iterable[pa.RecordBatch]) -> None:
    """``in_microseconds`` has the same rows, with moments of INT96 that are cut to microseconds."""
    rows = 0
    for batch, cut in zip(batches, in_microseconds, strict=True):
        checkpoint()
        for field, column, cut_column in zip(batch.schema, batch.columns, cut.columns, strict=True):
            both = pa.StructArray.from_arrays([column, cut_column], ["exact", "cut"])
            row = _first_row(both, _has_no_nanoseconds)
            if row is not None:
                raise InvalidInput(
                    f"{file}, row {rows + row:,}: the column {field.name} has nanoseconds, and moments are kept to the "
                    "microsecond: round them, or bring them as whole numbers."
                )
        rows += batch.num_rows


def _has_no_nanoseconds(both: pa.StructArray) -> bool:
    exact, cut = both.flatten()
    try:
        # Both wrap around alike.
        return bool(cut.cast(_without_nanoseconds(cut.type)).cast(exact.type, safe=False).equals(exact))
    except pa.ArrowInvalid:
        return False


def _is_valid(column: pa.Array) -> bool:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _first_row(column: pa.Array, is_good: Callable[[pa.Array], bool]) -> int | None:
    """The number, from 1, of the first row of which this is not so; None if it is of all."""
    if is_good(column):
        return None
    good, bad = 0, len(column)
    while bad - good > 1:
        middle = (good + bad) // 2
        # A slice of a list has the items of all rows.
        part = column.take(pa.array(range(good, middle)))
        good, bad = (middle, bad) if is_good(part) else (good, middle)
    return bad


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
