"""Exports as xlsx: cells of every type, text of every kind, limits, and the same bytes for any division of the work."""

import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import openpyxl  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from openpyxl.utils.escape import unescape  # type: ignore[import-untyped]

from engine.errors import InvalidRequest
from engine.request.formats import FORMATS
from engine.stores.block_stream import BlockStream
from tests.helpers.engine import Engine, entry
from tests.helpers.sheets import EMPTY, PARTS, SheetCell, agrees, read_sheet
from tests.helpers.thread_pool import ThreadPool

CELLS = 2_000
_WORDS = [
    "plain",
    "",
    " ",
    "=1+1",
    "\u00fc\u20ac",
    "\U0001f600",
    "<b>&amp;</b>",
    "]]>",
    "a\r\nb",
    "\t",
    "_x000D_",
    "_x41_",
    "\x00\x1f",
]


def _moment(chance: Random) -> datetime:
    years = chance.choice([(1, 1899), (1900, 1900), (1901, 9999)])
    day = datetime(chance.randint(*years), chance.randint(1, 12), chance.randint(1, 28), tzinfo=UTC)
    fraction = chance.choice([0, 1_000 * chance.randrange(1000), chance.randrange(10**6)])
    return day + timedelta(seconds=chance.randrange(86_400), microseconds=fraction)


def _decimal(chance: Random, digits: int, scale: int) -> Decimal:
    return Decimal(f"{chance.randint(-(10**digits) + 1, 10**digits - 1)}e-{scale}")


def _integer(chance: Random, bits: int) -> int:
    return chance.choice([chance.randint(-(2**bits), 2**bits - 1), 10**15 - 1, -(10**15), chance.randrange(100)])


