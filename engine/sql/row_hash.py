"""The hash of a row, by which runs are compared: the MD5 of its cells in our own spelling, 128 bits.

It depends on neither the version of DuckDB nor the order of the columns. Two rows have the same hash if they have the
same names of columns and equal cells in the same types; 0.0 equals -0.0, and NaN equals NaN.
"""

from collections.abc import Iterable, Mapping

from engine.catalog.manifest import ROW_HASH
from engine.catalog.schema import Field, Schema
from engine.catalog.types import ColumnType, Family
from engine.common.quoting import identifier
from engine.sql.json_values import csv_text, json_text

_NUMBER = "_hash"
_LOW_BITS = 2**64 - 1


def select_with_hash(columns: str, fields: Iterable[Field], source: str, texts: Mapping[str, str] | None = None) -> str:
    """SQL that selects ``columns``, and the hash of ``fields`` as the columns `ROW_HASH`; ``source`` follows FROM.

    ``texts`` has, by field, columns of the source with the text of its value in a CSV export, where that is at hand: of
    numbers, booleans and dates, but for -0.0, whose text is 0.0.
    """
    high, low = ROW_HASH
    # In a layer of its own, since both halves refer to it: `plan_wide_rows` turns off common subexpressions.
    hashed = f"SELECT {columns}, md5_number({_text(fields, texts or {})}) AS {_NUMBER} FROM {source}"  # noqa: S608  # quoted names
    return (
        f"SELECT * EXCLUDE ({_NUMBER}), CAST({_NUMBER} >> 64 AS UBIGINT) AS {high}, "  # noqa: S608  # our own names
        f"CAST({_NUMBER} & {_LOW_BITS} AS UBIGINT) AS {low} FROM ({hashed})"
    )


def comparable_columns(table: Schema) -> frozenset[tuple[bytes, ColumnType]]:
    """What the hashes of a run depend on beside its cells; hashes of other columns mean something else."""
    return frozenset((field.name.encode().lower(), field.type) for field in table.delivered)


def comparable_cell(cell: str, type_: ColumnType) -> str:
    """SQL for a value that is distinct from that of another cell of the type if their hashes are different."""
    match type_.family:
        case Family.LIST | Family.OBJECT | Family.MAP | Family.INTERVAL:
            # DuckDB compares an interval of a month with one of 30 days as equal.
            return f"CAST({_cell(cell, type_)} AS VARCHAR)"
    return cell


def _text(fields: Iterable[Field], texts: Mapping[str, str]) -> str:
    """The cells in the order of their names, separated by ``|``, and after them the lengths of those that are text.

    So no two rows have the same text: the lengths tell which separators are part of a cell, and a null has none.
    """
    ordered = sorted(fields, key=lambda field: field.name.encode().lower())
    cells = [texts.get(field.name) or _cell(identifier(field.name), field.type) for field in ordered]
    lengths = [f"strlen({identifier(field.name)})" for field in ordered if _is_text(field.type)]
    # concat reads a null as an empty text.
    return f"concat({', '.join([*_separated(cells, '|'), *_separated(lengths, ',')])})"


def _separated(texts: list[str], separator: str) -> list[str]:
    return [part for text in texts for part in (text, f"'{separator}'")]


def _cell(cell: str, type_: ColumnType) -> str:
    """SQL for the text of a cell; NULL for a null. Only that of `_is_text` can be empty, or have a ``|`` in it.

    That of JSON can as well, but tells where it ends.
    """
    match type_.family:
        case Family.TIMESTAMP:
            # Microseconds since 1970, in a quarter of the time of a date and time.
            return f"epoch_us({cell})"
        case Family.BINARY:
            return f"'b' || to_base64({cell})"
        case Family.FLOAT:
            return csv_text(f"({cell} + CAST(0 AS {type_.name}))", type_)
        case Family.LIST | Family.OBJECT | Family.MAP:
            return f"CASE WHEN {cell} IS NOT NULL THEN {json_text(cell, type_, all_numbers=True)} END"
        case _:
            return csv_text(cell, type_)


def _is_text(type_: ColumnType) -> bool:
    return type_.family is Family.TEXT and type_.name != "UUID"
