"""What becomes of a cell in a file of text: SQL for its text in CSV and its value in JSON (web/API.md, section 5).

What DuckDB already spells as promised is passed through untouched, so that only what needs a change pays for one.
"""

from engine.catalog.types import ColumnType, Family
from engine.common.quoting import identifier, literal


def text_of(cell: str, type_: ColumnType) -> str:
    """The text that a CSV file would have for a cell: an expression of the type VARCHAR."""
    return f"CAST({csv_text(cell, type_)} AS VARCHAR)"


def csv_text(cell: str, type_: ColumnType) -> str:
    """The same, or what DuckDB casts to it."""
    match type_.family:
        case Family.FLOAT:
            # Here both spell a DOUBLE with the same digits, and the one of JSON does it in half of the time.
            fast = f"WHEN abs({cell}) >= 1e-4 AND abs({cell}) < 1e15 THEN {_spelled(cell)} "
            return (
                f"CASE {fast if type_.name == 'DOUBLE' else ''}WHEN isfinite({cell}) THEN CAST({cell} AS VARCHAR) "
                f"WHEN isnan({cell}) THEN 'NaN' WHEN {cell} > 0 THEN 'Infinity' WHEN {cell} < 0 THEN '-Infinity' END"
            )
        case Family.LIST | Family.OBJECT | Family.MAP:
            return f"CASE WHEN {cell} IS NOT NULL THEN {json_text(cell, type_)} END"
        case _:
            return _scalar(cell, type_)


def json_text(cell: str, type_: ColumnType) -> str:
    """The text that a JSON file would have for a cell: an expression of the type VARCHAR, null for a null."""
    return _spelled(json_value(cell, type_))


def json_value(cell: str, type_: ColumnType) -> str:
    """What DuckDB spells as the JSON of a cell."""
    if not any(map(_needs_change, type_.walk())):
        return cell
    match type_.family:
        case Family.FLOAT:
            # A FLOAT is spelled by its shortest text, not by the digits of the DOUBLE that equals it.
            number = f"CAST(CAST({cell} AS VARCHAR) AS DOUBLE)" if type_.name == "FLOAT" else cell
            return f"CASE WHEN isfinite({cell}) THEN {number} END"
        case Family.LIST:
            variable = _variable(cell)
            return f"list_transform({cell}, lambda {variable}: {json_value(variable, type_.item)})"
        case Family.OBJECT:
            members = ", ".join(
                f"{identifier(name)} := {json_value(f'struct_extract({cell}, {literal(name)})', child)}"
                for name, child in type_.children
            )
            return f"CASE WHEN {cell} IS NOT NULL THEN struct_pack({members}) END"
        case Family.MAP:
            variable = _variable(cell)
            (_, key), (_, value) = type_.children
            # A name in JSON is text: the one that the key has in CSV.
            name = text_of(f"{variable}.key", key)
            entry = f"struct_pack(key := {name}, value := {json_value(f'{variable}.value', value)})"
            return f"map_from_entries(list_transform(map_entries({cell}), lambda {variable}: {entry}))"
        case _:
            return _scalar(cell, type_)


def _needs_change(type_: ColumnType) -> bool:
    nested_key = type_.family is Family.MAP and bool(type_.children[0][1].children)
    return nested_key or type_.family is Family.FLOAT or _scalar("", type_) != ""


def _spelled(value: str) -> str:
    return f"CAST(to_json({value}) AS VARCHAR)"


def _scalar(cell: str, type_: ColumnType) -> str:
    match type_.family:
        case Family.TIMESTAMP:
            moment = f"make_timestamp(epoch_us({cell}))"
            # In one concat, which makes one text where each || makes one; but it takes nulls for empty texts.
            text = f"concat(CAST({moment} AS DATE), 'T', CAST({moment} AS TIME), 'Z')"
            return f"CASE WHEN {cell} IS NOT NULL THEN {text} END"
        case Family.BINARY:
            return f"to_base64({cell})"
        case Family.DECIMAL if type_.precision is not None and type_.precision == type_.scale:
            # DuckDB spells no digit before the point unless the type has room for one; JSON asks for it.
            return f"CAST({cell} AS DECIMAL({type_.precision + 1},{type_.scale}))"
        case _:
            return cell


def _variable(cell: str) -> str:
    """A lambda variable that no expression around it uses."""
    return f"element_{cell.count('element_') + 1}"
