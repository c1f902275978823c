"""All operators on columns of every type family, against an oracle over plain Python values."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest

from engine.errors import InvalidFilter
from engine.plan.predicate import compile_predicate
from engine.request.operators import OPERATORS
from tests.helpers.engine import NOW, Engine, entry
from tests.helpers.operator_oracle import COMPARISONS, COMPLEMENTS, SUBSTRINGS, TEMPORAL, matches

COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (
        pa.string(),
        [
            *("", "a", "A", "abc", "ABC", "xaBcx", "%", "_", "a%c", "a_c", "it's", "back\\slash", ".*", "Ünï", "ünÏ"),
            *("5", "05", "5.0", "-1e3", "12 apples", "0x10", "NaN", " 5", "true"),
            *("2026-06-15", "2026-06-15T12:30:15Z", "2026-06-15T12:30:16Z", "2026-06-14T23:00:00-05:00", "2026-02-30"),
        ],
    ),
    "big": (pa.int64(), [0, 1, -1, 5, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]),
    "double": (
        pa.float64(),
        [0.0, -0.0, 0.1, 0.3, 5.0, -5.5, 1e300, 2.0**53, float("nan"), float("inf"), -float("inf")],
    ),
    "decimal": (pa.decimal128(12, 3), [Decimal(text) for text in ("0", "0.1", "0.3", "5", "-5.5", "123456789.123")]),
    "flag": (pa.bool_(), [True, False]),
    "day": (pa.date32(), [date(2026, 6, day) for day in (1, 13, 14, 15, 16)] + [date(1, 1, 1), date(9999, 12, 31)]),
    "moment": (
        pa.timestamp("us", "UTC"),
        [NOW + timedelta(microseconds=step) for step in (-86_400_000_000, -1, 0, 1)]
        + [datetime(2026, 6, day, tzinfo=UTC) for day in (13, 14, 15, 16)]
        + [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)],
    ),
    "tags": (pa.list_(pa.string()), [[], ["a"], ["b", "ABC"], ["a%c", None], [None], [""], ["it's", "\\"]]),
    "numbers": (pa.list_(pa.int64()), [[], [1], [2, 5], [None, 2**63 - 1], [None]]),
}
LENGTH = max(len(values) for _, values in COLUMNS.values()) + 1
ROWS: list[dict[str, Any]] = [
    {name: values[n] if n < len(values) else None for name, (_, values) in COLUMNS.items()} for n in range(LENGTH)
]

TEXTS = ["a", "abc", "", "%", "_", "a_c", "'", "\\", ".*", "ÜN", "5", "' OR 1=1 --"]
NUMBERS = [5, 0, -5.5, 0.1, 0.3, 2**53 + 1, 2**63, -(2**63) - 1, 10**30, "5", "0.30", 1e-30, 1e300]
DATES = ["2026-06-14", "2026-06-15T12:30:15Z", "2026-06-15T14:30:15.000001+02:00", "0001-01-01", "9999-12-31"]
VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "text": ([*TEXTS, True, 5], [*NUMBERS, *DATES]),
    "big": (NUMBERS, NUMBERS),
    "double": (NUMBERS, NUMBERS),
    "decimal": (NUMBERS, NUMBERS),
    "flag": ([True, False, "true"], []),
    "day": (DATES, DATES),
    "moment": (DATES, DATES),
    "tags": (TEXTS, []),
    "numbers": ([1, 5, 2**63 - 1, 2.5, "2"], []),
}
"""By column: the values for equality and for comparison."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = Engine(tmp_path_factory.mktemp("operators"))
    rows = [row | {"n": n} for n, row in enumerate(ROWS)]
    schema = pa.schema([("n", pa.int32()), *((name, type_) for name, (type_, _) in COLUMNS.items())])
    engine.publish(engine.write_parquet(pa.Table.from_pylist(rows, schema)))
    return engine


def complement_of(operator: str) -> str:
    return next(name for name, positive in COMPLEMENTS.items() if positive == operator)


def _cases(column: str) -> Iterator[tuple[str, Any]]:
    equality, comparison = VALUES[column]
    yield from ((operator, None) for operator in ("IS_NULL", "IS_NOT_NULL", "IS_EMPTY", "IS_NOT_EMPTY"))
    for operator in ("EQUALS", "NOT_EQUALS"):
        yield from ((operator, value) for value in equality)
    for operator in ("IN", "NOT_IN"):
        yield from ((operator, value) for value in ([], equality[:1], equality[1:4], equality))
    if column in ("text", "tags"):
        for operator in (*SUBSTRINGS, "NOT_CONTAINS"):
            yield from ((operator, value) for value in TEXTS)
    for operator in COMPARISONS:
        yield from ((operator, value) for value in comparison)
    if column in ("text", "day", "moment"):
        for operator in TEMPORAL:
            yield from ((operator, value) for value in DATES)
        yield from (("WITHIN_LAST_DAYS", days) for days in (1, 2, 10**6))


