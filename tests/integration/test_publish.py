"""What publishing takes in, keeps exactly, and refuses."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.catalog.manifest import State
from engine.catalog.schema import DATA_TYPES
from engine.errors import InvalidInput, NotFound
from tests.helpers.engine import NOW, TEAM, WORKFLOW, Engine
from tests.helpers.files import read_parquet


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "engine")


def test_csv_cells_stay_the_text_that_they_are(engine: Engine) -> None:
    file = engine.write(
        "rows.csv",
        'a,b,c\n,"",0123\n"say ""hi""","one\ntwo",1e5\nTRUE,2024-01-02,"x,y"\nnull,NULL,NaN\n',
    )
    engine.publish(file)
    rows = [list(row.values()) for row in engine.export_rows()]
    assert rows == [
        [None, "", "0123"],
        ['say "hi"', "one\ntwo", "1e5"],
        ["TRUE", "2024-01-02", "x,y"],
        ["null", "NULL", "NaN"],
    ]
    content = engine.export_bytes("csv")
    assert content.startswith(b'"a","b","c"\n,"",0123\n')
    assert list(csv.reader(io.StringIO(content.decode(), newline="")))[2] == ['say "hi"', "one\ntwo", "1e5"]


def test_several_csv_files_are_one_run_in_the_order_of_the_files(engine: Engine) -> None:
    second = engine.write_csv(["n", "m"], [["3", "x"]], "b.csv")
    first = engine.write_csv(["m", "n"], [["y", "1"], ["z", "2"]], "a.csv")
    engine.publish(second, first)
    assert engine.export_rows() == [{"n": 3, "m": "x"}, {"n": 1, "m": "y"}, {"n": 2, "m": "z"}]


ROWS: list[dict[str, object]] = [
    {"t": "2024-01-02", "n": 9007199254740993, "d": 1.5, "b": True, "l": ["a", None], "o": {"x": 1, "y": "é😀"}},
    {"t": "", "n": None, "d": 1e300, "b": None, "l": [], "o": None},
    {"t": None, "n": -1, "d": None, "b": False, "l": None, "o": {"x": None, "y": ""}},
]


def test_json_arrays_and_lines_keep_every_value(engine: Engine) -> None:
    engine.publish(engine.write_json(ROWS), run="array")
    engine.publish(engine.write("rows.ndjson", "".join(json.dumps(row) + "\n" for row in ROWS)), run="lines")
    assert engine.export_rows(run="array") == ROWS
    assert engine.export_rows(run="lines") == ROWS


def test_parquet_keeps_exact_types(engine: Engine) -> None:
    rows = [
        {
            "big": 2**63 - 1,
            "unsigned": 2**64 - 1,
            "dec": Decimal("12345678901234567890.123"),
            "day": date(1, 1, 1),
            "moment": datetime(2024, 1, 2, 3, 4, 5, 123456, UTC),
            "inner": [{"k": "v", "n": 1}],
        },
        dict.fromkeys(["big", "unsigned", "dec", "day", "moment", "inner"]),
    ]
    schema = pa.schema(
        [
            ("big", pa.int64()),
            ("unsigned", pa.uint64()),
            ("dec", pa.decimal128(38, 3)),
            ("day", pa.date32()),
            ("moment", pa.timestamp("us", "UTC")),
            ("inner", pa.list_(pa.struct([("k", pa.string()), ("n", pa.int32())]))),
        ]
    )
    engine.publish(engine.write_parquet(pa.Table.from_pylist(rows, schema)))
    assert read_parquet(engine.export_bytes("parquet")) == rows
    text = engine.export_bytes("json").decode()
    parsed = json.loads(text, parse_float=Decimal)
    assert parsed[0] == rows[0] | {"day": "0001-01-01", "moment": "2024-01-02T03:04:05.123456Z"}
    assert parsed[1] == rows[1]


