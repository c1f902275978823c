"""Exported files read back as rows by other readers: json, csv and pyarrow."""

import csv
import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tests.helpers.format_oracle import text_of

Row = dict[str, Any]


def read_json(content: bytes) -> list[Row]:
    """The rows of a JSON file."""
    rows: list[Row] = json.loads(content)
    return rows


def read_parquet(content: bytes) -> list[Row]:
    """The rows of a Parquet file."""
    rows: list[Row] = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
    return rows


def read_csv_cells(content: bytes) -> tuple[list[str], list[list[str]]]:
    """The header and the cells of a CSV file, as text."""
    header, *cells = csv.reader(io.StringIO(content.decode(), newline=""))
    return header, cells


def decompressed(content: bytes, compression: str) -> bytes:
    """The text of a compressed file."""
    match compression:
        case "gzip":
            return gzip.decompress(content)
        case "zstd":
            return pa.input_stream(pa.BufferReader(content), compression="zstd").read()  # type: ignore[no-any-return]  # pyarrow is untyped
    return content


def csv_cell(value: object) -> str:
    """The text of a value in a CSV cell, web/API.md, section 5."""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "" if value is None else text_of(value)
