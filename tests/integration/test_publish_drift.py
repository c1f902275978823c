"""Files of one run that differ come out under one schema, value for value, or the run is refused."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.errors import InvalidInput
from tests.helpers.engine import Engine
from tests.helpers.files import read_parquet

BIG = 2**53 + 1

Column = tuple[pa.DataType, list[Any]]
RECONCILED: dict[str, tuple[list[Column], str]] = {
    "int and bigint": ([(pa.int32(), [1, None]), (pa.int64(), [2**62]), (pa.int32(), [3])], "BIGINT"),
    "signed and unsigned": ([(pa.int8(), [-1]), (pa.uint32(), [2**32 - 1])], "BIGINT"),
    "bigint and the largest unsigned": ([(pa.int64(), [-1]), (pa.uint64(), [2**64 - 1])], "DECIMAL(38,0)"),
    "int and double": ([(pa.int64(), [5]), (pa.float64(), [0.5])], "DOUBLE"),
    "float and double": ([(pa.float32(), [0.5]), (pa.float64(), [0.1])], "DOUBLE"),
    "decimals": (
        [(pa.decimal128(5, 2), [Decimal("123.45")]), (pa.decimal128(10, 4), [Decimal("0.0001")])],
        "DECIMAL(10,4)",
    ),
    "decimal and int": ([(pa.decimal128(5, 2), [Decimal("0.25")]), (pa.int16(), [7])], "DECIMAL(7,2)"),
    "nothing and text": ([(pa.null(), [None]), (pa.string(), ["a"]), (pa.null(), [None])], "VARCHAR"),
    "lists": ([(pa.list_(pa.int32()), [[1], None]), (pa.list_(pa.int64()), [[2**40, None]])], "BIGINT[]"),
    "objects of other members": (
        [
            (pa.struct([("a", pa.int32()), ("b", pa.string())]), [{"a": 1, "b": "x"}]),
            (pa.struct([("c", pa.bool_()), ("a", pa.int64())]), [{"c": True, "a": 2**40}]),
        ],
        'STRUCT("a" BIGINT, "b" VARCHAR, "c" BOOLEAN)',
    ),
}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def files(engine: Engine, columns: list[Column]) -> list[Path]:
    return [
        engine.write_parquet(pa.table({"x": pa.array(values, type_)}), f"{n}.parquet")
        for n, (type_, values) in enumerate(columns)
    ]


@pytest.mark.parametrize("name", RECONCILED)
def test_columns_that_differ_are_reconciled_without_loss(engine: Engine, name: str) -> None:
    columns, stored = RECONCILED[name]
    run = engine.publish(*files(engine, columns))
    assert run.table.fields[1].type.sql() == stored
    values = [value for _, values in columns for value in values]
    if name == "objects of other members":
        values = [{"a": 1, "b": "x", "c": None}, {"a": 2**40, "b": None, "c": True}]
    assert [row["x"] for row in read_parquet(engine.export_bytes("parquet"))] == values
    if stored != "DECIMAL(10,4)":
        assert [row["x"] for row in engine.export_rows()] == values


@pytest.mark.parametrize(
    "columns",
    [
        [(pa.int64(), [BIG]), (pa.float64(), [0.5])],
        [(pa.float64(), [0.5]), (pa.int64(), [1, BIG])],
        [(pa.int64(), [1]), (pa.string(), ["1"])],
        [(pa.bool_(), [True]), (pa.int8(), [1])],
        [(pa.date32(), [1]), (pa.timestamp("us"), [1])],
        [(pa.decimal128(38, 0), [1]), (pa.decimal128(38, 20), [1])],
        [(pa.struct([("a", pa.int8())]), [{"a": 1}]), (pa.struct([("A", pa.int8())]), [{"A": 1}])],
        [(pa.struct([("a", pa.int8())]), [{"a": 1}]), (pa.struct([("a", pa.string())]), [{"a": "1"}])],
        [(pa.list_(pa.int8()), [[1]]), (pa.int8(), [1])],
    ],
    ids=str,
)
def test_what_no_type_holds_is_refused(engine: Engine, columns: list[Column]) -> None:
    with pytest.raises(InvalidInput, match=r"\bx\b"):
        engine.publish(*files(engine, columns))
    assert engine.keys("w/") == []


def test_a_declared_type_settles_it(engine: Engine) -> None:
    paths = files(engine, [(pa.int64(), [BIG]), (pa.string(), ["a"]), (pa.date32(), [1])])
    engine.publish(*paths, schema=engine.write_schema(x="STRING"))
    assert [row["x"] for row in engine.export_rows()] == [str(BIG), "a", "1970-01-02"]


def test_a_missing_column_is_null_and_the_order_is_that_of_the_files(engine: Engine) -> None:
    tables = [{"a": [1], "b": ["x"]}, {"a": [2]}, {"b": ["y"], "a": [3]}, {"c": [None, 4.5]}]
    paths = [engine.write_parquet(pa.table(table), f"{n}.parquet") for n, table in enumerate(tables)]
    engine.publish(*paths)
    assert engine.export_rows(include_row_ids=True) == [
        {"_row_id": f"{0:012}", "a": 1, "b": "x", "c": None},
        {"_row_id": f"{1:012}", "a": 2, "b": None, "c": None},
        {"_row_id": f"{2:012}", "a": 3, "b": "y", "c": None},
        {"_row_id": f"{3:012}", "a": None, "b": None, "c": None},
        {"_row_id": f"{4:012}", "a": None, "b": None, "c": 4.5},
    ]
