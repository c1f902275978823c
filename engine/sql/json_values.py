"""SQL for the text of a cell in CSV and its value in JSON (web/API.md, section 5).

Cells that DuckDB already writes as the contract requires are passed through, so that only the others cost time.
"""

from engine.catalog.types import ColumnType, Family
from engine.common.quoting import identifier, literal


def text_of(cell: str, type_: ColumnType) -> str:
    """SQL of type VARCHAR for the text of a cell in a CSV file, before quoting."""
    return f"CAST({csv_text(cell, type_)} AS VARCHAR)"


def csv_text(cell: str, type_: ColumnType) -> str:
    """As `text_of`, but of any type that DuckDB casts to that text."""
    match type_.family:
        case Family.FLOAT:
            # In this range to_json writes a DOUBLE with the same digits as a CAST does, in half of the time.
            fast = f"WHEN abs({cell}) >= 1e-4 AND abs({cell}) < 1e15 THEN {_to_json(cell)} "
            return (
                f"CASE {fast if type_.name == 'DOUBLE' else ''}WHEN isfinite({cell}) THEN CAST({cell} AS VARCHAR) "
                f"WHEN isnan({cell}) THEN 'NaN' WHEN {cell} > 0 THEN 'Infinity' WHEN {cell} < 0 THEN '-Infinity' END"
            )
        case Family.LIST | Family.OBJECT | Family.MAP:
            return f"CASE WHEN {cell} IS NOT NULL THEN {json_text(cell, type_)} END"
        case _:
            return _scalar(cell, type_)


def json_text(cell: str, type_: ColumnType, *, all_numbers: bool = False) -> str:
    """SQL of type VARCHAR for a cell as JSON; NULL, not ``null``, for a null cell."""
    return _to_json(json_value(cell, type_, all_numbers=all_numbers))


def json_value(cell: str, type_: ColumnType, *, all_numbers: bool = False) -> str:
    """SQL for the value that DuckDB's to_json has to write for a cell.

    ``all_numbers`` writes floating-point numbers as text, so that NaN and infinities are not null; -0.0 is 0.0.
    """
    if not any(map(_needs_change, type_.walk())):
        return cell
    match type_.family:
        case Family.FLOAT if all_numbers:
            return text_of(f"({cell} + CAST(0 AS {type_.name}))", type_)
        case Family.FLOAT:
            # Write a FLOAT with its shortest text, not with the digits of the DOUBLE that equals it.
            number = f"CAST(CAST({cell} AS VARCHAR) AS DOUBLE)" if type_.name == "FLOAT" else cell
            return f"CASE WHEN isfinite({cell}) THEN {number} END"
        case Family.LIST:
            variable = _variable(cell)
            item = json_value(variable, type_.item, all_numbers=all_numbers)
            return f"list_transform({cell}, lambda {variable}: {item})"
        case Family.OBJECT:
            members = ", ".join(
                f"{identifier(name)} := "
                + json_value(f"struct_extract({cell}, {literal(name)})", child, all_numbers=all_numbers)
                for name, child in type_.children
            )
            return f"CASE WHEN {cell} IS NOT NULL THEN struct_pack({members}) END"
        case Family.MAP:
            variable = _variable(cell)
            (_, key), (_, value) = type_.children
            # A JSON name is text: the one that the key has in CSV.
            name = text_of(f"{variable}.key", key)
            written = json_value(f"{variable}.value", value, all_numbers=all_numbers)
            entry = f"struct_pack(key := {name}, value := {written})"
            return f"map_from_entries(list_transform(map_entries({cell}), lambda {variable}: {entry}))"
        case _:
            return _scalar(cell, type_)


def _needs_change(type_: ColumnType) -> bool:
    nested_key = type_.family is Family.MAP and bool(type_.children[0][1].children)
    return nested_key or type_.family is Family.FLOAT or _scalar("", type_) != ""


def _to_json(value: str) -> str:
    return f"CAST(to_json({value}) AS VARCHAR)"


def _scalar(cell: str, type_: ColumnType) -> str:
    match type_.family:
        case Family.TIMESTAMP:
            moment = f"make_timestamp(epoch_us({cell}))"
            # One concat builds one string, where each || builds another; but it reads a null as an empty string.
            text = f"concat(CAST({moment} AS DATE), 'T', CAST({moment} AS TIME), 'Z')"
            return f"CASE WHEN {cell} IS NOT NULL THEN {text} END"
        case Family.BINARY:
            return f"to_base64({cell})"
        case Family.DECIMAL if type_.precision is not None and type_.precision == type_.scale:
            # DuckDB writes no digit before the point if the type has no room for one; JSON requires it.
            return f"CAST({cell} AS DECIMAL({type_.precision + 1},{type_.scale}))"
        case _:
            return cell


def _variable(cell: str) -> str:
    """A lambda variable that no enclosing expression uses."""
    return f"element_{cell.count('element_') + 1}"