MAKERS: dict[str, tuple[Any, Any]] = {
    "bigint": (pa.int64(), lambda chance: _integer(chance, 63)),
    "ubigint": (pa.uint64(), lambda chance: abs(_integer(chance, 63)) * 2),
    "integer": (pa.int32(), lambda chance: chance.randint(-(2**31), 2**31 - 1)),
    "decimal": (pa.decimal128(38, 10), lambda chance: _decimal(chance, chance.choice([5, 15, 16, 30]), 10)),
    "whole": (pa.decimal128(38, 0), lambda chance: _decimal(chance, chance.choice([15, 16, 38]), 0)),
    "share": (pa.decimal128(9, 9), lambda chance: _decimal(chance, 9, 9)),
    "double": (
        pa.float64(),
        lambda chance: chance.choice(
            [chance.gauss(0, 1e5), 0.1, -0.0, 1e300, 5e-324, float("nan"), float("inf"), float("-inf")]
        ),
    ),
    "boolean": (pa.bool_(), lambda chance: chance.random() < 0.5),
    "day": (pa.date32(), lambda chance: _moment(chance).date()),
    "moment": (pa.timestamp("us", "UTC"), _moment),
    "time": (pa.time64("us"), lambda chance: time(chance.randrange(24), 5, 6, chance.randrange(10**6))),
    "text": (pa.string(), lambda chance: "".join(chance.choices(_WORDS, k=chance.randrange(4)))),
    "binary": (pa.binary(), lambda chance: chance.randbytes(chance.randrange(9))),
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, list[dict[str, Any]]]:
    """A run with cells of every type; a tenth of them are null."""
    chance = Random(7)
    rows = [
        {name: None if chance.random() < 0.1 else make(chance) for name, (_, make) in MAKERS.items()}
        for _ in range(CELLS // len(MAKERS) + 1)
    ]
    engine = Engine(tmp_path_factory.mktemp("generated"))
    schema = pa.schema([(name, arrow) for name, (arrow, _) in MAKERS.items()])
    engine.publish(engine.write_parquet(pa.Table.from_pylist(rows, schema)))
    return engine, rows


def test_openpyxl_reads_each_cell_as_it_was_published(generated: tuple[Engine, list[dict[str, Any]]]) -> None:
    engine, rows = generated
    header, *found = _by_openpyxl(engine.export_bytes("xlsx"))
    assert header == list(MAKERS)
    assert len(found) == len(rows)
    wrong = [
        f"{name}: {cell!r} for {value!r}"
        for row, cells in zip(rows, found, strict=True)
        for (name, value), cell in zip(row.items(), cells, strict=True)
        if not _read_as(value, cell)
    ]
    assert wrong == []


def _by_openpyxl(content: bytes) -> list[list[Any]]:
    """Each row of the only sheet; openpyxl leaves escaped characters to its caller."""
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
    assert book.sheetnames == ["Sheet1"]
    rows = [[unescape(cell) if isinstance(cell, str) else cell for cell in row] for row in book["Sheet1"].values]
    book.close()
    return rows


def _read_as(value: Any, cell: Any) -> bool:
    """Whether openpyxl's value is the published one, or its text where a cell cannot hold it."""
    match value:
        case bool() | None:
            return cell is value
        case int() | Decimal() if isinstance(cell, str):
            return str(cell) == format(value, "f" if isinstance(value, Decimal) else "d") and len(cell) > 15
        case int() | Decimal() | float() if isinstance(cell, int | float):
            return float(cell) == float(value)
        case datetime() if isinstance(cell, datetime):
            return cell.replace(tzinfo=UTC) == value
        case date() if isinstance(cell, datetime):
            return cell.date() == value and cell.time() == time()
    return isinstance(cell, str) and agrees(value, SheetCell("s", cell))


def test_each_cell_has_the_kind_that_the_rules_give(generated: tuple[Engine, list[dict[str, Any]]]) -> None:
    engine, rows = generated
    _, *cells = read_sheet(engine.export_bytes("xlsx"))
    wrong = [
        (name, value, cell)
        for row, line in zip(rows, cells, strict=True)
        for (name, value), cell in zip(row.items(), line, strict=True)
        if not agrees(value, cell)
    ]
    assert wrong == []


TEXTS = [
    "",
    " ",
    " a",
    "a ",
    "\ta",
    "a\n",
    "a\r\nb\rc",
    "=SUM(A1:A9)",
    "+1",
    "'quoted",
    "00123",
    "1e5",
    "true",
    '<a href="x">&amp; ]]></a>',
    "_x000D_",
    "_x000d_",
    "_x0041_x0042_",
    "_x005F_",
    "_X0041_",
    "_x41_ x_y _x00411_",
    "_x0041\x01",
    "_x0041\r",
    "_x0041\ufffe_x",
    "\x01x0041_",
    "".join(map(chr, range(1, 32))) + "\x7f\x80\x85\u2028\ufdd0\ufffd\ufffe\uffff",
    "\U0001f600\U0010ffff e\u0301",
]
"""Text that XML, the escape of the format or a spreadsheet could change."""


def test_text_and_names_come_back_as_they_are(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    names = [f"{text}{number}" for number, text in enumerate(TEXTS) if not text.startswith("_")]
    columns: dict[str, Any] = {
        "text": TEXTS,
        "list": [[text] for text in TEXTS],
        "null": pa.nulls(len(TEXTS), pa.string()),
    }
    engine.publish(engine.write_parquet(pa.table({**columns, **dict.fromkeys(names, TEXTS)})))
    content = engine.export_bytes("xlsx")
    header, *rows = read_sheet(content)
    assert header == [SheetCell("s", name) for name in [*columns, *names]]
    for text, (cell, listed, null, *others) in zip(TEXTS, rows, strict=True):
        assert (cell, null) == (SheetCell("s", text), EMPTY)
        assert others == [cell] * len(names)
        assert json.loads(listed.text) == [text]
    assert [row[0] for row in _by_openpyxl(content)] == ["text", *TEXTS]


def test_a_run_without_rows_is_a_header(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.publish(engine.write_parquet(pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.date32())})))
    assert read_sheet(engine.export_bytes("xlsx")) == [[SheetCell("s", "a"), SheetCell("s", "b")]]


ASKED: dict[str, dict[str, Any]] = {
    "all": {},
    "some": {"filters": [entry("n", "GREATER_THAN", 8_500)]},
    "none": {"filters": [entry("n", "LESS_THAN", 0)]},
    "sorted": {"sort_by": "text", "descending": True},
    "fields": {"fields": ("text", "n"), "row_ids": ("00000000000000000003", "00000000000000008000")},
}