def test_the_cases_cover_every_operator() -> None:
    assert {operator for column in COLUMNS for operator, _ in _cases(column)} == set(OPERATORS)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_predicate_matches_the_rows_of_the_oracle(engine: Engine, column: str) -> None:
    """Runs several hundred predicates directly over the parts, which is cheaper than an export each."""
    exporter, wrong = engine.exporter(), []
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone='UTC'")
        for operator, value in _cases(column):
            plan = engine.plan(exporter, filters=[entry(column, operator, value)])
            parts = [str(engine.store.local_path(part.key)) for part in plan.run.parts]
            predicate = compile_predicate(plan.conditions)
            sql = f"SELECT n FROM read_parquet($parts) WHERE {predicate.sql} ORDER BY n"
            found = [n for (n,) in connection.execute(sql, {**predicate.parameters, "parts": parts}).fetchall()]
            wanted = [n for n, row in enumerate(ROWS) if matches(operator, row[column], value, NOW)]
            if found != wanted:
                wrong.append((operator, value, found, wanted))
    assert not wrong


FIRST_CASE = {operator: (column, value) for column in reversed(COLUMNS) for operator, value in _cases(column)}


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_export_has_the_rows_of_the_oracle(engine: Engine, operator: str) -> None:
    column, value = FIRST_CASE[operator]
    wanted = [n for n, row in enumerate(ROWS) if matches(operator, row[column], value, NOW)]
    assert [row["n"] for row in engine.export_rows(filters=[entry(column, operator, value)])] == wanted


@pytest.mark.parametrize("negative", COMPLEMENTS)
@pytest.mark.parametrize("column", ["text", "tags"])
def test_an_operator_and_its_complement_split_the_run(engine: Engine, column: str, negative: str) -> None:
    value = None if negative.startswith("IS_") else ["a"] if negative == "NOT_IN" else "a"
    found = [
        {row["n"] for row in engine.export_rows(filters=[entry(column, operator, value)])}
        for operator in (negative, COMPLEMENTS[negative])
    ]
    assert found[0] | found[1] == set(range(LENGTH))
    assert not found[0] & found[1]
    assert all(found)


