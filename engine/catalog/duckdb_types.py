"""Stored types of what DuckDB reads: those of its own types that are stored as they are, or as another."""

from typing import Any

from engine.catalog.types import EXACT_INTEGER, FAMILIES, JSON, TEXT, TIMESTAMP, ColumnType
from engine.errors import InvalidInput

_BROUGHT_TO = {
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMP_S": TIMESTAMP,
    "TIMESTAMP_MS": TIMESTAMP,
    "TIMESTAMP_NS": TIMESTAMP,
    "HUGEINT": EXACT_INTEGER,
    "UHUGEINT": EXACT_INTEGER,
    "ENUM": TEXT,
}
"""Types that are stored as another one. Casts are checked, so that a value which does not fit refuses the run."""


def type_of_duckdb(name: str, type_: Any) -> ColumnType:
    """The stored type of a column of Parquet. Raises InvalidInput, which names the column, for types without one."""
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
    if plain in _BROUGHT_TO:
        return _BROUGHT_TO[plain]
    if plain in FAMILIES:
        return ColumnType(name=plain)
    raise InvalidInput(f"The column {name} has the type {text}, which cannot be exported exactly: cast it to another.")
