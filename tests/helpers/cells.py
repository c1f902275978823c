"""The cells of exports in each format as text, read by independent readers, to compare with the source."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet

from tests.helpers.engine import WORKFLOW, Engine
from tests.helpers.format_oracle import text_of

Rows = list[list[str | None]]


def formats_of(engine: Engine, run: str = "r", workflow: str = WORKFLOW) -> dict[str, Rows]:
    """The header and the rows of a run, from its CSV, JSON and Parquet exports; None for a null."""
    written = _parsed(engine.export_bytes("csv", run=run, workflow=workflow).decode())
    header = [cell or "" for cell in written[0]]
    listed = json.loads(engine.export_bytes("json", run=run, workflow=workflow), parse_float=str, parse_int=str)
    table = pyarrow.parquet.read_table(io.BytesIO(engine.export_bytes("parquet", run=run, workflow=workflow)))
    columns = [column.to_pylist() for column in table.columns]
    return {
        "csv": written,
        "json": [[*header], *([text_of_value(value) for value in row.values()] for row in listed)],
        "parquet": [
            table.column_names,
            *([text_of_value(value) for value in row] for row in zip(*columns, strict=True)),
        ],
    }


def _parsed(text: str) -> Rows:
    usual = csv.field_size_limit(len(text) + 1)
    try:
        return [list(row) for row in csv.reader(io.StringIO(text, newline=""))]
    finally:
        csv.field_size_limit(usual)


def differences(
    engine: Engine, header: Sequence[str], wanted: Rows, run: str = "r", workflow: str = WORKFLOW
) -> list[str]:
    """List differences between the exports and these cells; floats of Parquet are compared as numbers."""
    found = []
    for name, (names, *rows) in formats_of(engine, run, workflow).items():
        if names != list(header):
            found.append(f"{name}: the header is {names}")
        # CSV read by Python's csv has no nulls, and nothing for a row of one of them.
        plain: Rows = [[cell or "" for cell in row] for row in wanted]
        expected = plain if name == "csv" else wanted
        given: Rows = [row or [""] for row in rows] if name == "csv" else rows
        if len(given) != len(expected):
            found.append(f"{name}: {len(given)} rows for {len(expected)}")
        for number, (row, source) in enumerate(zip(given, expected, strict=False)):
            if row != source and not (name == "parquet" and _same_numbers(row, source)):
                found.append(f"{name}, row {number}: {row} for {source}")
    return found[:5]


def text_of_value(value: Any) -> str | None:
    """The text of a value in a CSV file, or None for a null."""
    return None if value is None else text_of(value)


def _same_numbers(row: list[str | None], source: list[str | None]) -> bool:
    def same(one: str | None, other: str | None) -> bool:
        if one == other:
            return True
        try:
            return float(one or "") == float(other or "")
        except ValueError:
            return False

    return len(row) == len(source) and all(map(same, row, source))
