"""Some sixty requests over one fixed run, and the SHA-256 of the file that each has always given.

Run as a program (``python -m tests.e2e.exports_corpus``) it rewrites ``exports_corpus.json``. Do that only after a
change that is meant to change bytes, and name the change in the changelog.
"""

import datetime as dt
import hashlib
import json
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from engine.request.request import CsvOptions
from tests.helpers.engine import Engine

EXPECTED = Path(__file__).with_suffix(".json")
ROWS = 30_000
"""Rows of each of the two source files."""

_TITLES = ("Mug, large", 'Lamp "Nord"', "Größe\nXL", "=SUM(A1)", "", "手作り", "  padded ", "plain")
_EPOCH = dt.datetime(2024, 2, 27, 23, 59, 58, tzinfo=dt.UTC)


def _table(first: int) -> pa.Table:
    """Rows made by arithmetic alone, so that they are the same everywhere."""
    numbers = range(first, first + ROWS)
    mixed = [n * 2_654_435_761 % 1_000_003 for n in numbers]
    return pa.table(
        {
            "sku": [f"SKU-{n:07d}" for n in numbers],
            "title": [None if m % 11 == 0 else f"{_TITLES[m % 8]}{m % 97 or ''}" for m in mixed],
            "batch": pa.array([n // 500 for n in numbers], pa.int32()),
            "quantity": pa.array([None if m % 13 == 0 else m % 5000 - 7 for m in mixed], pa.int64()),
            "rating": pa.array(
                [float("nan") if m % 997 == 0 else float("inf") if m % 991 == 0 else m / 7 for m in mixed], pa.float64()
            ),
            "price": pa.array([Decimal(m) / 100 for m in mixed], pa.decimal128(12, 2)),
            "in_stock": [None if m % 17 == 0 else m % 3 > 0 for m in mixed],
            "listed_on": [dt.date(2015, 1, 1) + dt.timedelta(days=m % 4000) for m in mixed],
            "scraped_at": pa.array(
                [
                    _EPOCH + dt.timedelta(seconds=n, microseconds=m % 3 * 125_000)
                    for n, m in zip(numbers, mixed, strict=True)
                ],
                pa.timestamp("us", "UTC"),
            ),
            "details": [
                None
                if m % 19 == 0
                else {"color": _TITLES[m % 8], "tags": [f"t{m % 5}", None][: m % 3], "grams": m % 700}
                for m in mixed
            ],
            "labels": [[f"l{m % 7}", _TITLES[m % 8]][: m % 4] for m in mixed],
        }
    )


def _filter(field: str, operator: str, *value: object) -> dict[str, object]:
    return {"field": field, "operator": operator, **({"value": value[0]} if value else {})}


def _requests() -> Iterator[dict[str, Any]]:
    yield {}
    yield {"include_row_ids": True}
    for found in (
        _filter("sku", "EQUALS", "SKU-0031234"),
        _filter("title", "NOT_EQUALS", "plain"),
        _filter("title", "CONTAINS", "größe"),
        _filter("title", "IS_EMPTY"),
        _filter("batch", "LESS_THAN", 20),
        _filter("quantity", "IN", [1, 2, 3, 4711]),
        _filter("rating", "GREATER_THAN_OR_EQUAL", 100_000.5),
        _filter("price", "LESS_THAN", 99.99),
        _filter("in_stock", "EQUALS", False),
        _filter("listed_on", "AFTER", "2025-01-01"),
        _filter("scraped_at", "BEFORE", "2024-02-28T06:00:00+01:00"),
        _filter("details.color", "STARTS_WITH", "mug"),
        _filter("labels", "CONTAINS", "nord"),
        _filter("details", "IS_NULL"),
    ):
        yield {"filters": [found]}
    yield {"row_ids": ["00000000000000000007", "00000000000000031111", "unknown"], "include_row_ids": True}


def requests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Format and request, fifty and more."""
    for format_name in ("csv", "json", "parquet"):
        for asked in _requests():
            yield format_name, asked
    for sort_by, descending in (("title", False), ("rating", True), ("details.grams", False)):
        yield "csv", {"sort_by": sort_by, "descending": descending, "filters": [_filter("batch", "LESS_THAN", 70)]}
    yield "parquet", {"sort_by": "price", "filters": [_filter("batch", "GREATER_THAN", 100)]}
    yield "json", {"sort_by": "scraped_at", "descending": True, "filters": [_filter("batch", "LESS_THAN", 5)]}
    for asked in ({}, {"fields": ["details.color", "sku"]}, {"flatten": True}):
        yield "jsonl", asked
    yield "csv", {"fields": ["details", "price"], "sort_by": "details.grams"}
    yield "parquet", {"flatten": True, "filters": [_filter("batch", "LESS_THAN", 20)]}
    yield "csv", {"csv_options": CsvOptions(bom=True, delimiter="semicolon", formula_guard=True)}


def answers(folder: Path) -> dict[str, dict[str, object]]:
    """What each request gives now: rows, bytes and SHA-256, by request."""
    engine = Engine(folder)
    engine.publish(*(engine.write_parquet(_table(first), f"{first}.parquet") for first in (0, ROWS)))
    # Two threads and small ranges: neither shows in the bytes.
    exporter = engine.exporter(threads=2, range_bytes=500_000)
    found = {}
    for format_name, asked in requests():
        export = engine.export(format_name, exporter, **asked)
        content = engine.content(export)
        found[f"{format_name} {json.dumps(asked, default=repr, sort_keys=True)}"] = {
            "rows": export.rows,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        EXPECTED.write_text(json.dumps(answers(Path(name)), indent=1) + "\n", "utf-8")
