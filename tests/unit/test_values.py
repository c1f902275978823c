"""Filter values on the grids of column types, against exact fractions."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalog.types import DATE, INTEGER_BITS, TIMESTAMP, ColumnType
from engine.request.literals import (
    float_value,
    instant_point,
    last_days,
    number_point,
    read_boolean,
    read_instant,
    read_number,
    read_text,
)

NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40, places=3),
    st.integers(-(2**65), 2**65).map(Decimal),
    st.builds(
        lambda digits, exponent: Decimal(digits).scaleb(exponent),
        st.integers(-(10**20), 10**20),
        st.integers(-400, 400),
    ),
)
DECIMALS = st.integers(1, 38).flatmap(
    lambda precision: st.integers(0, precision).map(
        lambda scale: ColumnType(name="DECIMAL", precision=precision, scale=scale)
    )
)
TYPES = st.one_of(st.sampled_from([ColumnType(name=name) for name in INTEGER_BITS]), DECIMALS)


def _bounds(type_: ColumnType) -> tuple[Fraction, Fraction, Fraction]:
    """The minimum and maximum of a type, and the distance between two values."""
    if type_.name != "DECIMAL":
        bits, signed = INTEGER_BITS[type_.name]
        low = -(2 ** (bits - 1)) if signed else 0
        return Fraction(low), Fraction(low + 2**bits - 1), Fraction(1)
    precision, scale = type_.precision or 0, type_.scale or 0
    greatest = Fraction(10**precision - 1, 10**scale)
    return -greatest, greatest, Fraction(1, 10**scale)


@given(NUMBERS, TYPES)
def test_a_number_is_read_as_the_greatest_point_not_above_it(number: Decimal, type_: ColumnType) -> None:
    low, high, step = _bounds(type_)
    value, point = Fraction(number), number_point(number, type_)
    if point.text is None:
        assert value < low if point.sign < 0 else value > high
        return
    below = Fraction(point.text)
    assert low <= below <= high
    assert (below / step).denominator == 1
    assert below <= value < below + step
    assert point.exact == (below == value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("-1.50", Decimal("-1.5")), (".5", Decimal("0.5")), ("1e3", 1000), ("+2.", 2), ("007", 7)],
)
def test_number_strings_are_read(text: str, value: object) -> None:
    assert read_number(text) == value


@pytest.mark.parametrize(
    "value", ["", " 5", "5 ", "1_000", "0x10", "NaN", "inf", "1,5", "٣", "1e99999", True, None, [], float("nan")]
)
def test_other_values_are_not_numbers(value: object) -> None:
    assert read_number(value) is None


LOCAL = st.datetimes().filter(lambda moment: 1 < moment.year < 9999)


@given(LOCAL, st.integers(-1439, 1439))
def test_a_date_with_an_offset_is_read_in_utc(moment: datetime, offset: int) -> None:
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    text = f"{moment.isoformat()}{sign}{hours:02}:{minutes:02}"
    read = read_instant(text)
    assert read is not None
    assert read.exact
    assert read.moment == datetime.fromisoformat(text)
    assert read.moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "moment", "exact"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC), True),
        ("2026-01-31 10:00", datetime(2026, 1, 31, 10, tzinfo=UTC), True),
        ("2026-01-31T10:00:00+02", datetime(2026, 1, 31, 8, tzinfo=UTC), True),
        ("2026-01-31T10:00:00.5Z", datetime(2026, 1, 31, 10, 0, 0, 500000, UTC), True),
        ("2026-01-31T10:00:00.123456789Z", datetime(2026, 1, 31, 10, 0, 0, 123456, UTC), False),
        ("2026-01-31T10:00:00.123456000Z", datetime(2026, 1, 31, 10, 0, 0, 123456, UTC), True),
    ],
)
def test_a_date_is_read_to_the_microsecond(text: str, moment: datetime, exact: bool) -> None:
    read = read_instant(text)
    assert read is not None
    assert (read.moment, read.exact) == (moment, exact)


@pytest.mark.parametrize(
    "value",
    ["", "2026", "2026-02-30", "2026-1-1", "20260101", "2026-01-01T24:00", "0001-01-01T00:00+01:00", "today", 5, None],
)
def test_other_values_are_not_dates(value: object) -> None:
    assert read_instant(value) is None


@pytest.mark.parametrize(
    ("text", "day", "exact"),
    [
        ("2026-01-31", "2026-01-31", True),
        ("2026-01-31T00:00:00.0000001Z", "2026-01-31", False),
        ("2026-01-31T23:59:59Z", "2026-01-31", False),
        ("2026-01-31T23:00:00-02:00", "2026-02-01", False),
    ],
)
def test_a_date_column_compares_the_day_in_utc(text: str, day: str, exact: bool) -> None:
    instant = read_instant(text)
    assert instant is not None
    point = instant_point(instant, DATE)
    assert (point.text, point.exact) == (day, exact)
    assert instant_point(instant, TIMESTAMP).text == instant.moment.isoformat(" ", timespec="microseconds")


@pytest.mark.parametrize(("value", "read"), [(True, True), ("false", False), ("TRUE", None), (1, None), ("", None)])
def test_booleans_and_their_names_are_read(value: object, read: bool | None) -> None:
    assert read_boolean(value) is read


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (5, "5"), (Decimal("1E+3"), "1000"), ("a", "a")])
def test_scalars_are_read_as_text(value: object, text: str) -> None:
    assert read_text(value) == text


def test_numbers_beyond_a_float_type_are_infinite() -> None:
    assert float_value(Decimal("1e400"), ColumnType(name="DOUBLE")) == float("inf")
    assert float_value(Decimal("-1e39"), ColumnType(name="FLOAT")) == -float("inf")
    assert float_value(Decimal("0.1"), ColumnType(name="FLOAT")) == 0.10000000149011612


@given(st.integers(1, 10**9))
def test_the_last_days_begin_at_midnight(days: int) -> None:
    now = datetime(2026, 6, 15, 12, 30, tzinfo=UTC)
    first, last = last_days(days, now)
    assert last.moment == now
    assert first.moment == first.moment.replace(hour=0, minute=0)
    assert (now.date() - first.moment.date()).days == min(days, now.date().toordinal() - 1)
