"""What a request asked for, as text that is stored with its export, for lists of exports."""

import json
from decimal import Decimal

from engine.request.request import CsvOptions, ExportRequest

_CSV = CsvOptions()
MAX_BYTES = 4096
"""Stores limit the metadata of an object; Azure to 8 KB."""


def summarise(request: ExportRequest) -> str | None:
    """Return the parameters that differ from their defaults as a JSON object in ASCII, by their names in the API.

    ``rowIds`` is their number. None if the text would have more than `MAX_BYTES`.
    """
    members: dict[str, object] = {}
    if request.filters:
        members["filters"] = [_filter(entry.field, entry.operator.name, entry.value) for entry in request.filters]
    if request.sort_by is not None:
        members |= {"sortBy": request.sort_by, "order": "desc" if request.descending else "asc"}
    if request.row_ids is not None:
        members["rowIds"] = len(request.row_ids)
    if request.statement is not None:
        members["sql"] = request.statement.sql
        if request.statement.params:
            members["params"] = {name: param.value for name, param in request.statement.params.items()}
        if request.statement.previous:
            members["previous"] = request.statement.previous
    options = {
        "sinceRunId": (request.since_run, None),
        "includeRowIds": (request.include_row_ids, False),
        "fields": (request.fields, None),
        "flatten": (request.flatten, False),
        "deltaTypes": (request.delta_types, False),
        "compression": (request.compression.name, "none"),
        "bom": (request.csv.bom, _CSV.bom),
        "delimiter": (request.csv.delimiter, _CSV.delimiter),
        "formulaGuard": (request.csv.formula_guard, _CSV.formula_guard),
    }
    members |= {name: value for name, (value, default) in options.items() if value != default}
    text = json.dumps(members, separators=(",", ":"), default=_number)
    return text if len(text) <= MAX_BYTES else None


def _filter(field: str, operator: str, value: object) -> dict[str, object]:
    return {"field": field, "operator": operator} | ({} if value is None else {"value": value})


def _number(value: object) -> float | str:
    """A number, or its text if a double would not be equal to it."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is no value of a filter")
    nearest = float(value)
    return nearest if Decimal(repr(nearest)) == value else str(value)
