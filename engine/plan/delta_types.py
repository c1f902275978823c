"""Columns in types that Delta Sharing can name; a type that it cannot name is cast without losing a value.

Source of the names: "Schema Object" in PROTOCOL.md of github.com/delta-io/delta-sharing.
"""

from dataclasses import replace

from engine.catalog.schema import Reference
from engine.catalog.types import BIGINT, TEXT, ColumnType

NAMES = {
    "VARCHAR": "string",
    "JSON": "string",
    "TINYINT": "byte",
    "SMALLINT": "short",
    "INTEGER": "integer",
    "BIGINT": "long",
    "FLOAT": "float",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "BLOB": "binary",
}
"""The protocol's name of each stored type without children, besides DECIMAL, that has one."""

CASTS = {
    "UTINYINT": ColumnType(name="SMALLINT"),
    "USMALLINT": ColumnType(name="INTEGER"),
    "UINTEGER": BIGINT,
    "UBIGINT": ColumnType(name="DECIMAL", precision=20, scale=0),
    "UUID": TEXT,
    "TIME": TEXT,
    "INTERVAL": TEXT,
}
"""What the other stored types are cast to."""


def delta_type(type_: ColumnType) -> ColumnType:
    """The type with every type within it cast by `CASTS`; the same if none needs it."""
    if type_.name in CASTS:
        return CASTS[type_.name]
    children = tuple((name, delta_type(child)) for name, child in type_.children)
    return type_ if children == type_.children else type_.model_copy(update={"children": children})


def delta_column(column: Reference) -> Reference:
    """The column with its cells cast to `delta_type`; the same column if that is its type."""
    type_ = delta_type(column.type)
    return column if type_ == column.type else replace(column, sql=f"CAST({column.sql} AS {type_.sql()})", type=type_)
