"""Cells that are cast by Arrow: in half of the time and memory of DuckDB's casts and their checks.

Only for types and cells where Arrow's cast is beyond doubt: each test here is sufficient, and none is the law. Where a
cell is not of the usual form, the files are read again, and DuckDB casts and decides by the law: of declared fields
`engine.publishing.types.lossless_casts`, of types that are found `engine.publishing.csv.types`.
"""

from collections.abc import Callable, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from engine.catalog.types import BIGINT, DATE, DOUBLE, TIMESTAMP, ColumnType

_FIRST_DAY = (date(1, 1, 1) - date(1970, 1, 1)).days
_FIRST_MOMENT = _FIRST_DAY * 24 * 60 * 60 * 1_000_000
_DAY, _MOMENT = len("2026-01-31"), len("2026-01-31T10:04:05Z")
_EXACT_WHOLE = 2.0**53
"""Whole numbers below it are exact in a DOUBLE."""


class Unusual(Exception):
    """A cell is not of the form that is cast here."""


def arrow_type(type_: ColumnType) -> pa.DataType:
    """What `cast` returns for a type."""
    return _CASTS[type_][0]


def can_cast(cells: Sequence[str], type_: ColumnType, *, found: bool = False) -> bool:
    """Whether `cast` takes these cells; ``found``: the type is not declared, but has to keep their text."""
    if type_ not in _CASTS or (found and type_ == DOUBLE):
        # A DOUBLE is checked against its text, which DuckDB makes faster.
        return False
    try:
        cast(pa.array(cells, pa.string()), type_, empty_is_null=not found)
    except Unusual:
        return False
    return True


def cast(cells: pa.Array, type_: ColumnType, *, empty_is_null: bool = True) -> pa.Array:
    """The cells in that type. Raises Unusual."""
    to, check = _CASTS[type_]
    try:
        values = cells.cast(to)
    except pa.ArrowInvalid:
        is_empty = pc.equal(cells, "")
        if not (empty_is_null and pc.any(is_empty).as_py()):
            raise Unusual from None
        return cast(pc.if_else(is_empty, None, cells), type_)
    if values.null_count < len(values) and not check(cells, values):
        raise Unusual
    return values


def _is_whole(cells: pa.Array, values: pa.Array) -> bool:
    return bool(values.cast(pa.string()).equals(cells))


def _is_day(_: pa.Array, values: pa.Array) -> bool:
    # Arrow reads YYYY-MM-DD of days that are in the calendar, and nothing else.
    return bool(pc.min(values.cast(pa.int32())).as_py() >= _FIRST_DAY)


def _is_moment(cells: pa.Array, values: pa.Array) -> bool:
    """Whether each is of the one form of this length that has a T and a Z in these places."""
    lengths, text = pc.min_max(pc.binary_length(cells)), _text(cells)
    count = len(cells) - cells.null_count
    return (
        lengths.as_py() == {"min": _MOMENT, "max": _MOMENT}
        and len(text) == _MOMENT * count
        and text[_DAY::_MOMENT] == b"T" * count
        and text[_MOMENT - 1 :: _MOMENT] == b"Z" * count
        and bool(pc.min(values.cast(pa.int64())).as_py() >= _FIRST_MOMENT)
    )


def _is_number(cells: pa.Array, values: pa.Array) -> bool:
    """Whether each is a plain number that a DOUBLE may round, which is no whole one that may be an identifier."""
    text = _text(cells)
    # No exponent, NaN or infinity.
    return not any(letter in text for letter in b"eEnN") and bool(pc.max(pc.abs(values)).as_py() < _EXACT_WHOLE)


def _text(cells: pa.Array) -> bytes:
    """The bytes of all cells, one after another."""
    _, places, text = cells.buffers()
    ends = memoryview(places).cast("i")
    found: bytes = text.to_pybytes()
    return found[ends[cells.offset] : ends[cells.offset + len(cells)]]


_CASTS: dict[ColumnType, tuple[pa.DataType, Callable[[pa.Array, pa.Array], bool]]] = {
    BIGINT: (pa.int64(), _is_whole),
    DATE: (pa.date32(), _is_day),
    TIMESTAMP: (pa.timestamp("us", "UTC"), _is_moment),
    DOUBLE: (pa.float64(), _is_number),
}
