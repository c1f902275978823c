"""Stored types of what a source holds: from DuckDB's own types, and from the structure of JSON values.

Text stays text: a value that looks like a date, a number or a boolean is one only if the publisher declares it.
"""

from collections.abc import Mapping
from typing import Any

from engine.catalog.types import BIGINT, BOOLEAN, DOUBLE, EXACT_INTEGER, FAMILIES, JSON, TEXT, TIMESTAMP, ColumnType
from engine.errors import InvalidInput

_JSON_SCALARS = {
    "VARCHAR": TEXT,
    "BOOLEAN": BOOLEAN,
    "BIGINT": BIGINT,
    # Every value fits a BIGINT, or the later cast refuses the file: nothing is rounded.
    "UBIGINT": BIGINT,
    "HUGEINT": EXACT_INTEGER,
    "DOUBLE": DOUBLE,
    "NULL": TEXT,
    "JSON": JSON,
}

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


def type_of_structure(structure: object) -> ColumnType:
    """The stored type of DuckDB's ``json_group_structure`` of a value."""
    if isinstance(structure, str):
        return _JSON_SCALARS[structure]
    if isinstance(structure, list):
        return ColumnType.list_of(type_of_structure(structure[0]))
    if isinstance(structure, Mapping) and structure:
        folded = {name.lower() for name in structure}
        # A STRUCT has no members without a name, or of one name but for case.
        if len(folded) == len(structure) and "" not in structure:
            return ColumnType(
                name="STRUCT", children=tuple((name, type_of_structure(inner)) for name, inner in structure.items())
            )
    return JSON


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
