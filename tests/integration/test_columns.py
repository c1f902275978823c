"""Which columns a file has: ``fields``, ``flatten``, and what is refused before work begins."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.common.cancellation import CancelToken
from engine.errors import InvalidRequest, SourceDamaged
from tests.helpers.engine import WORKFLOW, Engine, entry
from tests.helpers.files import read_json, read_parquet

ROWS: list[dict[str, Any]] = [
    {
        "sku": "a",
        "price": {"amount": 300, "currency": {"code": "EUR", "digits": 2}},
        "tags": [{"t": 1}],
        "price.net": 1,
    },
    {"sku": "b", "price": {"amount": 200, "currency": None}, "tags": [], "price.net": 2},
    {"sku": "c", "price": None, "tags": None, "price.net": 3},
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    engine = Engine(tmp_path_factory.mktemp("columns"))
    price = pa.struct([("amount", pa.int64()), ("currency", pa.struct([("code", pa.string()), ("digits", pa.int8())]))])
    schema = pa.schema(
        [
            ("sku", pa.string()),
            ("price", price),
            ("tags", pa.list_(pa.struct([("t", pa.int64())]))),
            ("price.net", pa.int64()),
        ]
    )
    engine.publish(engine.write_parquet(pa.Table.from_pylist(ROWS, schema)))
    return engine


def _value(row: dict[str, Any], *names: str) -> Any:
    value: Any = row
    for name in names:
        value = None if value is None else value[name]
    return value


CASES: dict[str, tuple[dict[str, Any], dict[str, tuple[str, ...]]]] = {
    "two columns in another order": ({"fields": ("tags", "sku")}, {"tags": ("tags",), "sku": ("sku",)}),
    "a path": ({"fields": ("price.currency.code",)}, {"price.currency.code": ("price", "currency", "code")}),
    "an object": ({"fields": ("price.currency",)}, {"price.currency": ("price", "currency")}),
    "an object and its member": (
        {"fields": ("price", "price.amount")},
        {"price": ("price",), "price.amount": ("price", "amount")},
    ),
    "a name with a dot": ({"fields": ("price.net",)}, {"price.net": ("price.net",)}),
    "flattened": (
        {"flatten": True},
        {
            "sku": ("sku",),
            "price.amount": ("price", "amount"),
            "price.currency.code": ("price", "currency", "code"),
            "price.currency.digits": ("price", "currency", "digits"),
            "tags": ("tags",),
            "price.net": ("price.net",),
        },
    ),
    "a flattened member": (
        {"fields": ("price.currency", "sku"), "flatten": True},
        {
            "price.currency.code": ("price", "currency", "code"),
            "price.currency.digits": ("price", "currency", "digits"),
            "sku": ("sku",),
        },
    ),
}


@pytest.mark.parametrize("sort_by", [None, "price.amount", "price.net", "sku"])
@pytest.mark.parametrize("case", CASES)
def test_a_file_has_the_requested_columns(engine: Engine, case: str, sort_by: str | None) -> None:
    options, columns = CASES[case]
    order = {None: "abc", "price.amount": "bac", "price.net": "abc", "sku": "abc"}[sort_by]
    rows = sorted(ROWS, key=lambda row: order.index(row["sku"]))
    expected = [{name: _value(row, *names) for name, names in columns.items()} for row in rows]
    asked: dict[str, Any] = options | {"sort_by": sort_by}
    assert read_json(engine.export_bytes("json", **asked)) == expected
    assert read_parquet(engine.export_bytes("parquet", **asked)) == expected
    header, *lines = csv.reader(io.StringIO(engine.export_bytes("csv", **asked).decode(), newline=""))
    assert header == list(columns)
    assert len(lines) == len(ROWS)
    if "sku" in columns:
        assert [line[header.index("sku")] for line in lines] == list(order)


def test_row_ids_come_first_and_filters_reach_columns_that_are_left_out(engine: Engine) -> None:
    asked: dict[str, Any] = {
        "fields": ("sku",),
        "include_row_ids": True,
        "filters": [entry("price.amount", "LESS_THAN", 250)],
    }
    assert read_json(engine.export_bytes("json", **asked)) == [{"_row_id": "000000000001", "sku": "b"}]


@pytest.mark.parametrize("case", CASES)
def test_a_finished_export_still_has_its_schema(engine: Engine, case: str) -> None:
    """It is read from the object's metadata, as the status of an export does."""
    options, columns = CASES[case]
    for row_ids in (False, True):
        made = engine.export("csv", include_row_ids=row_ids, **options)
        found = engine.exporter().describe(WORKFLOW, made.export_id)
        assert found is not None
        assert [field.name for field in found.fields] == [*(["_row_id"] if row_ids else []), *columns]
        assert found.fields == made.fields
        assert found.fields == engine.plan(engine.exporter(), "csv", include_row_ids=row_ids, **options).fields


