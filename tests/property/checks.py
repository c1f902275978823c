"""Compare an export with the oracle, including every byte of its file."""

import io
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow.parquet
import pytest

from engine.common.cancellation import CancelToken
from engine.errors import EngineError, InvalidFilter, InvalidRequest
from engine.exports.exporter import Exporter
from tests.helpers.engine import TEAM, Engine
from tests.helpers.files import decompressed
from tests.helpers.format_oracle import BOM, loads_exactly, scan_csv
from tests.helpers.sheets import SheetCell, read_sheet
from tests.property.datasets import Dataset
from tests.property.expected import Expected, expected
from tests.property.reducing import reduce
from tests.property.requests import GeneratedRequest
from tests.property.shapes import UNQUOTED, same_type
from tests.property.spelling import guarded, in_csv, in_json, in_parquet, in_xlsx

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}


def export(engine: Engine, run: str, asked: GeneratedRequest, exporter: Exporter | None = None) -> bytes:
    """The bytes of one export."""
    exporter = exporter or engine.usual_exporter
    plan = exporter.plan(asked.request(run), TEAM)
    return engine.content(exporter.export(plan, CancelToken()))


def check(engine: Engine, run: str, data: Dataset, asked: GeneratedRequest, exporter: Exporter | None = None) -> None:
    """Check one request against the oracle; reduce a failing case and report it."""
    try:
        hold(data, asked, lambda: export(engine, run, asked, exporter))
    except (Exception, pytest.fail.Exception) as error:
        data, asked = reduce(data, asked, lambda data, asked: _fails(engine, run, data, asked, exporter))
        raise AssertionError(f"{type(error).__name__}: {error}\nmade small: {asked}\non {data}") from error


def _fails(engine: Engine, run: str, data: Dataset, asked: GeneratedRequest, exporter: Exporter | None) -> bool:
    try:
        if not data.of_changes:
            run = f"small-{uuid4().hex}"
            data.publish(engine, run)
        hold(data, asked, lambda: export(engine, run, asked, exporter))
    except (AssertionError, EngineError, duckdb.Error, pytest.fail.Exception, ValueError):
        return True
    return False


def hold(data: Dataset, asked: GeneratedRequest, export: Callable[[], bytes]) -> Expected:
    """Check that the request is refused if the contract says so, and that its file is right otherwise."""
    wanted = expected(data, asked)
    if wanted.refused:
        with pytest.raises(InvalidRequest) as caught:
            export()
        place = caught.value.details.get("entry", caught.value.parameter)
        assert place in wanted.refused
        assert isinstance(caught.value, InvalidFilter) == str(place).startswith("filters")
        return wanted
    long = _first_long_cell(wanted) if asked.format == "xlsx" else None
    if long is not None:
        with pytest.raises(InvalidRequest) as caught:
            export()
        assert (caught.value.details["row"], caught.value.details["field"]) == long
        return wanted
    content = decompressed(export(), asked.compression)
    wrong = _CHECKS[asked.format](wanted, asked, content)
    assert not wrong, wrong
    return wanted


def _first_long_cell(wanted: Expected) -> tuple[int, str] | None:
    """The row of the sheet and the column of the first text that does not fit into a cell."""
    for number, row in enumerate(wanted.rows, 2):
        for name in wanted.columns:
            if isinstance(row[name], str) and len(row[name].encode("utf-16-le")) > 2 * 32_767:
                return number, name
    return None


def _differences(wanted: Expected, found: list[Any], agree: Any) -> str:
    """Describe the first cell that differs."""
    if len(found) != len(wanted.rows):
        return f"{len(found)} rows instead of {len(wanted.rows)} (of the run: {wanted.numbers})"
    for number, row, line in zip(wanted.numbers, wanted.rows, found, strict=True):
        for index, (name, shape) in enumerate(wanted.columns.items()):
            if not agree(shape, row[name], line[index]):
                return f"row {number} of the run, {name} {shape}: {str(line[index])[:200]} for {str(row[name])[:200]!r}"
    return ""


def _csv(wanted: Expected, asked: GeneratedRequest, content: bytes) -> str:
    assert content.startswith(BOM) == asked.csv.bom
    guard, alone = asked.csv.formula_guard, len(wanted.columns) == 1
    header, *lines = scan_csv(content[3:] if asked.csv.bom else content, _DELIMITERS[asked.csv.delimiter])
    assert [cell.text for cell in header] == [guarded(name) if guard else name for name in wanted.columns]
    # DuckDB sees by the header that the cells below may be quoted.
    assert all(
        cell.quoted for cell, shape in zip(header, wanted.columns.values(), strict=True) if shape.family not in UNQUOTED
    )
    assert {len(line) for line in lines} <= {len(wanted.columns)}
    return _differences(wanted, lines, lambda shape, value, cell: in_csv(shape, value, cell, alone=alone, guard=guard))


def _json(wanted: Expected, asked: GeneratedRequest, content: bytes) -> str:
    rows = loads_exactly(content)
    assert all(list(row) == list(wanted.columns) for row in rows)
    return _differences(wanted, [list(row.values()) for row in rows], in_json)


def _jsonl(wanted: Expected, asked: GeneratedRequest, content: bytes) -> str:
    *lines, end = content.split(b"\n")
    assert end == b""
    return _json(wanted, asked, b"[" + b",".join(lines) + b"]")


def _parquet(wanted: Expected, asked: GeneratedRequest, content: bytes) -> str:
    file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
    schema = file.schema_arrow
    assert schema.names == list(wanted.columns)
    for name, shape in wanted.columns.items():
        assert same_type(shape.stored, schema.field(name).type), (name, shape, schema.field(name).type)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    codecs = {group.column(number).compression for group in groups for number in range(group.num_columns)}
    assert codecs <= {"ZSTD"}
    columns = [column.to_pylist() for column in file.read().columns]
    return _differences(wanted, list(zip(*columns, strict=True)), in_parquet)


def _xlsx(wanted: Expected, _asked: GeneratedRequest, content: bytes) -> str:
    header, *lines = read_sheet(content)
    assert header == [SheetCell("s", name) for name in wanted.columns]
    return _differences(wanted, lines, in_xlsx)


_CHECKS = {"csv": _csv, "json": _json, "jsonl": _jsonl, "xlsx": _xlsx, "parquet": _parquet}
