"""Types of CSV columns that cannot change a cell.

The law: a column has a type only if every cell that is not null comes back byte for byte in a CSV export, by the
engine's own spelling of that type. So ``0123``, ``1e5``, ``TRUE``, ``+5``, ``5.`` and ``2026-01-31 10:00`` are text.
Beyond the law, these are text, too: ``-0.0`` (Parquet's writer may store ``0.0``), ``NaN`` and the infinities (JSON has
no word for them), and a quoted empty cell (it would be null).

The first rows tell which types are possible (`Candidates`). The run is written in the first of them, and each cell is
checked on the way (`checked_cell`); only where a later cell does not fit, all rows are read for what fits (`evidence`).
So the outcome depends on all rows, however many the first ones are.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import duckdb

from engine.catalog.types import BIGINT, BOOLEAN, DATE, DOUBLE, TEXT, TIMESTAMP, ColumnType, Family
from engine.common.quoting import literal
from engine.publishing.types.lossless_casts import within_calendar
from engine.request.text_casts import matches
from engine.sql.json_values import csv_text

DOES_NOT_FIT = "A cell does not fit the type that was found in the first rows of its column"
"""The error of `checked_cell`."""

_DECIMAL = r"-?(0|[1-9][0-9]*)\.[0-9]+"
_SPELLINGS: tuple[tuple[ColumnType, re.Pattern[str]], ...] = tuple(
    (type_, re.compile(pattern))
    for type_, pattern in (
        (BIGINT, r"-?(0|[1-9][0-9]{0,18})"),
        (DOUBLE, r"-?([0-9]+\.[0-9]+|[0-9](\.[0-9]+)?e[+-][0-9]+)"),
        (BOOLEAN, "true|false"),
        (DATE, r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
        (TIMESTAMP, r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z"),
    )
)
"""What every cell of a type looks like; not all that looks so is one."""
_MOMENT_GLOBS = tuple(
    # DuckDB reads the hour 24 as the next day.
    f"[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T{hour}:[0-9][0-9]:[0-9][0-9]Z"
    for hour in ("[01][0-9]", "2[0-3]")
)
"""A moment of this form that can be read is the only text for its value; GLOB is faster than a cast to text."""
_FIRST_YEAR, _DATE_LENGTH = "0001", len("0001-01-01")
_SHORT_DECIMAL, _LONGEST_DECIMAL = 18, 38
_IN_ONE_QUERY = 500


@dataclass(frozen=True, slots=True)
class Candidates:
    """Types that the cells seen so far may have; the first is the best. Without any cell, all are possible."""

    types: tuple[ColumnType, ...] = ()
    seen: bool = False

    @property
    def best(self) -> ColumnType:
        """What to try: text if nothing else is possible, or nothing is known."""
        return self.types[0] if self.types else TEXT

    def include(self, type_: ColumnType) -> bool:
        """Whether the type is among them, or a DECIMAL with room to spare."""
        return type_ in self.types or any(
            type_.name == other.name == "DECIMAL"
            and type_.scale == other.scale
            and (type_.precision or 0) >= (other.precision or 0)
            for other in self.types
        )

    @property
    def is_text(self) -> bool:
        """Whether no more cells can make it anything but text."""
        return self.seen and not self.types


def candidates(cells: Iterable[str]) -> Candidates:
    """What these cells of one column, without its nulls, may be."""
    distinct = set(cells)
    if not distinct:
        return Candidates()
    found = [type_ for type_, pattern in _SPELLINGS if all(map(pattern.fullmatch, distinct))]
    if BIGINT in found and "-0" in distinct:
        found.remove(BIGINT)
    decimal = _decimal_of(distinct)
    if decimal is not None:
        found.insert(0, decimal)
    return Candidates(tuple(found), seen=True)


def decimal(scales: tuple[int, int], digits: int) -> ColumnType | None:
    """The DECIMAL for cells with so many digits behind the point, at least and at most, and in all."""
    least, most = scales
    if least != most or digits > _LONGEST_DECIMAL or most >= _LONGEST_DECIMAL:
        return None
    return ColumnType(
        name="DECIMAL", precision=_SHORT_DECIMAL if digits <= _SHORT_DECIMAL else _LONGEST_DECIMAL, scale=most
    )


def checked_cell(cell: str, type_: ColumnType) -> str:
    """SQL for a text cell in that type; an error if it would not come back as it is.

    This runs for each cell of a file, so a cheap test that is sufficient comes before the law, where there is one.
    """
    value, misfit = _value(cell, type_), f"error({literal(DOES_NOT_FIT)})"
    match type_.family:
        case Family.TEXT:
            return value
        case Family.INTEGER | Family.DECIMAL:
            # Null where both are, in one comparison.
            return f"CASE WHEN {_text_of(cell, type_)} IS NOT DISTINCT FROM {cell} THEN {value} ELSE {misfit} END"
        case Family.BOOLEAN:
            # A third of the time of a cast and a list.
            texts = f"WHEN {cell} = 'true' THEN TRUE WHEN {cell} = 'false' THEN FALSE"
            return f"CASE {texts} WHEN {cell} IS NOT NULL THEN {misfit} END"
        case Family.DATE:
            # The text of a date has this length in the years 1 to 9999, the only ones that can be exported.
            in_calendar = f"strlen({cell}) = {_DATE_LENGTH} AND {cell} >= '{_FIRST_YEAR}'"
            usual = f"WHEN CAST({value} AS VARCHAR) = {cell} AND {in_calendar} THEN {value}"
        case Family.TIMESTAMP:
            patterns = " OR ".join(f"{cell} GLOB {literal(pattern)}" for pattern in _MOMENT_GLOBS)
            # The year 0000 has this form, and cannot be exported.
            usual = f"WHEN ({patterns}) AND {cell} >= '{_FIRST_YEAR}' THEN coalesce({value}, {misfit})"
        case Family.FLOAT:
            # In this range, it is the text of `csv_text`.
            size = f"abs({value})"
            usual = f"WHEN CAST(to_json({value}) AS VARCHAR) = {cell} AND {size} >= 1e-4 AND {size} < 1e15 THEN {value}"
        case _:
            usual = ""
    law = comes_back(cell, type_)
    return f"CASE {usual} WHEN {cell} IS NULL THEN NULL WHEN {law} THEN {value} ELSE {misfit} END"


def checked_null(cell: str) -> str:
    """SQL for a column without a cell so far: null, or an error."""
    return f"CASE WHEN {cell} IS NULL THEN {cell} ELSE error({literal(DOES_NOT_FIT)}) END"


def comes_back(cell: str, type_: ColumnType) -> str:
    """SQL that is true if the text cell is the one that a CSV export has for its value, and false or null if not."""
    if type_ == BOOLEAN:
        return f"{cell} IN ('true', 'false')"
    value = _value(cell, type_)
    conditions = [f"{_text_of(cell, type_)} = {cell}"]
    if type_.family is Family.FLOAT:
        conditions.append(f"isfinite({value}) AND {cell} <> '-0.0'")
    calendar = within_calendar(value, type_)
    if calendar is not None:
        conditions.append(calendar)
    return f"({' AND '.join(conditions)})"


def evidence(
    connection: duckdb.DuckDBPyConnection,
    rows: str,
    begin: Callable[[duckdb.DuckDBPyConnection], None],
    asked: Sequence[tuple[str, Candidates]],
) -> list[Candidates]:
    """What all cells of columns may be: ``rows`` is SQL for all rows, ``asked`` the cells and what is known of them.

    Calls ``begin`` before each statement over the rows.
    """
    result: list[Candidates] = []
    for start in range(0, len(asked), _IN_ONE_QUERY):
        some = asked[start : start + _IN_ONE_QUERY]
        columns = [column for cell, known in some for column in _measures(cell, known)]
        begin(connection)
        # All rows, of which there is one: a result that is not finished would hinder the next `begin` with DuckDB 2.
        [found] = connection.execute(f"SELECT {', '.join(columns)} FROM ({rows})").fetchall()  # noqa: S608  # our own SQL
        values = iter(found)
        for _, known in some:
            count, least, most, digits = next(values), next(values), next(values), next(values)
            fits = [type_ for type_ in _possible(known) if next(values)]
            exact = decimal((least, most), digits) if least is not None and least > 0 else None
            if exact is not None:
                fits.insert(0, exact)
            result.append(Candidates(tuple(fits) if count else (), seen=count > 0))
    return result


def _measures(cell: str, known: Candidates) -> list[str]:
    """For one column: cells, digits behind the point (-1 if it is no decimal), digits, and whether each type fits."""
    is_decimal = f"({matches(cell, _DECIMAL)} AND NOT {matches(cell, '-0[.]0+')})"
    if known.seen and not any(type_.family is Family.DECIMAL for type_ in known.types):
        is_decimal = "FALSE"
    scale = (
        f"CASE WHEN {cell} IS NULL THEN NULL WHEN {is_decimal} THEN length({cell}) - strpos({cell}, '.') ELSE -1 END"
    )
    return [
        f"count({cell})",
        f"min({scale})",
        f"max({scale})",
        f"max(length({cell}) - 1 - starts_with({cell}, '-')::INTEGER)",
        *(
            f"coalesce(bool_and(coalesce({comes_back(cell, type_)}, FALSE)) FILTER ({cell} IS NOT NULL), FALSE)"
            for type_ in _possible(known)
        ),
    ]


def _possible(known: Candidates) -> list[ColumnType]:
    types = known.types if known.seen else tuple(type_ for type_, _ in _SPELLINGS)
    return [type_ for type_ in types if type_.family is not Family.DECIMAL]


def _decimal_of(cells: set[str]) -> ColumnType | None:
    pattern = re.compile(_DECIMAL)
    if not all(map(pattern.fullmatch, cells)) or any(set(cell) <= set("-0.") and cell[0] == "-" for cell in cells):
        return None
    scales = {len(cell) - cell.index(".") - 1 for cell in cells}
    return decimal((min(scales), max(scales)), max(len(cell.lstrip("-")) - 1 for cell in cells))


def _text_of(cell: str, type_: ColumnType) -> str:
    """The text in a CSV export of a cell that is read in that type."""
    return f"CAST({csv_text(_value(cell, type_), type_)} AS VARCHAR)"


def _value(cell: str, type_: ColumnType) -> str:
    return cell if type_ == TEXT else f"TRY_CAST({cell} AS {type_.sql()})"