def test_columns_make_another_export_and_equal_ones_the_same(engine: Engine) -> None:
    def export_id(**options: Any) -> str:
        return engine.plan(engine.exporter(), "csv", **options).export_id

    others: list[dict[str, Any]] = [
        {},
        {"fields": ("sku",)},
        {"fields": ("sku", "tags")},
        {"fields": ("tags", "sku")},
        {"flatten": True},
    ]
    assert len({export_id(**options) for options in others}) == len(others)
    assert export_id(fields=("sku", "tags")) == export_id(fields=("sku", "tags"))


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "nearest name": ({"fields": ("sku", "pirce")}, "fields[1]", "there is no field 'pirce'"),
    "nearest path": ({"fields": ("price.amuont",)}, "fields[0]", "Did you mean price.amount?"),
    "letter case": ({"fields": ("SKU",)}, "fields[0]", "Did you mean sku?"),
    "internal": ({"fields": ("_row_id",)}, "fields[0]", "includeRowIds=true adds it"),
    "within a list": ({"fields": ("tags.t",)}, "fields[0]", "there is no field"),
    "twice by flatten": (
        {"fields": ("price", "price.amount"), "flatten": True},
        "flatten",
        "two columns would have the name 'price.amount'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_columns_that_cannot_be_are_refused_before_work_begins(engine: Engine, case: str) -> None:
    options, place, text = REFUSED[case]
    with pytest.raises(InvalidRequest) as caught:
        engine.plan(engine.exporter(), "json", **options)
    assert text in caught.value.message
    assert caught.value.details.get("entry", caught.value.parameter) == place


def test_flattened_names_may_not_equal_those_of_columns(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    table = pa.table({"a": [{"B": 1, "c": 2}], "A.b": [3]})
    engine.publish(engine.write_parquet(table))
    with pytest.raises(InvalidRequest, match=r"'A\.b' or 'a\.B', which differs only in letter") as caught:
        engine.plan(engine.exporter(), "json", flatten=True)
    assert caught.value.parameter == "flatten"
    assert read_json(engine.export_bytes("json", flatten=True, fields=("a",))) == [{"a.B": 1, "a.c": 2}]
    assert read_json(engine.export_bytes("json", fields=("a.c", "A.b"))) == [{"a.c": 2, "A.b": 3}]


def test_columns_that_are_not_requested_are_not_read(tmp_path: Path) -> None:
    """A damaged column chunk fails only the exports that need it."""
    damaged = Engine(tmp_path)
    path = damaged.write_parquet(pa.table({"small": range(1000), "large": [f"{n:0200}" for n in range(1000)]}))
    run = damaged.publish(path)
    part = damaged.store.local_path(run.parts[0].key)
    assert part is not None
    content = bytearray(part.read_bytes())
    column = pa.parquet.ParquetFile(part).metadata.row_group(0).column(2)
    assert column.path_in_schema == "large"
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    stamp = part.stat()
    part.write_bytes(content)
    os.utime(part, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    exporter = damaged.exporter()
    plan = damaged.plan(exporter, "csv", fields=("small",))
    assert exporter.export(plan, CancelToken()).rows == 1000
    with pytest.raises(SourceDamaged):
        exporter.export(damaged.plan(exporter, "csv"), CancelToken())
