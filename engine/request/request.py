"""What a caller asks for, in the shape of web/API.md (section 1), before it is held against a run."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import InvalidFilter, InvalidRequest, quoted_excerpt
from engine.request.formats import DELIMITERS, FORMATS, Format
from engine.request.operators import OPERATORS, Operator, ValueShape

MAX_FILTERS = 100
MAX_VALUES = 10_000
MAX_ROW_IDS = 100_000
_MEMBERS = {"field", "operator", "value"}


@dataclass(frozen=True, slots=True)
class Filter:
    """One entry of ``filters``: all must hold. ``place`` names it in errors, as ``filters[2]``."""

    place: str
    field: str
    operator: Operator
    value: object = None


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How a CSV file is written; the defaults are RFC 4180."""

    bom: bool = False
    delimiter: str = "comma"
    formula_guard: bool = False


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One export: ``run`` None is the latest finished run, ``row_ids`` None is all rows."""

    workflow: str
    run: str | None = None
    format: Format = FORMATS["csv"]
    filters: tuple[Filter, ...] = ()
    sort_by: str | None = None
    descending: bool = False
    row_ids: tuple[str, ...] | None = None
    include_row_ids: bool = False
    csv: CsvOptions = CsvOptions()

    def __post_init__(self) -> None:
        if self.csv != CsvOptions() and self.format.name != "csv":
            raise InvalidRequest(
                "bom, delimiter and formulaGuard are for CSV: leave them out, or ask for format=csv.",
                parameter="format",
            )
        if self.csv.delimiter not in DELIMITERS:
            raise InvalidRequest(f"delimiter is one of {', '.join(DELIMITERS)}.", parameter="delimiter")


def read_filters(entries: object) -> tuple[Filter, ...]:
    """Check the shape of ``filters`` as parsed JSON. Raises InvalidFilter, which names the entry and the remedy."""
    if not isinstance(entries, list):
        raise InvalidFilter(
            'filters is a JSON array of {"field", "operator", "value"} objects; [] is fine.', parameter="filters"
        )
    if len(entries) > MAX_FILTERS:
        raise InvalidFilter(f"filters has {len(entries)} entries; {MAX_FILTERS} is the most.", parameter="filters")
    filters = tuple(_read_filter(f"filters[{index}]", entry) for index, entry in enumerate(entries))
    values = sum(len(entry.value) for entry in filters if isinstance(entry.value, tuple))
    if values > MAX_VALUES:
        raise InvalidFilter(
            f"filters hold {values} values in their arrays; {MAX_VALUES} in all is the most.", parameter="filters"
        )
    return filters


def _read_filter(place: str, entry: object) -> Filter:
    if not isinstance(entry, dict):
        raise _invalid(place, 'is an object like {"field": "price", "operator": "GREATER_THAN", "value": 100}')
    unknown = sorted(entry.keys() - _MEMBERS)
    if unknown:
        raise _invalid(
            place, f"has the unknown member {quoted_excerpt(unknown[0])}: only field, operator and value are read"
        )
    field, name = entry.get("field"), entry.get("operator")
    if not isinstance(field, str) or not field:
        raise _invalid(place, "needs a field: the name of a column, as a non-empty string")
    if not isinstance(name, str) or name not in OPERATORS:
        raise _invalid(place, f"has the unknown operator {quoted_excerpt(name)}: use one of {', '.join(OPERATORS)}")
    operator, value = OPERATORS[name], entry.get("value")
    if operator.value is ValueShape.NONE:
        if value is not None:
            raise _invalid(place, f"{name} takes no value: leave it out")
    elif value is None:
        raise _invalid(place, f"{name} needs a value: {operator.value.value} (for null use IS_NULL)")
    elif not _SHAPE_CHECKS[operator.value](value):
        raise _invalid(place, f"the value of {name} is {operator.value.value}")
    return Filter(place, field, operator, tuple(value) if isinstance(value, list) else value)


def _is_scalar(value: object) -> bool:
    return not isinstance(value, (list, dict)) and value is not None


def _is_number(value: object) -> bool:
    return _is_scalar(value) and not isinstance(value, (str, bool))


def _is_days(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_SHAPE_CHECKS = {
    ValueShape.SCALAR: _is_scalar,
    ValueShape.TEXT: lambda value: isinstance(value, str),
    ValueShape.ORDERED: lambda value: isinstance(value, str) or _is_number(value),
    ValueShape.DATE: lambda value: isinstance(value, str),
    ValueShape.ARRAY: lambda value: isinstance(value, list) and all(map(_is_scalar, value)),
    ValueShape.DAYS: _is_days,
}


def _invalid(place: str, text: str) -> InvalidFilter:
    return InvalidFilter(f"{place}: {text}.", parameter="filters", entry=place)


def read_row_ids(ids: object) -> tuple[str, ...]:
    """Check row ids: opaque non-empty texts, duplicates counted once. Raises InvalidRequest."""
    if not isinstance(ids, Sequence) or isinstance(ids, str):
        raise InvalidRequest("rowIds is an array of strings.", parameter="rowIds")
    for index, value in enumerate(ids):
        if not isinstance(value, str) or not value:
            raise InvalidRequest(
                f"rowIds[{index}] is not a row id: each is a non-empty string.",
                parameter="rowIds",
                entry=f"rowIds[{index}]",
            )
    if not ids:
        raise InvalidRequest("rowIds is empty: name at least one row, or leave it out.", parameter="rowIds")
    if len(ids) > MAX_ROW_IDS:
        raise InvalidRequest(f"rowIds names {len(ids)} rows; {MAX_ROW_IDS} is the most.", parameter="rowIds")
    return tuple(dict.fromkeys(map(str, ids)))
