"""The SELECT that turns the fields of a run into the columns that a format's writer expects."""

from functools import lru_cache

from engine.catalog.schema import Field
from engine.common.quoting import identifier
from engine.request.formats import Format
from engine.request.request import CsvOptions
from engine.sql.csv_values import csv_cell, quoted_cell, quoted_name
from engine.sql.json_values import json_value
from engine.sql.xlsx_cells import cell_content, xlsx_cell


def project(fields: tuple[Field, ...], format_: Format, options: CsvOptions, source: str) -> str:
    """Return a SELECT over ``source``, the SQL after FROM, for the writer of the format."""
    first, *others = _layers(fields, format_, options)
    select = f"SELECT {first} FROM {source}"  # noqa: S608  # quoted names
    for columns in others:
        select = f"SELECT {columns} FROM ({select})"  # noqa: S608  # our own names
    return select


@lru_cache(maxsize=16)
def _layers(fields: tuple[Field, ...], format_: Format, options: CsvOptions) -> tuple[str, ...]:
    """The select lists from the inside out. Cached, since a large export compiles thousands of statements."""
    match format_.name:
        case "csv":
            return _csv(fields, options)
        case "json" | "jsonl":
            return (_json(fields),)
        case "xlsx":
            return _xlsx(fields)
    return (", ".join(identifier(field.name) for field in fields),)


def _csv(fields: tuple[Field, ...], options: CsvOptions) -> tuple[str, str]:
    texts, cells = [], []
    for number, field in enumerate(fields):
        text = f"text_{number}"
        texts.append(f"{csv_cell(identifier(field.name), field.type, options)} AS {text}")
        cell = quoted_cell(text, field.type, options)
        if len(fields) == 1:
            # Readers skip empty lines, so a null that is the only cell of its line is written as "".
            cell = f"coalesce(CAST({cell} AS VARCHAR), '\"\"')"
        cells.append(f"{cell} AS {identifier(quoted_name(field.name, field.type, options))}")
    # A separate layer for the text, since the quoting refers to it more than once.
    return ", ".join(texts), ", ".join(cells)


def _json(fields: tuple[Field, ...]) -> str:
    members = (f"{identifier(field.name)} := {json_value(identifier(field.name), field.type)}" for field in fields)
    return f'to_json(struct_pack({", ".join(members)})) AS "row"'


def _xlsx(fields: tuple[Field, ...]) -> tuple[str, str]:
    # A separate layer for the text of cells, since their XML refers to it more than once.
    contents = (
        f"{cell_content(identifier(field.name), field.type)} AS cell_{number}" for number, field in enumerate(fields)
    )
    cells = (xlsx_cell(f"cell_{number}", field) for number, field in enumerate(fields))
    return ", ".join(contents), f"concat('<row>', {', '.join(cells)}) AS \"row\""