@pytest.fixture(scope="module")
def many(small_sizes: None, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A run of several ranges, in a pool of tasks, which leaves sheets to this process."""
    pool = ThreadPool()
    engine = Engine(tmp_path_factory.mktemp("many"), pool=pool)
    engine.publish_rows([{"n": n, "text": f"{n * 7919 % 101}é <{n % 7}>\x02" if n % 7 else None} for n in range(9_000)])
    pool.threads.shutdown()
    return engine


@pytest.mark.parametrize("asked", ASKED)
def test_the_bytes_do_not_depend_on_threads_and_ranges(many: Engine, tmp_path: Path, asked: str) -> None:
    contents = set()
    for threads, range_bytes in ((1, 2**30), (2, 1), (4, 60_000)):
        fresh = Engine(tmp_path / f"{threads}")
        exporter = many.exporter(threads=threads, range_bytes=range_bytes, exports=fresh.store)
        contents.add(fresh.content(many.export("xlsx", exporter, **ASKED[asked])))
    (content,) = contents
    header, *rows = read_sheet(content)
    wanted = many.export_rows(**ASKED[asked])
    assert [cell.text for cell in header] == list(ASKED[asked].get("fields", ("n", "text")))
    assert len(rows) == len(wanted)
    assert all(
        agrees(value, cell)
        for row, cells in zip(wanted, rows, strict=True)
        for value, cell in zip(row.values(), cells, strict=True)
    )


def _refused(engine: Engine, **asked: Any) -> InvalidRequest:
    """The error of an export, which leaves nothing in the store."""
    before = engine.keys()
    with pytest.raises(InvalidRequest) as caught:
        engine.export("xlsx", engine.exporter(threads=2, range_bytes=1), **asked)
    assert engine.keys() == before
    assert caught.value.parameter == "format"
    return caught.value


def test_a_sheet_has_at_most_as_many_rows_as_excel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tmp_path)
    rows = 1_048_577
    engine.publish(engine.write_parquet(pa.table({"n": pa.array(range(rows), pa.int32())})))
    exporter = engine.exporter()
    with pytest.raises(InvalidRequest, match="the export has 1,048,577 rows, and xlsx at most 1,048,575; add filters"):
        engine.plan(exporter, "xlsx")
    # No filter tells by itself how many rows it keeps: they are counted before the first is written.
    with monkeypatch.context() as patch:
        patch.setattr(BlockStream, "append", None)
        assert "has 1,048,576 rows" in _refused(engine, filters=[entry("n", "GREATER_THAN", 0)]).message
    export = engine.export("xlsx", exporter, filters=[entry("n", "GREATER_THAN", 1)])
    assert export.rows == 1_048_575
    with zipfile.ZipFile(io.BytesIO(engine.content(export))) as file, file.open(PARTS[-1]) as sheet:
        assert sheet.read().count(b"</row>") == 1_048_576


def test_a_sheet_has_at_most_as_many_columns_as_excel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FORMATS["xlsx"].max_columns == 16_384
    monkeypatch.setitem(FORMATS, "xlsx", replace(FORMATS["xlsx"], max_columns=3))
    engine = Engine(tmp_path)
    engine.publish_rows([{"a": 1, "b": {"c": 2, "d": 3}, "e": 4}])
    assert engine.export("xlsx").rows == 1
    error = _refused(engine, flatten=True)
    assert error.message == (
        "format: the export has 4 columns, and xlsx at most 3; list fewer in fields, or use another format."
    )
    assert engine.export("xlsx", flatten=True, fields=("b", "e")).rows == 1


LONGEST = {
    "ASCII": "x" * 32_767,
    "more bytes than units": "é" * 32_767,
    "two units a character": "\U0001f600" * 16_383 + "x",
}


@pytest.mark.parametrize("case", LONGEST)
def test_a_cell_has_at_most_as_many_units_as_excel(many: Engine, tmp_path: Path, case: str) -> None:
    """`many` has small row groups, so the long cell is in another range than the first rows."""
    engine = Engine(tmp_path)
    text = LONGEST[case]
    rows = [{"n": n, "a": "", "b": "x"} for n in range(5_000)]
    rows[4_321]["b"] = text
    engine.publish_rows(rows, run="fits")
    assert read_sheet(engine.export_bytes("xlsx", run="fits"))[4_322][2].text == text
    rows[4_322]["b"], rows[4_400]["a"] = text + "y", text + "y"
    engine.publish_rows(rows, run="long")
    error = _refused(engine, run="long")
    assert error.details == {"parameter": "format", "field": "b", "row": 4_324}
    assert error.message == (
        "format: the cell in row 4,324 and column 'b' of the sheet has more than 32,767 UTF-16 code units, the maximum "
        "in xlsx; leave the column out by fields, or use another format."
    )
    filters = [entry("n", "GREATER_THAN", 4_322)]
    assert _refused(engine, run="long", filters=filters).details == {"parameter": "format", "field": "a", "row": 79}
    descending = _refused(engine, run="long", sort_by="n", descending=True)
    assert descending.details == {"parameter": "format", "field": "a", "row": 601}
    assert engine.export("xlsx", run="long", fields=("n",)).rows == 5_000


def test_the_text_of_a_list_and_the_name_of_a_column_have_the_same_limit(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.publish_rows([{"list": ["x" * 40_000], "y" * 32_768: 1}])
    error = _refused(engine, fields=("list",))
    assert error.details == {"parameter": "format", "field": "list", "row": 2}
    assert _refused(engine).details["row"] == 1


def test_a_sheet_is_compressed_already(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="xlsx is compressed already; omit compression") as caught:
        Engine(tmp_path).export("xlsx", compression="gzip")
    assert caught.value.parameter == "compression"
