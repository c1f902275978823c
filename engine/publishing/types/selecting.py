"""What every kind of source says of a field: its value in the stored type, or an error where that would change it."""

from engine.catalog.schema import Field
from engine.catalog.types import JSON, TIMESTAMP, ColumnType
from engine.common.quoting import literal
from engine.publishing.types.lossless_casts import within_calendar
from engine.request.text_casts import with_seconds

WOULD_CHANGE = "a value of it would be changed or cannot be read"
"""Part of the error of `checked`."""


def stored(cell: str, type_: ColumnType) -> str:
    """The cell in its stored type. JSON's own null is null, as it is in every format."""
    value = f"CAST({cell} AS {type_.sql()})"
    return f"CASE WHEN json_type({cell}) <> 'NULL' THEN {value} END" if type_ == JSON else value


def checked(field: Field, keeps: str | None, value: str) -> str:
    """The value, where ``keeps`` is not false and the calendar of the formats has its years."""
    in_calendar = within_calendar(value, field.type)
    conditions = [condition for condition in (keeps, in_calendar) if condition is not None]
    if not conditions:
        return value
    years = "" if in_calendar is None else ", or is not of the years 1 to 9999"
    reason = literal(f"{field.name} is {field.data_type}, and {WOULD_CHANGE}{years}")
    holds = " AND ".join(f"coalesce({condition}, TRUE)" for condition in conditions)
    return f"CASE WHEN {holds} THEN {value} ELSE error({reason}) END"


def missing(field: Field) -> str:
    """The cell of a file that does not have the field."""
    return f"CAST(NULL AS {field.type.sql()})"


def from_text(cell: str, type_: ColumnType) -> str:
    """A text cell cast to the stored type."""
    return f"CAST({with_seconds(cell) if type_ == TIMESTAMP else cell} AS {type_.sql()})"