def test_is_empty_matches_empty_values_of_json(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    values: list[object] = [1, "a", None, [], "", [[]], {}, 0]
    engine.publish_rows([{"n": n, "mixed": value} for n, value in enumerate(values)])
    for operator in ("IS_EMPTY", "IS_NOT_EMPTY"):
        found = [row["n"] for row in engine.export_rows(filters=[entry("mixed", operator)])]
        assert found == [n for n, value in enumerate(values) if matches(operator, value, None, NOW)]


def test_a_number_beyond_double_is_between_all_cells_and_infinity(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    cells = [float("inf"), float("-inf"), 1.5, None]
    engine.publish(engine.write_parquet(pa.table({"double": pa.array(cells), "float": pa.array(cells, pa.float32())})))
    for field in ("double", "float"):
        assert engine.export(filters=[entry(field, "EQUALS", "1e400")]).rows == 0
        assert engine.export(filters=[entry(field, "NOT_IN", ["1e400", "-1e400"])]).rows == len(cells)
        for operator, beyond, rows in [
            ("LESS_THAN", "1e400", 2),
            ("LESS_THAN_OR_EQUAL", "1e400", 2),
            ("GREATER_THAN", "1e400", 1),
            ("GREATER_THAN_OR_EQUAL", "1e400", 1),
            ("LESS_THAN", "-1e400", 1),
            ("LESS_THAN_OR_EQUAL", "-1e400", 1),
            ("GREATER_THAN", "-1e400", 2),
            ("GREATER_THAN_OR_EQUAL", "-1e400", 2),
        ]:
            assert engine.export(filters=[entry(field, operator, beyond)]).rows == rows, (operator, beyond)


def test_a_text_date_may_omit_seconds_but_not_minutes(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    texts = ["2024-01-01T10:00Z", "2024-01-01 10:00", "2024-01-01T10:00+01:00", "2024-01-01T10Z", "2024-01-01", "10:00"]
    engine.publish_rows([{"n": n, "text": text} for n, text in enumerate(texts)])
    found = engine.export_rows(filters=[entry("text", "AFTER", "2024-01-01T09:30")])
    assert [row["n"] for row in found] == [0, 1]


@pytest.mark.parametrize("count", [1, 2, 3000])
def test_in_matches_any_of_thousands_of_values(engine: Engine, count: int) -> None:
    for field in ("big", "text", "tags", "double"):
        cells = [row[field] for row in ROWS]
        values = [cell for cell in cells if isinstance(cell, (int, str)) and not isinstance(cell, bool)][:count]
        values += [str(10**6 + n) for n in range(count - len(values))]
        for operator in ("IN", "NOT_IN"):
            found = [row["n"] for row in engine.export_rows(filters=[entry(field, operator, values)])]
            assert found == [n for n, cell in enumerate(cells) if matches(operator, cell, values, NOW)]


@pytest.mark.parametrize("type_", [pa.float64(), pa.float32()])
def test_zero_equals_negative_zero(tmp_path: Path, type_: pa.DataType) -> None:
    engine = Engine(tmp_path)
    # Enough of each that a part has dictionaries and Bloom filters.
    cells = [None, *[-0.0] * 40, *[-5.5] * 40]
    engine.publish(engine.write_parquet(pa.table({"minus": pa.array(cells, type_)})))
    plus = [0.0 if cell == 0 else cell for cell in cells]
    engine.publish(engine.write_parquet(pa.table({"plus": pa.array(plus, type_)})), workflow="plus")
    for value in (0, "-0.0", -0.0, "0e5"):
        for operator, wanted in (("EQUALS", value), ("IN", [value, 7]), ("IN", [value, 7, 8])):
            assert engine.export(filters=[entry("minus", operator, wanted)]).rows == 40
            assert engine.export(workflow="plus", filters=[entry("plus", operator, wanted)]).rows == 40
            assert engine.export(filters=[entry("minus", complement_of(operator), wanted)]).rows == 41
    assert engine.export(filters=[entry("minus", "IN", [0, -5.5])]).rows == 80


@pytest.mark.parametrize("count", [2, 5, 400])
def test_in_keeps_the_order_of_the_run(tmp_path: Path, count: int) -> None:
    engine = Engine(tmp_path)
    rows = [{"key": f"k{(n * 7) % count}x{n}", "n": n, "text": f"t{n}"} for n in range(count)]
    engine.publish_rows(rows, row_id="key")
    every = {"n": [row["n"] for row in rows], "text": [row["text"] for row in rows]}
    ids = sorted((str(row["key"]) for row in rows), reverse=True)
    for fields in ([], ["n"], ["text"], ["n", "text"]):
        filters = [entry(field, "IN", [*reversed(every[field]), "5000"]) for field in fields]
        for extra in ([], [entry("n", "NOT_IN", [-1, -2])], [entry("key", "NOT_EQUALS", "x")]):
            found = engine.export_rows(filters=[*filters, *extra], row_ids=ids)
            assert found == rows


def test_rows_must_match_all_filters(engine: Engine) -> None:
    found = engine.export_rows(filters=[entry("big", "GREATER_THAN", 0), entry("text", "CONTAINS", "b")])
    assert [row["n"] for row in found] == [
        n for n, row in enumerate(ROWS) if row["big"] is not None and row["big"] > 0 and "b" in row["text"].lower()
    ]


@pytest.mark.parametrize(
    ("column", "operator", "value"),
    [
        ("big", "EQUALS", "five"),
        ("big", "EQUALS", True),
        ("day", "AFTER", "yesterday"),
        ("day", "GREATER_THAN", 5),
        ("moment", "EQUALS", "2026-02-30"),
        ("flag", "EQUALS", "yes"),
        ("flag", "GREATER_THAN", 1),
        ("text", "BEFORE", "soon"),
        ("big", "CONTAINS", "1"),
        ("big", "BEFORE", "2026-01-01"),
        ("big", "BEFORE", "5"),
        ("double", "AFTER", "5.5"),
        ("tags", "GREATER_THAN", 1),
        ("big", "WITHIN_LAST_DAYS", 5),
        ("nothing", "IS_NULL", None),
        ("_row_id", "EQUALS", "0"),
    ],
)
def test_a_value_or_operator_that_does_not_fit_the_type_is_refused(
    engine: Engine, column: str, operator: str, value: object
) -> None:
    with pytest.raises(InvalidFilter) as refused:
        engine.export(filters=[entry("n", "IS_NULL"), entry(column, operator, value)])
    assert refused.value.details["entry"] == "filters[1]"


@pytest.mark.parametrize(
    ("operator", "value"), [("GREATER_THAN", 1.5), ("BEFORE", "2026-01-01"), ("WITHIN_LAST_DAYS", 5)]
)
def test_a_uuid_is_neither_a_number_nor_a_date(tmp_path: Path, operator: str, value: object) -> None:
    engine = Engine(tmp_path)
    engine.publish(engine.write_parquet(pa.table({"id": pa.array([UUID(int=1).bytes, None], pa.uuid())})))
    assert engine.export_rows(filters=[entry("id", operator, value)]) == []
