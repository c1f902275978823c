"""The expected result of a request: rows in order, or a 400 for one of its filters, its sort or its row ids."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa

from engine.request.formats import FORMATS
from engine.request.request import CsvOptions
from tests.helpers.engine import NOW
from tests.property import shapes
from tests.property.datasets import Dataset, Row
from tests.property.meaning import matcher
from tests.property.reading import Refused
from tests.property.requests import CHANGE, MAX_EXPIRES_IN, GeneratedRequest, is_sortable, request_for
from tests.property.shapes import Place, Shape, flattened

_TEXT = Shape(shapes.TEXT, pa.string(), pa.string())


@dataclass(frozen=True)
class Expected:
    """The expected rows and columns, or the entries of the request that must be refused."""

    refused: tuple[str, ...]
    columns: dict[str, Shape]
    rows: list[Row]
    numbers: list[int]
    """The numbers of these rows in the run."""


def accepted_request(chance: Random, data: Dataset, format_name: str) -> GeneratedRequest:
    """A random request that the contract does not refuse: no two of its columns have the same name."""
    while True:
        asked = request_for(chance, data, format_name, odd=False)
        if not expected(data, asked).refused:
            return asked


def expected(data: Dataset, asked: GeneratedRequest) -> Expected:
    """Compute the result by the contract."""
    matchers, refused = [], _contradictions(asked)
    for index, entry in enumerate(asked.filters):
        try:
            matchers.append(_filter(data, entry))
        except Refused:
            refused.append(f"filters[{index}]")
    sort = None if asked.sort_by is None else data.places.get(asked.sort_by)
    if asked.sort_by is not None and (sort is None or not is_sortable(sort.shape)):
        refused.append("sortBy")
    chosen = _columns(data, asked, refused)
    internal = [CHANGE, "_row_id"] if data.of_changes else ["_row_id"] if asked.include_row_ids else []
    columns = dict.fromkeys(internal, _TEXT) | {place.path: place.shape for place in chosen}
    if refused:
        return Expected(tuple(refused), columns, [], [])
    ids = data.row_ids
    numbers = [
        number
        for number, row in enumerate(data.rows)
        if all(keeps(row) for keeps in matchers) and (asked.row_ids is None or ids[number] in asked.row_ids)
    ]
    if sort is not None:
        numbers = _sorted(numbers, data, sort, descending=asked.descending)
    rows = [
        {"_row_id": ids[number], CHANGE: data.rows[number].get(CHANGE)}
        | {place.path: place.of(data.rows[number]) for place in chosen}
        for number in numbers
    ]
    return Expected((), columns, rows, numbers)


def _contradictions(asked: GeneratedRequest) -> list[str]:
    """The parameters that are wrong whatever the run is."""
    refused = []
    if FORMATS[asked.format].compressed and asked.compression != "none":
        refused.append("compression")
    if asked.format != "csv" and asked.csv != CsvOptions():
        refused.append("format")
    if asked.row_ids is not None and not asked.row_ids:
        refused.append("rowIds")
    refused += [f"rowIds[{index}]" for index, row_id in enumerate(asked.row_ids or ()) if not row_id]
    life = asked.expires_in
    if life is not None and not (isinstance(life, int) and 60 <= life <= MAX_EXPIRES_IN):
        refused.append("expiresIn")
    return refused


def _columns(data: Dataset, asked: GeneratedRequest, refused: list[str]) -> list[Place]:
    """The columns of the file; adds what must be refused."""
    if asked.fields is None:
        chosen = [Place(name, shape, (name,)) for name, shape in data.columns.items()]
    else:
        known = [path in data.places and path not in asked.fields[:at] for at, path in enumerate(asked.fields)]
        refused += [f"fields[{index}]" for index, right in enumerate(known) if not right]
        chosen = [data.places[path] for path in asked.fields if path in data.places]
    if asked.flatten:
        chosen = [leaf for place in chosen for leaf in flattened(place)]
    if len({place.path.encode().lower() for place in chosen}) < len(chosen):
        refused.append("flatten" if asked.flatten else "fields")
    return chosen


def _filter(data: Dataset, entry: dict[str, Any]) -> Callable[[Row], bool]:
    place = data.places.get(entry["field"])
    if place is None and data.of_changes and entry["field"] == CHANGE:
        place = Place(CHANGE, _TEXT, (CHANGE,))
    if place is None:
        raise Refused
    keeps = matcher(entry["operator"], place.shape, entry.get("value"), NOW)
    return lambda row: keeps(place.of(row))


def _sorted(numbers: list[int], data: Dataset, place: Place, *, descending: bool) -> list[int]:
    """Nulls last in both orders, ties in run order, NaN above all numbers."""

    def key(number: int) -> Any:
        cell = place.of(data.rows[number])
        if place.shape.family == shapes.UUID:
            return str(cell)
        return (math.isnan(cell), 0.0 if math.isnan(cell) else cell) if isinstance(cell, float) else cell

    present = [number for number in numbers if place.of(data.rows[number]) is not None]
    # Python's sort keeps the order of equals, in reverse as well.
    return sorted(present, key=key, reverse=descending) + [
        number for number in numbers if place.of(data.rows[number]) is None
    ]
