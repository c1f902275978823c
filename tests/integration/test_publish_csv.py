"""CSV files: what is read without a word, what is said, what is refused with the option that helps, and the types."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.catalog.manifest import Run
from engine.errors import InvalidInput
from engine.publishing.csv.header import read_header
from engine.publishing.options import ReadOptions
from engine.publishing.publisher import Publication
from engine.publishing.schema_file import schema_document
from tests.helpers.cells import formats_of
from tests.helpers.engine import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def stored_types(engine: Engine, content: str, run: str = "r", **options: Any) -> dict[str, str]:
    """The types by field, after publishing."""
    return types_of(engine.publish(engine.write("rows.csv", content), run=run, **options))


def types_of(run: Run) -> dict[str, str]:
    """The types by field."""
    return {field.name: field.type.sql() for field in run.table.delivered}


EXACT: dict[str, tuple[str | bytes, list[list[str | None]]]] = {
    "number signs": ("id,n\n1,#N/A\n2,5\n#N/A,3\n", [["id", "n"], ["1", "#N/A"], ["2", "5"], ["#N/A", "3"]]),
    "a header that begins with a number sign": ("#id,n\n1,x\n", [["#id", "n"], ["1", "x"]]),
    "blank lines before the header": ("\n\na,b\n1,2\n", [["a", "b"], ["1", "2"]]),
    "more blank lines than are held in memory": ("\r\n" * 1_100 + "a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]),
    "names that differ by a blank": ('"a","a "\n1,2', [["a", "a "], ["1", "2"]]),
    "a byte order mark before a quote": (b'\xef\xbb\xbf"a,x",b\n1,2\n', [["a,x", "b"], ["1", "2"]]),
    "blanks beside quotes": ('a,b\n "x", "y"\n', [["a", "b"], [' "x"', ' "y"']]),
    "old line ends": ("a,b\r1,x\r\r2,y", [["a", "b"], ["1", "x"], ["2", "y"]]),
    "mixed line ends": ('a,b\r\n1,"x\ny"\n2,"x\r\ny"\r3,z', [["a", "b"], ["1", "x\ny"], ["2", "x\r\ny"], ["3", "z"]]),
    "blank lines in one column": ("a\n\nx\n\n", [["a"], [None], ["x"], [None]]),
    "names without text": (",b,\n1,2,3\n", [["column_1", "b", "column_3"], ["1", "2", "3"]]),
    "semicolons": ("a;b\n1;2\n", [["a", "b"], ["1", "2"]]),
    "a cell of 3 MB": (f"a,b\n1,{'x' * 3_000_000}\n", [["a", "b"], ["1", "x" * 3_000_000]]),
    "a header of two lines": ('"a\nb",c\n1,2\n', [["a\nb", "c"], ["1", "2"]]),
    "CRLF in a cell of UTF-16 with LF": ('a\n"x\r\ny"\n'.encode("utf-16"), [["a"], ["x\r\ny"]]),
    "CRLF in a cell of CRLF": ('a\r\n"x\r\ny"\r\n', [["a"], ["x\r\ny"]]),
    "UTF-16": ("a,b\né,2\n".encode("utf-16"), [["a", "b"], ["é", "2"]]),
    "a line that states the delimiter": ("sep=;\na;b\n1,5;2\n", [["a", "b"], ["1,5", "2"]]),
    "that line in UTF-16 with CRLF": ("sep=,\r\na,b\r\n1,2\r\n".encode("utf-16"), [["a", "b"], ["1", "2"]]),
    "a header that begins like it": ("sep=,b\n1,2\n", [["sep=", "b"], ["1", "2"]]),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_file_is_published_as_it_is(engine: Engine, name: str) -> None:
    content, wanted = EXACT[name]
    engine.publish(engine.write("rows.csv", content))
    formats = formats_of(engine)
    assert formats["json"] == wanted
    assert formats["parquet"] == wanted


REFUSED: dict[str, tuple[str | bytes, dict[str, Any], str, dict[str, Any]]] = {
    "another encoding": ("a,b\n1,é\n".encode("latin-1"), {}, "line 2: .* --encoding cp1252", {"encoding": "cp1252"}),
    "UTF-16 without its mark": (
        "a,b\n1,2\n".encode("utf-16-le"),
        {},
        "line 1: .* NUL .* --encoding utf-16-le",
        {"encoding": "utf-16-le"},
    ),
    "letters in UTF-16 without its mark": (
        "a,b\n1,é\n".encode("utf-16-be"),
        {"encoding": "utf-16"},
        "--encoding utf-16-be can read it",
        {"encoding": "utf-16-be"},
    ),
    "a short row": (
        "a,b\n1\n",
        {},
        "line 2: 1 cell where the header .* 2.* --pad-short-rows",
        {"pad_short_rows": True},
    ),
    "another delimiter": ("a;b\n1\n2;3;4\n", {}, "--delimiter ','", {"delimiter": ","}),
    "a preamble": ("made by x\n\na,b\n1,2\n3,4\n", {}, "line 3: .* --skip-lines 2", {"skip_lines": 2}),
    "a separator that cannot be seen": (
        "a\1b\n1\0012\n",
        {},
        r"line 1: the header has the control character '\\x01'.*--delimiter \$'\\x01'",
        {"delimiter": "\1"},
    ),
    "escaped quotes": ('a,b\n1,"x\\"y"\n', {}, "line 2: .* --escape", {"escape": "\\"}),
    "one name twice": ("a,b,A\n1,2,3\n", {}, "--rename-duplicates", {"rename_duplicates": True}),
    "tabs beside commas in cells": (
        "name\tcity, state\tn\nx\tDenver, CO\t5\ny\tReno, NV\t6\n",
        {},
        r"each row has the tab as often .*--delimiter \$'\\t' or --delimiter ','",
        {"delimiter": "\t"},
    ),
    "semicolons beside decimal commas": (
        "name;price, EUR;n\nx;1,5;3\n",
        {},
        "each row has the semicolon as often .*--delimiter ';' or --delimiter ','",
        {"delimiter": ";"},
    ),
    "a delimiter in a shell's spelling": (
        "a\tb\n1\t2\n",
        {"delimiter": "\\t"},
        r"--delimiter is one character, .* \(a tab is \$'\\t'\)",
        {"delimiter": "\t"},
    ),
    "an encoding with halves of surrogate pairs": (
        b"a,b\n+2AA-,x\n",
        {"encoding": "utf-7"},
        "Unknown encoding 'utf-7': use utf-8",
        {"encoding": "latin-1"},
    ),
    "an internal name": ("_a,b\n1,2\n", {}, "--rename _a=NEW", {"rename": {"_a": "a"}}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_option_that_helps(engine: Engine, name: str) -> None:
    content, options, message, helping = REFUSED[name]
    file = engine.write("rows.csv", content)
    with pytest.raises(InvalidInput, match=message):
        engine.publish(file, options=ReadOptions(**options))
    assert engine.keys("workflow=w/run=") == []
    assert engine.publish(file, options=ReadOptions(**{**options, **helping})).rows > 0


@pytest.mark.parametrize(
    ("content", "options", "wanted"),
    [
        ("id,NA\n1,NA\n2,x\n", {"null": "NA"}, [["id", "NA"], ["1", None], ["2", "x"]]),
        ("a\0b\n1\x002\n", {"delimiter": "\0"}, [["a", "b"], ["1", "2"]]),
        ("a,b|c\nx,y|z\n", {"delimiter": ","}, [["a", "b|c"], ["x", "y|z"]]),
    ],
    ids=["a null text as a name", "a delimiter that is NUL", "another delimiter in cells"],
)
def test_a_file_is_published_as_it_is_with_options(
    engine: Engine, content: str, options: dict[str, Any], wanted: list[list[str | None]]
) -> None:
    engine.publish(engine.write("rows.csv", content), options=ReadOptions(**options))
    formats = formats_of(engine)
    assert formats["json"] == wanted
    assert formats["parquet"] == wanted


def test_the_first_rows_that_are_held_in_memory_are_bounded_by_their_size(engine: Engine) -> None:
    file = engine.write("rows.csv", "a,b\n" + f"1,{'x' * 1_000_000}\n" * 20)
    sample = read_header(file, ReadOptions()).sample
    assert 1 <= len(sample) <= 5
    assert engine.publish(file).rows == 20


def test_a_quote_that_is_never_closed_takes_no_more_memory_than_the_text_after_it(engine: Engine) -> None:
    text = 'a,b\n1,"x\n' + "2,y\n" * 200_000
    file = engine.write("rows.csv", text)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match="line 2: a quote is opened and never closed"):
            read_header(file, ReadOptions())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('a,b\n1,"x\n2,y\n', "rows.csv, line 2: a quote is opened and never closed"),
        ("a,b\n1,2,\n", "rows.csv, line 2: 3 cells where the header in line 1 has 2"),
        ("\n\n", "has no header"),
        ('"x","y"\n"r1",1,2\n"r2",3,4\n', "line 2: 3 cells .* header in line 1 has 2 .*: name the first column"),
        (
            ",".join("n" * 10_001) + "," + "n" * 5_000_000 + "\n1\n",
            "rows.csv, line 1: the row has more than 10,000 cells",
        ),
        ("a,b\n1,2,3\n", "line 2: 3 cells .* A cell that holds the delimiter has to be in quotes"),
        ("a\n1\n" + '"x",' * 10_001, "rows.csv, line 3: the row has more than 10,000 cells"),
        ("<!DOCTYPE html>\n<html>\n<p>x\n", "rows.csv is an HTML page"),
        ("a,b\n1,é\n".encode("utf-16")[:-1], "line 2: the byte 0x0A is not utf-16. .* with --encoding.$"),
        ("a,b\n" + "x,y\n" * 70_000 + "1,2,3\n", "rows.csv, line 70,002: 3 cells"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(engine: Engine, content: str | bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        engine.publish(engine.write("rows.csv", content))


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_columns_of_other_kinds_are_renamed(engine: Engine, kind: str) -> None:
    import pyarrow as pa

    rows: list[dict[str, object]] = [{"_a": 1, "b": "x"}]
    file = engine.write_json(rows) if kind == "json" else engine.write_parquet(pa.Table.from_pylist(rows))
    with pytest.raises(InvalidInput, match="--rename _a=NEW"):
        engine.publish(file)
    engine.publish(file, options=ReadOptions(rename={"_a": "a"}))
    assert engine.export_rows() == [{"a": 1, "b": "x"}]
    with pytest.raises(InvalidInput, match="no column 'z'"):
        engine.publish(file, run="s", options=ReadOptions(rename={"z": "a", "_a": "c"}))


LATE = 5_000
"""Rows before the one that decides: more than the first rows that are looked at."""

TYPES: dict[str, tuple[list[str], str, str]] = {
    "integers": (["1", "-5"], "9223372036854775807", "BIGINT"),
    "an integer too large": (["1"], "9223372036854775808", "VARCHAR"),
    "a zero before": (["1"], "01", "VARCHAR"),
    "minus zero": (["0.5"], "-0.0", "VARCHAR"),
    "decimals": (["1.50"], "20.25", "DECIMAL(18,2)"),
    "long decimals": (["1.50"], "12345678901234567890.25", "DECIMAL(38,2)"),
    "decimals that are doubles": (["1.5"], "2.25", "DOUBLE"),
    "decimals of two scales": (["1.50"], "2.5", "VARCHAR"),
    "no number": (["0.5", "1.25"], "NaN", "VARCHAR"),
    "booleans": (["true"], "false", "BOOLEAN"),
    "a boolean in capitals": (["true"], "TRUE", "VARCHAR"),
    "dates": (["2026-01-31"], "0001-01-01", "DATE"),
    "a date that there is not": (["2026-01-31"], "2026-02-30", "VARCHAR"),
    "moments": (["2026-01-31T10:00:00Z"], "2026-01-31T10:00:00.5Z", "TIMESTAMP WITH TIME ZONE"),
    "a moment with an offset": (["2026-01-31T10:00:00Z"], "2026-01-31T10:00:00+01:00", "VARCHAR"),
    "a date of one digit": (["2026-01-31"], "2026-1-05", "VARCHAR"),
    "a date with a blank": (["2026-01-31"], " 026-01-05", "VARCHAR"),
    "a date of the year 0": (["2026-01-31"], "0000-01-01", "VARCHAR"),
    "a moment at the hour 24": (["2026-01-31T10:00:00Z"], "2026-01-31T24:00:00Z", "VARCHAR"),
    "a moment in the hour 23": (["2026-01-31T10:00:00Z"], "2026-01-31T23:59:59Z", "TIMESTAMP WITH TIME ZONE"),
    "a moment of the year 0": (["2026-01-31T10:00:00Z"], "0000-01-01T00:00:00Z", "VARCHAR"),
    "a moment that there is not": (["2026-01-31T10:00:00Z"], "2026-02-30T00:00:00Z", "VARCHAR"),
    "a fraction with a zero at its end": (["2026-01-31T10:00:00Z"], "2026-01-31T10:00:00.50Z", "VARCHAR"),
    "a double with a zero at its end": (["0.5", "1.25"], "0.10", "VARCHAR"),
    "a quoted empty cell": (["1", ""], '""', "VARCHAR"),
    "only nulls, and a number": ([""], "7", "BIGINT"),
    "only nulls": ([""], "", "VARCHAR"),
}


@pytest.mark.parametrize("name", TYPES)
def test_all_rows_decide_on_a_type_that_keeps_every_cell(engine: Engine, name: str) -> None:
    first, last, wanted = TYPES[name]
    cells = [first[number % len(first)] for number in range(LATE)] + [last]
    content = "n,cell\n" + "".join(f"x,{cell}\n" for cell in cells)
    assert stored_types(engine, content)["cell"] == wanted
    # Names of columns whose cells may be quoted are quoted.
    cell = '"cell"' if wanted == "VARCHAR" else "cell"
    assert engine.export_bytes("csv").decode() == content.replace("n,cell", f'"n",{cell}', 1)
    assert stored_types(engine, content, "text", options=ReadOptions(types="text"))["cell"] == "VARCHAR"
    assert engine.export_bytes("csv", run="text").decode() == content.replace("n,cell", '"n","cell"', 1)


def test_the_next_run_starts_from_the_types_of_the_run_before(engine: Engine) -> None:
    def publish(content: str, run: str) -> tuple[dict[str, str], tuple[str, ...]]:
        published = engine.publish(engine.write("rows.csv", content), run=run)
        return types_of(published), published.notes

    before, notes = publish("sku,price,stock\n0123,1.50,7\n", "first")
    assert (before, notes) == ({"sku": "VARCHAR", "price": "DECIMAL(18,2)", "stock": "BIGINT"}, ())
    # A column of text stays text, and one without cells keeps its type; neither is a change.
    assert publish("sku,price,stock\n123,2.25,\n", "second") == (before, ())
    changed, notes = publish("sku,price,stock\n1,free,5\n", "third")
    assert changed == {**before, "price": "VARCHAR"}
    assert len(notes) == 1
    assert "price was DECIMAL(18,2) in the run before and is VARCHAR now" in notes[0]


def test_a_trial_publishes_nothing_and_its_schema_gives_the_same_types(engine: Engine) -> None:
    file = engine.write("rows.csv", "a,b,c\n1,2.50,x\n3,4.75,\n")
    trial = engine.publisher.try_out(Publication("w", "r", (file,), team="acme"))
    assert (trial.rows, engine.keys()) == (2, [])
    schema = engine.write("schema.json", schema_document(trial.fields))
    assert [field.get("type") for field in json.loads(schema.read_text())["fields"]] == [
        "BIGINT",
        "DECIMAL(18,2)",
        None,
    ]
    engine.publish(file, schema=schema)
    assert engine.export_bytes("csv") == file.read_bytes().replace(b"c", b'"c"', 1)
    with pytest.raises(InvalidInput, match="b is NUMBER"):
        engine.publish(engine.write("rows.csv", "a,b,c\n1,2.505,x\n"), run="s", schema=schema)


def test_hundreds_of_declared_numbers_are_published(engine: Engine) -> None:
    names = [f"n{number}" for number in range(501)]
    rows = [[f"{row}.5"] * len(names) for row in range(3)]
    schema = engine.write_schema(**dict.fromkeys(names, "NUMBER"))
    published = engine.publish(engine.write_csv(names, rows), schema=schema)
    assert {field.type.sql() for field in published.table.delivered} == {"DOUBLE"}
    assert [[*map(str, row.values())] for row in engine.export_rows()] == rows


def test_a_quoted_empty_cell_of_a_declared_scalar_is_null(engine: Engine) -> None:
    types = {"t": "STRING", "n": "NUMBER", "d": "DATE", "m": "DATETIME", "b": "BOOLEAN"}
    first = engine.write("first.csv", 't,n,d,m,b\n"","","","",""\n,,,,\n')
    # The columns of another file, in another order.
    second = engine.write("second.csv", 'b,t,n\n"","",""\ntrue,x,1.5\n')
    engine.publish(first, second, schema=engine.write_schema(**types))
    nulls = dict.fromkeys(types)
    assert engine.export_rows() == [
        nulls | {"t": ""},
        nulls,
        nulls | {"t": ""},
        nulls | {"t": "x", "n": 1.5, "b": True},
    ]


@pytest.mark.parametrize(
    ("declared", "usual", "cell", "value"),
    [
        ("NUMBER", "1.5", "1e5", 1e5),
        ("NUMBER", "1.5", '""', None),
        ("NUMBER", "1.5", "9007199254740993", "a is NUMBER"),
        ("DATE", "2026-01-31", '""', None),
        ("DATE", "2026-01-31", "2026-02-30", "a is DATE|date field value out of range"),
        ("DATETIME", "2026-01-31T10:04:05Z", "2026-01-31", "2026-01-31T00:00:00Z"),
    ],
)
def test_a_declared_cell_of_another_form_after_the_first_rows_is_read_or_refused(
    engine: Engine, declared: str, usual: str, cell: str, value: object
) -> None:
    file = engine.write("rows.csv", f"a,b\n{f'{usual},1{chr(10)}' * 9_000}{cell},2\n")
    schema = engine.write_schema(a=declared, b="STRING")
    if isinstance(value, str) and "is" in value:
        with pytest.raises(InvalidInput, match=value) as refused:
            engine.publish(file, schema=schema)
        assert "in row 9,001" in refused.value.message
        return
    engine.publish(file, schema=schema)
    assert engine.export_rows()[-1] == {"a": value, "b": "2"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_rows_are_whole_wherever_a_chunk_ends(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, end: str, size: int
) -> None:
    monkeypatch.setattr("engine.publishing.csv.rows._MOST_BYTES", size)
    monkeypatch.setattr("engine.publishing.csv.files.rewrite", None)
    cells = [f'\ufeffline "{number}"{end}{end},\n{"x" * (number % 50)}' for number in range(60)]
    lines = [f'"{cell.replace(chr(34), chr(34) * 2)}",{number},' for number, cell in enumerate(cells)]
    lines[20:20] = [""]
    engine.publish(engine.write("rows.csv", ("a,b,c\n" + end.join(lines)).encode()))
    assert formats_of(engine)["json"] == [["a", "b", "c"], *([cell, str(n), None] for n, cell in enumerate(cells))]


@pytest.mark.parametrize("row", ['2,"x"y', '2,"x" ', '"x"y,2', '2,"x""y"z', '2,""x', '2,"x\n"y', '2,12",",a"b', '2,"x'])
def test_text_after_a_quoted_cell_is_refused_wherever_a_chunk_ends(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    for size in (1, 4, 100):
        monkeypatch.setattr("engine.publishing.csv.rows._MOST_BYTES", size)
        with pytest.raises(InvalidInput, match=r"rows.csv, line [34]: "):
            engine.publish(engine.write("rows.csv", f"a,b\n1,x\n{row}\n"))


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_what_ends_the_reading_is_not_taken_for_a_fault_of_the_file(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]
) -> None:
    def batches(*_: object) -> Iterator[Any]:
        raise failure
        yield

    monkeypatch.setattr("engine.publishing.csv.files.batches", batches)
    with pytest.raises(failure):
        engine.publish(engine.write("rows.csv", "a,b\n1,2\n"))


def test_a_row_of_another_width_is_refused_after_a_cell_of_another_type(engine: Engine) -> None:
    """Both are beyond the first rows, from which types are expected, and the row is in another chunk than the cell."""
    content = "n,m\n" + "1,2\n" * 2_000 + "x,2\n" + "1,2\n" * 100_000 + "1\n"
    with pytest.raises(InvalidInput, match="line 102,003: 1 cell where the header"):
        engine.publish(engine.write("rows.csv", content))


def test_a_late_text_among_five_hundred_columns_of_numbers_is_found(engine: Engine) -> None:
    """Their types are decided by all rows, and by 500 columns in one statement."""
    cells = [[str(row + column) for column in range(501)] for row in range(250)]
    cells[-1][-1] = "x"
    run = engine.publish(engine.write_csv([f"c{column}" for column in range(501)], cells))
    assert [*types_of(run).values()] == ["BIGINT"] * 500 + ["VARCHAR"]
