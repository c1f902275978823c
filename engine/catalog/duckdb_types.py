"""The stored type of each DuckDB type."""

from typing import Any

from engine.catalog.types import EXACT_INTEGER, FAMILIES, JSON, TEXT, TIMESTAMP, ColumnType
from engine.errors import InvalidInput

_STORED_AS = {
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMP_S": TIMESTAMP,
    "TIMESTAMP_MS": TIMESTAMP,
    "TIMESTAMP_NS": TIMESTAMP,
    "TIMESTAMPTZ_NS": TIMESTAMP,
    "TIME_NS": ColumnType(name="TIME"),
    # Of an untyped null, to which DuckDB 1.5 gives this type.
    "NULL": ColumnType(name="INTEGER"),
    "HUGEINT": EXACT_INTEGER,
    "UHUGEINT": EXACT_INTEGER,
    "ENUM": TEXT,
}
"""DuckDB types that are stored as another type. The cast is checked: a value that does not fit refuses the run."""


def type_of_duckdb(name: str, type_: Any) -> ColumnType:
    """The stored type of a column that DuckDB has read. Raises InvalidInput if there is none."""
    text, kind = str(type_), type_.id
    if text == "JSON":
        return JSON
    if kind == "decimal":
        sizes = dict(type_.children)
        return ColumnType(name="DECIMAL", precision=int(str(sizes["precision"])), scale=int(str(sizes["scale"])))
    if kind in ("list", "array"):
        return ColumnType.list_of(type_of_duckdb(name, type_.children[0][1]))
    if kind in ("struct", "map"):
        children = tuple((member, type_of_duckdb(name, child)) for member, child in type_.children)
        return ColumnType(name=kind.upper(), children=children)
    plain = kind.upper()
    if plain in _STORED_AS:
        return _STORED_AS[plain]
    if plain in FAMILIES:
        return ColumnType(name=plain)
    raise InvalidInput(
        f"The column {name} has the type {text}, which cannot be exported exactly: cast it to another type."
    )
