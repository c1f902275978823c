"""Generated JSON files come back as Python reads them: optional members, mixed types, odd names, any numbers."""

import csv
import gzip
import io
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.catalog.schema import Field
from engine.catalog.types import Family
from tests.helpers.engine import Engine
from tests.property.cases import Cases

_NAMES = ["a", "b", "price", "a.b", 'q"', "it's", "sp ace", "é😀", "$", "x\\y", "select", "*", "[0]", "tab\t", "null"]
_TEXTS = [
    "",
    "x",
    "N/A",
    "12.50",
    "null",
    "true",
    "é😀",
    'say "hi"',
    "a\nb",
    "2024-01-02",
    "0123",
    "{}",
    "\\u0041",
    "'",
]
_WHOLE = [0, -1, 7, 2**31, 2**53 + 1, -(2**63), 2**63 - 1]
_FRACTIONS = [0.1, -2.5, 1e300, 5e-324, 19.99, 100.0, 1 / 3]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "engine")


def test_a_published_json_file_comes_back_in_each_format(engine: Engine) -> None:
    runs = iter(range(10**9))

    def property_(chance: random.Random) -> int:
        rows = _rows(chance)
        name, content = _file(chance, rows)
        run = f"r{next(runs)}"
        published = engine.publish(engine.write(name, content), run=run, workflow=f"w-{run}")
        fields = list(published.table.delivered)
        wanted = [_flat(row, rows) for row in rows]
        asked: Any = {"workflow": f"w-{run}"}
        assert [_plain(row) for row in json.loads(engine.export_bytes("json", **asked))] == wanted
        assert _csv_rows(engine.export_bytes("csv", **asked), fields) == [_without_empty(row) for row in wanted]
        assert _parquet_rows(engine.export_bytes("parquet", **asked), fields) == wanted
        return 1

    Cases("json files", 0.1).explore(property_, per_example=1)


def _rows(chance: random.Random) -> list[dict[str, Any]]:
    makers = {name: _maker(chance, 3) for name in chance.sample(_NAMES, chance.randint(1, 6))}
    absent = chance.choice([0, 0.3])
    rows = [
        {name: make() for name, make in makers.items() if chance.random() >= absent}
        for _ in range(chance.choice([1, 2, 5, 40]))
    ]
    # One row at least has all columns, and a file of one object would be a document.
    return [{name: make() for name, make in makers.items()}, *rows]


def _maker(chance: random.Random, levels: int) -> Any:
    """Makes values of one place."""
    nested = ["object", "list"] * (levels > 0)
    match chance.choice(["text", "whole", "fraction", "number", "boolean", "mixed", "any", "null", *nested]):
        case "text":
            values: list[Any] = _TEXTS
        case "whole":
            values = _WHOLE
        case "fraction":
            values = _FRACTIONS
        case "number":
            values = [*chance.sample(_WHOLE, 2), *chance.sample(_FRACTIONS, 2)]
        case "boolean":
            values = [True, False]
        case "mixed":
            values = [*_TEXTS[:5], 19.99, 12, True]
        case "any":
            values = ["x", 1, [1], {"a": 1}, [], {}]
        case "null":
            values = [None]
        case "object":
            members = {name: _maker(chance, levels - 1) for name in chance.sample(_NAMES, chance.randint(1, 3))}
            return lambda: {name: make() for name, make in members.items() if chance.random() < 0.7}
        case _:
            item = _maker(chance, levels - 1)
            return lambda: [item() for _ in range(chance.randint(0, 3))]
    return lambda: None if chance.random() < 0.2 else chance.choice(values)


def _file(chance: random.Random, rows: list[dict[str, Any]]) -> tuple[str, bytes]:
    layout: dict[str, Any] = {"ensure_ascii": chance.random() < 0.5, "indent": chance.choice([None, 1])}
    if chance.random() < 0.5:
        text = json.dumps(rows, **layout)
    else:
        text = chance.choice(["\n", "\r\n", " \n\n"]).join(json.dumps(row, **layout) for row in rows)
    mark = chance.choice(["", "", "\ufeff"])
    content = (mark + text).encode()
    name = chance.choice(["rows.json", "rows.ndjson", "rows"])
    return (f"{name}.gz", gzip.compress(content)) if chance.random() < 0.2 else (name, content)


def _flat(row: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
    """The row as Python has it; columns of scalars that no type holds are text, as they are written."""
    return _plain({name: _text(value) if _is_mixed(name, rows) else value for name, value in row.items()})


def _is_mixed(name: str, rows: list[dict[str, Any]]) -> bool:
    values = [row[name] for row in rows if row.get(name) is not None]
    kinds = {_kind(value) for value in values}
    return (len(kinds) > 1 and kinds <= {"text", "number", "boolean"}) or (kinds == {"number"} and _are_rounded(values))


def _are_rounded(values: list[Any]) -> bool:
    """Whether doubles, which fractions are, are written otherwise than the whole numbers beside them."""
    whole = [value for value in values if isinstance(value, int)]
    return len(whole) < len(values) and any(Decimal(repr(float(value))) != value for value in whole)


def _kind(value: Any) -> str:
    names = {str: "text", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "nested")


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _plain(value: Any) -> Any:
    """Without members that are null, since a missing one is null; numbers by value, and apart from booleans."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool):
        return f"boolean {value}"
    return Decimal(repr(value)) if isinstance(value, int | float) else value


def _csv_rows(content: bytes, fields: list[Field]) -> list[Any]:
    header, *lines = csv.reader(io.StringIO(content.decode(), newline=""))
    assert header == [field.name for field in fields]
    return [
        _plain({field.name: _cell(cell, field) for field, cell in zip(fields, line, strict=True)}) for line in lines
    ]


def _cell(cell: str, field: Field) -> Any:
    # Nested cells are JSON, and so are numbers and booleans.
    return cell or None if field.type.family is Family.TEXT else json.loads(cell) if cell else None


def _without_empty(row: dict[str, Any]) -> dict[str, Any]:
    """Python's csv module does not say which empty cells are quoted."""
    return {name: value for name, value in row.items() if value != ""}


def _parquet_rows(content: bytes, fields: list[Field]) -> list[Any]:
    rows: list[dict[str, Any]] = pa.parquet.read_table(io.BytesIO(content)).to_pylist()
    return [_plain({field.name: _with_json(row[field.name], field.type) for field in fields}) for row in rows]


def _with_json(value: Any, type_: Any) -> Any:
    """The value, with JSON text read as what it says."""
    if value is None:
        return None
    if type_.family is Family.JSON:
        return json.loads(value)
    if type_.family is Family.LIST:
        return [_with_json(item, type_.item) for item in value]
    if type_.family is Family.OBJECT:
        return {name: _with_json(value[name], child) for name, child in type_.children}
    return value
