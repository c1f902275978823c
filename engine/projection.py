"""What becomes of a column in a file: one SQL expression per column and format (contract section 5).

A type that DuckDB's writer already spells as promised is passed through untouched, so that only what needs a change
pays for one.
"""

from engine.columns import ColumnType, Family
from engine.formats import Format
from engine.quoting import identifier, literal
from engine.request import CsvOptions
from engine.schema import Field
from engine.texts import matches
from engine.values import NUMBER_PATTERN

_GUARD = literal("'")
_FORMULA_START = r"^[=+\-@\t\r]"


def project(field: Field, format_: Format, options: CsvOptions, *, alone: bool) -> str:
    """The expression and its alias. ``alone``: it is the only column of the file."""
    column, name = identifier(field.name), field.name
    match format_.name:
        case "csv":
            expression = _csv(column, field.type, options)
            if alone:
                # A line that holds one null and nothing else is empty, and readers skip empty lines.
                expression = f"coalesce(CAST({expression} AS VARCHAR), '')"
            if options.formula_guard and name[0] in "=+-@\t\r":
                name = f"'{name}"
        case "json":
            expression = _json(column, field.type)
        case _:
            expression = column
    return f"{expression} AS {identifier(name)}"


def text_of(cell: str, type_: ColumnType) -> str:
    """The text that a CSV file would have for a cell: an expression of the type VARCHAR."""
    return f"CAST({_csv_text(cell, type_)} AS VARCHAR)"


def _csv(cell: str, type_: ColumnType, options: CsvOptions) -> str:
    text = _csv_text(cell, type_)
    if not options.formula_guard or type_.name == "UUID":
        return text
    match type_.family:
        case Family.FLOAT:
            # Numbers are plain, but no spreadsheet knows infinities.
            return f"CASE WHEN {cell} = CAST('-Infinity' AS {type_.name}) THEN {_GUARD} || '-Infinity' ELSE {text} END"
        case Family.TEXT:
            plain = f" AND NOT {matches(text, NUMBER_PATTERN)}"
        case Family.BINARY:
            plain = ""
        case Family.INTERVAL:
            text, plain = f"CAST({text} AS VARCHAR)", ""
        case _:
            return text
    starts = f"regexp_matches({text}, {literal(_FORMULA_START)})"
    return f"CASE WHEN {starts}{plain} THEN {_GUARD} || {text} ELSE {text} END"


def _csv_text(cell: str, type_: ColumnType) -> str:
    match type_.family:
        case Family.FLOAT:
            return (
                f"CASE WHEN isfinite({cell}) THEN CAST({cell} AS VARCHAR) WHEN isnan({cell}) THEN 'NaN' "
                f"WHEN {cell} > 0 THEN 'Infinity' WHEN {cell} < 0 THEN '-Infinity' END"
            )
        case Family.LIST | Family.OBJECT | Family.MAP:
            return f"CASE WHEN {cell} IS NOT NULL THEN CAST(to_json({_json(cell, type_)}) AS VARCHAR) END"
        case _:
            return _scalar(cell, type_)


def _json(cell: str, type_: ColumnType) -> str:
    if not any(map(_needs_change, type_.walk())):
        return cell
    match type_.family:
        case Family.FLOAT:
            # A FLOAT is spelled by its shortest text, not by the digits of the DOUBLE that equals it.
            number = f"CAST(CAST({cell} AS VARCHAR) AS DOUBLE)" if type_.name == "FLOAT" else cell
            return f"CASE WHEN isfinite({cell}) THEN {number} END"
        case Family.LIST:
            variable = _variable(cell)
            return f"list_transform({cell}, lambda {variable}: {_json(variable, type_.item)})"
        case Family.OBJECT:
            members = ", ".join(
                f"{identifier(name)} := {_json(f'struct_extract({cell}, {literal(name)})', child)}"
                for name, child in type_.children
            )
            return f"CASE WHEN {cell} IS NOT NULL THEN struct_pack({members}) END"
        case Family.MAP:
            variable = _variable(cell)
            (_, key), (_, value) = type_.children
            # A name in JSON is text: the one that the key has in CSV.
            name = text_of(f"{variable}.key", key)
            entry = f"struct_pack(key := {name}, value := {_json(f'{variable}.value', value)})"
            return f"map_from_entries(list_transform(map_entries({cell}), lambda {variable}: {entry}))"
        case _:
            return _scalar(cell, type_)


def _needs_change(type_: ColumnType) -> bool:
    nested_key = type_.family is Family.MAP and bool(type_.children[0][1].children)
    return nested_key or type_.family is Family.FLOAT or _scalar("", type_) != ""


def _scalar(cell: str, type_: ColumnType) -> str:
    match type_.family:
        case Family.TIMESTAMP:
            return f"replace(CAST(make_timestamp(epoch_us({cell})) AS VARCHAR), ' ', 'T') || 'Z'"
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