TYPED = {
    "s": ("STRING", "0123", "0123"),
    "l": ("LINK", "https://example.com/?q=1", "https://example.com/?q=1"),
    "i": ("IMAGE", "https://example.com/1.png", "https://example.com/1.png"),
    "n": ("NUMBER", 2.5, 2.5),
    "b": ("BOOLEAN", True, True),
    "d": ("DATE", "2024-02-29", "2024-02-29"),
    "t": ("DATETIME", "2024-01-02T10:04:05+02:00", "2024-01-02T08:04:05Z"),
    "m": ("MONEY", {"amount": 1999, "currencyCode": "EUR"}, {"amount": 1999, "currencyCode": "EUR"}),
    "o": ("OBJECT", {"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}),
    "a": ("ARRAY", ["x", "y"], ["x", "y"]),
}


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_each_declared_type_is_read_and_told_as_declared(engine: Engine, kind: str) -> None:
    assert {data_type for data_type, _, _ in TYPED.values()} == set(DATA_TYPES)
    schema = engine.write_schema(**{name: data_type for name, (data_type, _, _) in TYPED.items()})
    values = {name: value for name, (_, value, _) in TYPED.items()}
    if kind == "json":
        file = engine.write_json([values, dict.fromkeys(values)])
    else:
        cells = [value if isinstance(value, str) else json.dumps(value) for value in values.values()]
        file = engine.write_csv(list(values), [cells, [""] * len(cells)])
    engine.publish(file, schema=schema)
    export = engine.export("json")
    assert [field.data_type for field in export.fields] == [data_type for data_type, _, _ in TYPED.values()]
    first, second = engine.export_rows()
    assert first == {name: wanted for name, (_, _, wanted) in TYPED.items()}
    assert second == dict.fromkeys(values)


def test_a_declared_field_that_no_row_has_is_null(engine: Engine) -> None:
    engine.publish(engine.write_json([{"a": "x"}]), schema=engine.write_schema(a="STRING", b="NUMBER"))
    assert engine.export_rows() == [{"a": "x", "b": None}]


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        ("NUMBER", "twelve"),
        ("BOOLEAN", "perhaps"),
        ("DATE", "2024-02-30"),
        ("DATETIME", "noon"),
        ("MONEY", "12 EUR"),
        ("OBJECT", "{not json"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_leaves_nothing(engine: Engine, data_type: str, value: str) -> None:
    file = engine.write_csv(["a"], [[value]])
    with pytest.raises(InvalidInput):
        engine.publish(file, schema=engine.write_schema(a=data_type))
    assert engine.keys("workflow=w/run=") == []
    assert list((engine.folder / "spill").iterdir()) == []


@pytest.mark.parametrize("value", [10**19, "12", 1.5])
def test_an_integer_column_never_rounds(engine: Engine, value: object) -> None:
    rows: list[dict[str, object]] = [{"n": 1}, {"n": value}]
    try:
        engine.publish_rows(rows)
    except InvalidInput:
        return
    assert json.loads(engine.export_bytes("json"))[1] == {"n": value}


def test_an_undeclared_column_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="'b'"):
        engine.publish(engine.write_json([{"a": 1, "b": 2}]), schema=engine.write_schema(a="NUMBER"))
    assert engine.keys("workflow=w/run=") == []


@pytest.mark.parametrize(
    "header",
    [["_row_id"], ["_other"], ["file_row_number"], ["File_Index"], ["Name", "name"], ["a", "a"], ["É", "é"]],
)
def test_reserved_names_and_names_that_differ_in_case_only_are_refused(engine: Engine, header: list[str]) -> None:
    file = engine.write_csv(header, [["x"] * len(header)])
    with pytest.raises(InvalidInput):
        engine.publish(file)
    assert engine.keys("workflow=w/run=") == []


@pytest.mark.parametrize("names", [["Name", "name"], ["a", "a"], ["_row_id"], ["FILE_ROW_NUMBER"]])
def test_the_names_of_parquet_columns_are_checked_as_they_are_written(engine: Engine, names: list[str]) -> None:
    with pytest.raises(InvalidInput):
        engine.publish(engine.write_parquet(pa.table([pa.array([1]) for _ in names], names=names)))


def test_json_names_that_differ_in_case_only_are_refused(engine: Engine) -> None:
    with pytest.raises(InvalidInput):
        engine.publish(engine.write_json([{"A": 1}, {"a": 2}]))


def test_rows_without_any_declared_field_are_rows(engine: Engine) -> None:
    engine.publish(engine.write_json([{}, {}]), schema=engine.write_schema(a="STRING"))
    assert engine.export_rows() == [{"a": None}] * 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", ""),
        ("a.json", "[1, 2]"),
        ("a.json", '[{"a": 1}'),
        ("a.ndjson", '{"a": 1}\n{"a"'),
        ("a.txt", "x"),
        ("a.parquet", "x"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(engine: Engine, name: str, content: str) -> None:
    with pytest.raises(InvalidInput):
        engine.publish(engine.write(name, content))
    assert engine.keys("workflow=w/run=") == []


@pytest.mark.parametrize("bad", ["1", "1,2,3", '1,"2', '1,"2"x'])
@pytest.mark.parametrize("before", [0, 1, 30_000])
def test_a_csv_line_of_another_shape_is_refused_wherever_it_stands(engine: Engine, bad: str, before: int) -> None:
    with pytest.raises(InvalidInput):
        engine.publish(engine.write("rows.csv", "a,b\n" + "x,y\n" * before + bad + "\nx,y\n"))
    assert engine.keys("workflow=w/run=") == []


@pytest.mark.parametrize(
    ("ids", "where"),
    [
        (["b", "a", "a", "a"], "'a' stands in the rows 2 and 3"),
        (["a", None, None], "is missing in row 2"),
        (["a", ""], "is missing in row 2"),
    ],
)
def test_row_ids_are_unique_and_there_in_every_row(engine: Engine, ids: list[str | None], where: str) -> None:
    with pytest.raises(InvalidInput, match=f"row id field id .*{where}"):
        engine.publish_rows([{"id": value} for value in ids], row_id="id")
    assert engine.keys("workflow=w/run=") == []


def test_an_unknown_row_id_field_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="'other'"):
        engine.publish_rows([{"id": "a"}], row_id="other")


@pytest.mark.parametrize("run", ["", "a/b", "..", "-a", "a" * 129, "a b"])
def test_an_id_outside_the_grammar_is_refused(engine: Engine, run: str) -> None:
    with pytest.raises(InvalidInput):
        engine.publish(engine.write_json([{"a": 1}]), run=run)
    assert engine.keys() == []


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_run_without_rows_exports_its_columns(engine: Engine, kind: str) -> None:
    if kind == "csv":
        engine.publish(engine.write("rows.csv", "a,b\n"))
    else:
        engine.publish(engine.write("rows.json", "[]"), schema=engine.write_schema(a="STRING", b="STRING"))
    for exported in (engine.exporter(), engine.exporter(threads=4, range_bytes=1)):
        assert engine.export_bytes("csv", exported) == b'"a","b"\n'
        assert engine.export_bytes("json", exported) == b"[]"
        assert engine.export_bytes("csv", exported, sort_by="b") == b'"a","b"\n'
        assert engine.export_rows(exported, row_ids=["x"]) == []
    table = pyarrow.parquet.read_table(io.BytesIO(engine.export_bytes("parquet")))
    assert (table.num_rows, table.column_names) == (0, ["a", "b"])


def test_a_run_of_nothing_at_all_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidInput):
        engine.publish(engine.write("rows.json", "[]"))


@pytest.mark.parametrize("state", [state for state in State if state is not State.FINISHED])
def test_only_a_finished_run_is_resolved(engine: Engine, state: State) -> None:
    engine.publish_rows([{"a": 1}], state=state)
    for run in (None, "r"):
        with pytest.raises(NotFound):
            engine.results.resolve(WORKFLOW, run, TEAM)


def test_the_latest_run_is_the_one_executed_last(engine: Engine) -> None:
    for run, days in (("second", 2), ("third", 3), ("first", 1)):
        engine.publish_rows([{"is": run}], run=run, executed_at=NOW + timedelta(days=days))
    engine.publish_rows([{"is": "failed"}], run="failed", executed_at=NOW + timedelta(days=9), state=State.FAILED)
    assert engine.export_rows() == [{"is": "third"}]
    assert engine.export_rows(run="first") == [{"is": "first"}]


@pytest.mark.parametrize("row", [1, 2, 2049, 3999, 4001, 6123, 12_000, 19_999])
def test_a_value_that_does_not_fit_is_told_with_its_row(engine: Engine, row: int) -> None:
    cells = [["x", str(number)] for number in range(20_000)]
    cells[row - 1][1] = "nine"
    file = engine.write_csv(["a", "n"], cells)
    with pytest.raises(InvalidInput, match=rf"in row {row:,} and column 'n': .*n is NUMBER"):
        engine.publish(file, schema=engine.write_schema(a="STRING", n="NUMBER"))
    assert engine.keys() == []


@pytest.mark.parametrize("column", [0, 1, 2, 3, 4])
def test_a_value_that_does_not_fit_is_told_with_its_column(engine: Engine, column: int) -> None:
    """DuckDB names neither row nor column of a date that does not exist."""
    names = ["a", "b c", 'd"e', "f", "g"]
    cells = [["2024-01-02"] * 5 for _ in range(3)]
    cells[1][column] = "2024-02-30"
    schema = engine.write_schema(**dict.fromkeys(names, "DATE"))
    with pytest.raises(InvalidInput) as refused:
        engine.publish(engine.write_csv(names, cells), schema=schema)
    assert f"in row 2 and column {names[column]!r}: " in refused.value.message


def test_wide_rows_of_a_parquet_file_have_small_row_groups(engine: Engine) -> None:
    """A page of a row group is in memory as a whole whenever it is read."""
    table = pa.table({"text": [f"{number}{'x' * 12_000}" for number in range(2_100)]})
    run = engine.publish(engine.write_parquet(table))
    assert [group.rows for part in run.parts for group in part.row_groups] == [2_048, 52]
    table = pa.table({"text": [f"{number}" * 10_000_000 for number in range(3)]})
    pyarrow.parquet.write_table(table, engine.folder / "long.parquet", row_group_size=1)
    run = engine.publish(engine.folder / "long.parquet", run="long")
    assert [group.rows for part in run.parts for group in part.row_groups] == [2, 1]
