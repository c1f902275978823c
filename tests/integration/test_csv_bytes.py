"""CSV files byte for byte, quoted by rules that are written here in plain Python."""

import csv
import io
import json
import math
import random
import re
import struct
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pytest

from engine.request.formats import DELIMITERS
from engine.request.request import CsvOptions
from tests.helpers.engine import Engine
from tests.helpers.format_oracle import scan_csv

NASTY = ["", " ", "a b", "é", "💰", "\u2028", "'", "\\", "null", "NULL", "=1", *map(chr, range(1, 128))]
NASTY += [f"a{chr(number)}b" for number in range(1, 128)] + ['"', '""', '"a"', 'a""b', '",', "a,b;c\td#e\r\nf"]


def quoted(text: str | None, delimiter: str) -> str:
    """A cell: a null is empty, an empty string is two quotes, other text is quoted only if necessary."""
    if text is None:
        return ""
    if text == "" or any(character in text for character in f'{delimiter}"#\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def compact(value: object) -> str:
    """A value as JSON without spaces and with upper-case escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub(r"\\u00([01][0-9a-f])", lambda found: f"\\u00{found[1].upper()}", text)


def exported(folder: Path, table: pa.Table, **options: Any) -> str:
    """The file of a table."""
    engine = Engine(folder)
    engine.publish(engine.write_parquet(table))
    return engine.export_bytes("csv", csv_options=CsvOptions(**options)).decode()


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_text_is_quoted_only_if_necessary(tmp_path: Path, delimiter: str) -> None:
    texts: list[str | None] = [*NASTY, None]
    mark = DELIMITERS[delimiter]
    found = exported(tmp_path, pa.table({"n": range(len(texts)), "x": pa.array(texts)}), delimiter=delimiter)
    assert found == f'n{mark}"x"\n' + "".join(f"{n}{mark}{quoted(text, mark)}\n" for n, text in enumerate(texts))


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_names_of_columns_that_never_have_quotes_are_quoted_only_if_necessary(tmp_path: Path, delimiter: str) -> None:
    names = [text for text in dict.fromkeys(NASTY) if text.strip() and text.lower() == text and text[0] != "_"]
    mark = DELIMITERS[delimiter]
    table = pa.table([pa.array([number]) for number in range(len(names))], names=names)
    assert (
        exported(tmp_path, table, delimiter=delimiter).encode()
        == (
            mark.join(quoted(name, mark) for name in names) + "\n" + mark.join(map(str, range(len(names)))) + "\n"
        ).encode()
    )


@pytest.mark.parametrize("kind", ["text", "bytes", "object"])
def test_a_single_column_has_no_empty_lines(tmp_path: Path, kind: str) -> None:
    arrays = {
        "text": (pa.array(["", None, "a,b"]), ['""', '""', '"a,b"']),
        "bytes": (pa.array([b"", None, b"a"]), ['""', '""', "YQ=="]),
        "object": (pa.array([{"a": None}, None]), ['"{""a"":null}"', '""']),
    }
    array, lines = arrays[kind]
    assert exported(tmp_path, pa.table({"x": array})) == "\n".join(['"x"', *lines, ""])


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_nested_values_are_json_in_a_cell(tmp_path: Path, delimiter: str) -> None:
    names = ["plain", 'a "b"', "a,b;\t#", "\n", "\\", "é"]
    kind = pa.struct([(name, pa.string()) for name in names])
    deep = pa.struct([("t", kind), ("l", pa.list_(pa.string())), ("n", pa.int64()), ("b", pa.bool_())])
    rows: list[dict[str, object] | None] = [None, {"t": None, "l": None, "n": None, "b": None}]
    for text in NASTY:
        inner = dict.fromkeys(names, text) | {"plain": None}
        rows.append({"t": inner, "l": [text, None, ""], "n": -(2**63), "b": True})
    mark = DELIMITERS[delimiter]
    lists = [None if row is None else row["l"] for row in rows]
    table = pa.table({"n": range(len(rows)), "x": pa.array(rows, deep), "y": pa.array(lists, pa.list_(pa.string()))})
    lines = [
        mark.join([str(n), *(quoted(None if cell is None else compact(cell), mark) for cell in (row, lists[n]))])
        for n, row in enumerate(rows)
    ]
    assert exported(tmp_path, table, delimiter=delimiter) == "\n".join([mark.join(["n", '"x"', '"y"']), *lines, ""])


def test_a_list_of_one_number_is_not_quoted(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2, 3], "x": pa.array([[1], [], [1, 2]], pa.list_(pa.int8()))})
    assert exported(tmp_path, table, delimiter="comma") == 'n,"x"\n1,[1]\n2,[]\n3,"[1,2]"\n'


def test_guarded_text_is_quoted_after_the_guard(tmp_path: Path) -> None:
    table = pa.table({"n": [1, 2, 3, 4], "=x": pa.array(["=1", "=A,1", "-2", '@"'])})
    assert exported(tmp_path, table, formula_guard=True) == 'n,"\'=x"\n1,\'=1\n2,"\'=A,1"\n3,-2\n4,"\'@"""\n'


LATE: dict[str, str] = {
    "comma": "a, b",
    "quotes": 'a "b", c',
    "line end": "a\nb",
    "semicolon": "a; 'b', c",
    "hash": "# a",
    "empty": "",
}


@pytest.mark.parametrize(
    ("text", "columns"),
    [*((text, ["n", "x"]) for text in LATE), ("comma", ["x"]), ("line end", ["x"]), ("quotes", ["x", "y"])],
)
def test_readers_see_quotes_that_come_late(tmp_path: Path, text: str, columns: list[str]) -> None:
    """DuckDB and others decide by the first rows whether a file has quotes: DuckDB by 20,480, the others by fewer."""
    count, late = 50_000, 40_000
    texts = ["it's plain"] * count
    texts[late] = LATE[text]
    path = tmp_path / "late.csv"
    table = pa.table({name: range(count) if name == "n" else texts for name in columns})
    content = exported(tmp_path / "engine", table)
    path.write_text(content, newline="")
    index = columns.index("x")
    relation = duckdb.sql(f"FROM read_csv('{path}')")
    assert relation.columns == columns
    assert [row[index] or "" for row in relation.fetchall()] == texts
    assert pl.read_csv(path)["x"].to_list() == texts
    assert pd.read_csv(path, keep_default_na=False)["x"].tolist() == texts
    header, *lines = csv.reader(io.StringIO(content, newline=""), strict=True)
    assert header == columns
    assert [line[index] for line in lines] == texts
    assert [cell.text for cell in scan_csv(content.encode())[late + 1]][index] == LATE[text]


def doubles() -> list[float]:
    """Any bits, any size, whole numbers, and the neighbours of where another spelling begins."""
    draw = random.Random(7)
    found = [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(20_000)]
    found += [draw.uniform(-1, 1) * 10 ** draw.uniform(-7, 19) for _ in range(40_000)]
    found += [round(draw.uniform(-1, 1) * 10 ** draw.uniform(0, 16), draw.randrange(4)) for _ in range(20_000)]
    for value in (1e-5, 1e-4, 1e15, 1e16, 2.0**53, 1.0, 0.0, 5e-324, 1.7976931348623157e308):
        found += [value, -value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf)]
    return [*found, math.inf, -math.inf, math.nan]


def _spelled(value: float) -> str:
    """The shortest digits that read as the same number, as Python has them."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def test_a_double_has_its_shortest_digits(tmp_path: Path) -> None:
    values = doubles()
    found = exported(tmp_path, pa.table({"n": range(len(values)), "x": pa.array(values)})).splitlines()[1:]
    assert found == [f"{n},{_spelled(value)}" for n, value in enumerate(values)]
