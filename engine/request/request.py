"""An export request in the shape of web/API.md, section 1, before it is checked against a run."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import InvalidFilter, InvalidRequest, quoted_excerpt
from engine.request.formats import COMPRESSIONS, DELIMITERS, FORMATS, Compression, Format, content_type_of
from engine.request.operators import OPERATORS, Operator, ValueShape
from engine.request.statement import StatementRequest

MAX_FILTERS = 100
MAX_VALUES = 10_000
"""Maximum values in the arrays of all filters together."""
MAX_ROW_IDS = 100_000
MAX_FIELDS = 1_000
_MEMBERS = {"field", "operator", "value"}


@dataclass(frozen=True, slots=True)
class Filter:
    """One entry of ``filters``. A row must match all of them. ``label`` names the entry in errors: ``filters[2]``."""

    label: str
    field: str
    operator: Operator
    value: object = None


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How a CSV file is written. The defaults follow RFC 4180."""

    bom: bool = False
    delimiter: str = "comma"
    formula_guard: bool = False


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """A request for one export. None means the latest finished run, all rows (``row_ids``) or all columns (``fields``).

    Raises InvalidRequest if options contradict each other.
    """

    workflow: str
    run: str | None = None
    format: Format = FORMATS["csv"]
    filters: tuple[Filter, ...] = ()
    sort_by: str | None = None
    descending: bool = False
    row_ids: tuple[str, ...] | None = None
    include_row_ids: bool = False
    fields: tuple[str, ...] | None = None
    flatten: bool = False
    delta_types: bool = False
    """Whether columns are cast to types that Delta Sharing can name (`engine.plan.delta_types`)."""
    compression: Compression = COMPRESSIONS["none"]
    since_run: str | None = None
    """Only the rows that differ from those of this earlier run, and the rows of it that were removed."""
    csv: CsvOptions = CsvOptions()
    statement: StatementRequest | None = None
    """Exports the result of this statement instead of the run's rows; only the options of files go with it."""

    @property
    def content_type(self) -> str:
        """The media type of the file."""
        return content_type_of(self.format, self.compression)

    def __post_init__(self) -> None:
        if self.csv != CsvOptions() and self.format.name != "csv":
            raise InvalidRequest(
                "bom, delimiter and formulaGuard are for CSV only: omit them, or use format=csv.",
                parameter="format",
            )
        if self.format.compressed and self.compression.name != "none":
            names = ", ".join(row.name for row in FORMATS.values() if not row.compressed)
            raise InvalidRequest(
                f"compression={self.compression.name} is for {names}: {self.format.name} is compressed already; "
                "omit compression.",
                parameter="compression",
            )
        if self.csv.delimiter not in DELIMITERS:
            raise InvalidRequest(f"delimiter must be one of {', '.join(DELIMITERS)}.", parameter="delimiter")


def read_filters(entries: object) -> tuple[Filter, ...]:
    """Check the shape of ``filters``, parsed from JSON. Raises InvalidFilter, which names the entry and the remedy."""
    if not isinstance(entries, list):
        raise InvalidFilter(
            'filters must be a JSON array of {"field", "operator", "value"} objects; [] is allowed.',
            parameter="filters",
        )
    if len(entries) > MAX_FILTERS:
        raise InvalidFilter(
            f"filters has {len(entries):,} entries; the maximum is {MAX_FILTERS:,}.", parameter="filters"
        )
    filters = tuple(_read_filter(f"filters[{index}]", entry) for index, entry in enumerate(entries))
    values = sum(len(entry.value) for entry in filters if isinstance(entry.value, tuple))
    if values > MAX_VALUES:
        raise InvalidFilter(
            f"The arrays in filters have {values:,} values in total; the maximum is {MAX_VALUES:,}.",
            parameter="filters",
        )
    return filters


def _read_filter(label: str, entry: object) -> Filter:
    if not isinstance(entry, dict):
        raise _invalid(label, 'must be an object like {"field": "price", "operator": "GREATER_THAN", "value": 100}')
    unknown = sorted(entry.keys() - _MEMBERS)
    if unknown:
        raise _invalid(label, f"unknown member {quoted_excerpt(unknown[0])}; use field, operator and value")
    field, name = entry.get("field"), entry.get("operator")
    if not isinstance(field, str) or not field:
        raise _invalid(label, "field must be the name of a column, a non-empty string")
    if not isinstance(name, str) or name not in OPERATORS:
        what = "operator is missing" if name is None else f"unknown operator {quoted_excerpt(name)}"
        raise _invalid(label, f"{what}; use one of {', '.join(OPERATORS)}")
    operator, value = OPERATORS[name], entry.get("value")
    if operator.value is ValueShape.NONE:
        if value is not None:
            raise _invalid(label, f"{name} takes no value; omit it")
    elif value is None:
        raise _invalid(label, f"{name} needs a value: {operator.value.value} (for null use IS_NULL)")
    elif not _SHAPE_CHECKS[operator.value](value):
        raise _invalid(label, f"the value of {name} must be {operator.value.value}")
    return Filter(label, field, operator, tuple(value) if isinstance(value, list) else value)


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


def _invalid(label: str, text: str) -> InvalidFilter:
    return InvalidFilter(f"{label}: {text}.", parameter="filters", entry=label)


def read_row_ids(ids: object) -> tuple[str, ...]:
    """Check row ids, opaque non-empty strings, and remove duplicates. Raises InvalidRequest."""
    return tuple(dict.fromkeys(_read_names(ids, "rowIds", MAX_ROW_IDS, "row id")))


def read_fields(names: object) -> tuple[str, ...]:
    """Check the names of columns. Raises InvalidRequest, also for one that is listed twice."""
    fields = _read_names(names, "fields", MAX_FIELDS, "column")
    first: dict[str, int] = {}
    for index, name in enumerate(fields):
        if first.setdefault(name, index) != index:
            raise InvalidRequest(
                f"fields[{index}]: {quoted_excerpt(name)} is fields[{first[name]}] already; list it once.",
                parameter="fields",
                entry=f"fields[{index}]",
            )
    return fields


def _read_names(names: object, parameter: str, maximum: int, noun: str) -> tuple[str, ...]:
    if not isinstance(names, Sequence) or isinstance(names, str):
        raise InvalidRequest(f"{parameter} must be an array of strings.", parameter=parameter)
    for index, value in enumerate(names):
        if not isinstance(value, str) or not value:
            entry = f"{parameter}[{index}]"
            raise InvalidRequest(f"{entry} must be a non-empty string.", parameter=parameter, entry=entry)
    if not names:
        raise InvalidRequest(f"{parameter} is empty; list at least one {noun}, or omit it.", parameter=parameter)
    if len(names) > maximum:
        raise InvalidRequest(
            f"{parameter} has {len(names):,} entries; the maximum is {maximum:,}.", parameter=parameter
        )
    return tuple(map(str, names))
