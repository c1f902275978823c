"""The content of an export: order, row ids, formats, and the same bytes for any division into ranges."""

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.publishing import publisher
from engine.request.request import CsvOptions
from tests.helpers.engine import Engine, entry
from tests.helpers.files import csv_cell, read_csv_cells, read_json, read_parquet
from tests.helpers.thread_pool import ThreadPool

ROWS: list[dict[str, Any]] = [
    {
        "n": n,
        "text": None if n % 11 == 0 else f"{n * 7919 % 101}é\n'\"%_\\",
        "tie": None if n % 5 == 0 else n % 3,
        "inner": {"a": {"b": (n * 31) % 97 if n % 7 else None}, "c": "x"},
        "list": [n, None] if n % 2 else [],
    }
    for n in range(9000)
]


@pytest.fixture(scope="module", params=["here", "as tasks"])
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A run of several parts with several row groups each, and so many small ranges, for either runner."""
    pool = ThreadPool() if request.param == "as tasks" else None
    engine = Engine(tmp_path_factory.mktemp("many"), pool=pool)
    with pytest.MonkeyPatch.context() as patch:
        options = "FORMAT parquet, ROW_GROUP_SIZE 2048, ROW_GROUPS_PER_FILE 2, FILENAME_PATTERN '{i}'"
        patch.setattr(publisher, "_COPY_OPTIONS", options)
        run = engine.publish_rows(ROWS)
    assert [len(part.row_groups) for part in run.parts] == [2, 2, 1]
    yield engine
    if pool is not None:
        pool.threads.shutdown()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "engine")


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"filters": [entry("tie", "EQUALS", 1)]},
        {"sort_by": "text"},
        {"fields": ("n", "inner.a.b"), "sort_by": "inner.a.b"},
        {"flatten": True, "include_row_ids": True},
    ],
)
@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_the_bytes_do_not_depend_on_threads_or_ranges(
    many: Engine, tmp_path: Path, format_name: str, asked: dict[str, Any]
) -> None:
    contents, counts, pool = set(), set(), many.pool
    before = 0 if pool is None else pool.submitted
    for threads, range_bytes in [(1, 2**30), (1, 1), (4, 1), (4, 60_000)]:
        fresh = Engine(tmp_path / f"{threads}-{range_bytes}")
        exporter = many.exporter(threads=threads, range_bytes=range_bytes, exports=fresh.store)
        plan = many.plan(exporter, format_name, **asked)
        counts.add(len(plan.ranges))
        contents.add(fresh.content(many.export(format_name, exporter, **asked)))
    assert len(contents) == 1
    # A single range is not a task, and a full run as Parquet is copied in this process.
    assert pool is None or (pool.submitted > before) == (format_name != "parquet" or "sort_by" in asked)
    # Parquet files and sorted files are written as one range.
    assert (max(counts) == 5) == (format_name != "parquet" and "sort_by" not in asked)


def test_every_format_has_the_values_of_the_run(many: Engine) -> None:
    assert read_json(many.export_bytes("json")) == ROWS
    assert read_parquet(many.export_bytes("parquet")) == ROWS
    header, cells = read_csv_cells(many.export_bytes("csv", many.exporter(range_bytes=1, threads=4)))
    assert header == list(ROWS[0])
    assert cells == [[csv_cell(value) for value in row.values()] for row in ROWS]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("path", ["text", "tie", "inner.a.b", "n"])
def test_sorting_puts_nulls_last_and_ties_in_run_order(many: Engine, path: str, descending: bool) -> None:
    def key(row: dict[str, Any]) -> Any:
        return row["inner"]["a"]["b"] if "." in path else row[path]

    wanted = sorted((row for row in ROWS if key(row) is not None), key=key, reverse=descending)
    wanted += [row for row in ROWS if key(row) is None]
    found = many.export_rows(many.exporter(threads=4), sort_by=path, descending=descending)
    assert [row["n"] for row in found] == [row["n"] for row in wanted]


def test_text_is_sorted_by_code_point(engine: Engine) -> None:
    texts = ["b", "B", "é", "a", "", "Z", "z", "ﬀ", "😀", "a b", "\u0001", "~"]
    engine.publish_rows([{"t": text} for text in texts])
    assert [row["t"] for row in engine.export_rows(sort_by="t")] == sorted(texts)
    assert [row["t"] for row in engine.export_rows(sort_by="t", descending=True)] == sorted(texts, reverse=True)


def test_a_dotted_path_filters_within_an_object(many: Engine) -> None:
    found = many.export_rows(filters=[entry("inner.a.b", "LESS_THAN", 3)])
    assert found == [row for row in ROWS if row["inner"]["a"]["b"] is not None and row["inner"]["a"]["b"] < 3]


def test_exported_row_ids_select_their_rows(many: Engine) -> None:
    with_ids = many.export_rows(include_row_ids=True)
    assert next(iter(with_ids[0])) == "_row_id"
    ids = [row["_row_id"] for row in with_ids]
    assert len(set(ids)) == len(ROWS)
    asked = [ids[8999], ids[3], ids[3], "unknown", ids[4100]]
    assert many.export_rows(row_ids=asked) == [ROWS[3], ROWS[4100], ROWS[8999]]
    assert many.export_rows(row_ids=asked, filters=[entry("n", "GREATER_THAN", 3)]) == [ROWS[4100], ROWS[8999]]
    assert many.export_rows(row_ids=["unknown", "' OR 1=1 --"]) == []


def test_row_ids_from_a_field_are_its_text(engine: Engine) -> None:
    rows = [{"id": 10, "v": "a"}, {"id": 9, "v": "b"}]
    engine.publish_rows(rows, row_id="id")
    assert engine.export_rows(include_row_ids=True) == [{"_row_id": str(row["id"])} | row for row in rows]
    assert engine.export_rows(row_ids=["9"]) == rows[1:]


def test_field_names_may_have_any_characters(engine: Engine) -> None:
    names = ['a"b', "it's", "per cent %", "select", "$p0", "a.b", "ключ", "back\\slash", "new\nline", "{x}"]
    row = {name: f"v{index}" for index, name in enumerate(names)}
    engine.publish_rows([row, dict.fromkeys(names, "other")])
    assert read_csv_cells(engine.export_bytes("csv"))[0] == names
    for name in names:
        assert engine.export_rows(filters=[entry(name, "EQUALS", row[name])], sort_by=name) == [row]


def test_nulls_of_a_single_column_are_not_blank_csv_lines(engine: Engine) -> None:
    values = ["a", None, "", None, "b"]
    engine.publish_rows([{"only": value} for value in values])
    content = engine.export_bytes("csv").decode()
    assert list(csv.reader(io.StringIO(content))) == [["only"], ["a"], [""], [""], [""], ["b"]]
    assert [row["only"] for row in csv.DictReader(io.StringIO(content))] == ["a", "", "", "", "b"]


def test_nan_and_infinity_follow_the_contract(engine: Engine) -> None:
    engine.publish(
        engine.write_csv(["x", "y"], [["NaN", "1"], ["Infinity", "2"], ["-Infinity", "3"], ["1.5", "4"]]),
        schema=engine.write_schema(x="NUMBER", y="STRING"),
    )
    assert engine.export_bytes("csv") == b'x,"y"\nNaN,1\nInfinity,2\n-Infinity,3\n1.5,4\n'
    assert [row["x"] for row in engine.export_rows()] == [None, None, None, 1.5]
    values = [row["x"] for row in read_parquet(engine.export_bytes("parquet"))]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, 1.5]


def test_csv_options_change_only_their_part_of_the_file(engine: Engine) -> None:
    cells = ["=1+1", "-5", "+x", "@a", "a=b", "a;b", "a,b", "a\tb"]
    engine.publish(engine.write_csv(["c", "d"], [[cell, "x"] for cell in cells]))
    plain = engine.export_bytes("csv")
    assert [row[0] for row in read_csv_cells(plain)[1]] == cells
    assert engine.export_bytes("csv", csv_options=CsvOptions(bom=True)) == b"\xef\xbb\xbf" + plain
    for name, delimiter in (("semicolon", ";"), ("tab", "\t")):
        text = engine.export_bytes("csv", csv_options=CsvOptions(delimiter=name)).decode()
        assert [row[0] for row in csv.reader(io.StringIO(text), delimiter=delimiter)] == ["c", *cells]
    guarded = read_csv_cells(engine.export_bytes("csv", csv_options=CsvOptions(formula_guard=True)))[1]
    assert [row[0] for row in guarded] == ["'=1+1", "-5", "'+x", "'@a", *cells[4:]]


def test_timestamps_have_a_fraction_only_if_there_is_one(engine: Engine) -> None:
    moments = ["2024-01-02T10:04:05Z", "2024-01-02T10:04:05.5Z", "1969-12-31T23:59:59.000001Z", "0001-01-01T00:00:00Z"]
    engine.publish_rows([{"t": moment} for moment in moments], schema=engine.write_schema(t="DATETIME"))
    assert [row["t"] for row in engine.export_rows()] == moments
    assert engine.export_bytes("csv").decode().split() == ["t", *moments]


def test_a_csv_cell_of_nested_values_is_compact_json(engine: Engine) -> None:
    row = {"o": {"a": [1, {"b": 'x,"y"'}], "c": None}, "l": ["é", None]}
    engine.publish_rows([row])
    _, [cells] = read_csv_cells(engine.export_bytes("csv"))
    assert cells == [json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in row.values()]
