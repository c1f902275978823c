"""The columns of a file, in SQL: a SELECT from a source whose columns are the fields."""

from collections.abc import Sequence

from engine.cells import json_value
from engine.csv_cells import csv_cell, quoted_cell, quoted_name
from engine.formats import Format
from engine.quoting import identifier
from engine.request import CsvOptions
from engine.schema import Field


def project(fields: Sequence[Field], format_: Format, options: CsvOptions, source: str) -> str:
    """The rows of ``source``, which is what follows FROM, as the writer of the format takes them."""
    match format_.name:
        case "csv":
            return _csv(fields, options, source)
        case "json":
            return _json(fields, source)
    return f"SELECT {', '.join(identifier(field.name) for field in fields)} FROM {source}"  # noqa: S608  # quoted names


def _csv(fields: Sequence[Field], options: CsvOptions, source: str) -> str:
    texts, cells = [], []
    for number, field in enumerate(fields):
        text = f"text_{number}"
        texts.append(f"{csv_cell(identifier(field.name), field.type, options)} AS {text}")
        cell = quoted_cell(text, field.type, options)
        if len(fields) == 1:
            # A line that holds one null and nothing else is empty, and readers skip empty lines.
            cell = f"coalesce(CAST({cell} AS VARCHAR), '\"\"')"
        cells.append(f"{cell} AS {identifier(quoted_name(field.name, options))}")
    # Texts are a layer of their own because quoting looks at them more than once.
    return f"SELECT {', '.join(cells)} FROM (SELECT {', '.join(texts)} FROM {source})"  # noqa: S608  # quoted names


def _json(fields: Sequence[Field], source: str) -> str:
    members = ", ".join(
        f"{identifier(field.name)} := {json_value(identifier(field.name), field.type)}" for field in fields
    )
    return f'SELECT to_json(struct_pack({members})) AS "row" FROM {source}'  # noqa: S608  # quoted names
