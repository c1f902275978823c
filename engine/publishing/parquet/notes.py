"""What is said of columns of Parquet files that are published as what the file stores."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_READ_EXACTLY = ("arrow.uuid", "arrow.json", "geoarrow.")
"""Extension types that are read as what they are, and geometries, of which the metadata is told."""


def notes_of(schema: pa.Schema) -> list[str]:
    """What is to be said of columns whose types Parquet does not have: the values that it stores are published."""
    return [note for field in schema for note in _notes(field.name, field)]


def _notes(path: str, field: pa.Field) -> Iterator[str]:
    extension, type_ = _extension(field)
    if pa.types.is_duration(type_):
        yield (
            f"{path} has durations, which Parquet stores as bare numbers: here they are whole numbers of "
            f"{_UNITS[type_.unit]}."
        )
    elif extension is not None and not extension.startswith(_READ_EXACTLY):
        yield f"{path} has values of {extension}, which Parquet stores as {type_}: they are published as such."
    for child in children(type_):
        yield from _notes(f"{path}.{child.name}", child)


def _extension(field: pa.Field) -> tuple[str | None, pa.DataType]:
    """The name of an extension type, which Arrow may not know, and the type that is stored."""
    if isinstance(field.type, pa.BaseExtensionType):
        return field.type.extension_name, field.type.storage_type
    name = (field.metadata or {}).get(b"ARROW:extension:name")
    return None if name is None else name.decode("utf-8", "replace"), field.type


def geo_metadata_of(path: Path) -> str | None:
    """What a GeoParquet file says of its geometries, as JSON; None of other files."""
    metadata = pyarrow.parquet.read_metadata(path).metadata or {}
    text = metadata.get(b"geo")
    return None if text is None else text.decode("utf-8", "replace")


def children(type_: pa.DataType) -> Iterator[pa.Field]:
    """The fields within a struct, list or map."""
    if pa.types.is_nested(type_):
        for index in range(type_.num_fields):
            yield type_.field(index)
