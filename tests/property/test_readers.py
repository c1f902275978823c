"""Independent readers find equal rows in equal order in all formats."""

import io
import itertools
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow.parquet

from tests.helpers.engine import Engine
from tests.helpers.format_oracle import loads_exactly, scan_csv
from tests.property import shapes
from tests.property.cases import Cases
from tests.property.checks import export
from tests.property.datasets import dataset
from tests.property.expected import Expected, accepted_request, expected
from tests.property.spelling import in_csv, in_json, in_parquet

Lines = list[tuple[str | None, ...]]


def test_all_formats_have_equal_rows(tmp_path: Path) -> None:
    runs, engine = itertools.count(), Engine(tmp_path)

    def property_(chance: Random) -> int:
        data, run = dataset(chance, most_rows=20), f"r{next(runs)}"
        data.publish(engine, run)
        asked = accepted_request(chance, data, "json")
        wanted = expected(data, asked)
        contents = {
            name: export(engine, run, replace(asked, format=name, compression="none"))
            for name in ("csv", "json", "parquet")
        }
        paths = {name: engine.write(f"{run}.{name}", content) for name, content in contents.items()}
        _hold_the_same_cells(wanted, contents)
        _are_read_as_csv(contents["csv"], paths["csv"])
        _are_read_as_parquet(wanted, paths["parquet"])
        sql = "SELECT count(*) FROM read_json_objects($path, format='array', maximum_object_size=16777216)"
        assert _ask(sql, paths["json"]) == [(len(wanted.rows),)]
        return len(contents)

    Cases("readers", 0.06).explore(property_, per_example=3)


def _hold_the_same_cells(wanted: Expected, contents: dict[str, bytes]) -> None:
    """Row by row, cell by cell: one value, as three formats spell it."""
    names, alone = list(wanted.columns), len(wanted.columns) == 1
    lines = scan_csv(contents["csv"])[1:]
    objects = loads_exactly(contents["json"])
    columns = [column.to_pylist() for column in pyarrow.parquet.read_table(io.BytesIO(contents["parquet"])).columns]
    tuples = list(zip(*columns, strict=True))
    assert len(lines) == len(objects) == len(tuples) == len(wanted.rows)
    for line, found, values, row in zip(lines, objects, tuples, wanted.rows, strict=True):
        for index, name in enumerate(names):
            shape = wanted.columns[name]
            assert in_parquet(shape, row[name], values[index])
            assert in_json(shape, row[name], found[name])
            assert in_csv(shape, row[name], line[index], alone=alone)


def _are_read_as_csv(content: bytes, path: Path) -> None:
    """DuckDB and Polars tell a null from an empty string; pandas does not, unless it is told to."""
    header, *cells = scan_csv(content)
    names = [cell.text for cell in header]
    lines: Lines = [tuple(cell.text if cell.text or cell.quoted else None for cell in line) for line in cells]
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(header)))
    options = "header=true, auto_detect=false, delim=',', quote='\"', escape='\"', new_line='\\n'"
    limits = "allow_quoted_nulls=false, max_line_size=16777216"
    assert _ask(f"FROM read_csv($path, columns={{{columns}}}, {options}, {limits})", path) == lines
    frame = pl.read_csv(path, infer_schema=False)
    # Polars leaves a doubled quote in a header as it is.
    assert [name.replace('""', '"') for name in frame.columns] == names
    assert frame.rows() == lines
    table = pd.read_csv(path, dtype=str, na_filter=False, skip_blank_lines=False)
    assert list(table.columns) == names
    assert list(table.itertuples(index=False, name=None)) == [tuple(cell or "" for cell in line) for line in lines]


def _are_read_as_parquet(wanted: Expected, path: Path) -> None:
    """Columns of plain types, which all readers have in common."""
    rows = [tuple(row[name] for name in wanted.columns) for row in wanted.rows]
    found = _ask("FROM read_parquet($path)", path)
    with warnings.catch_warnings():
        # Polars warns of extension types, which it reads as what they are stored in.
        warnings.simplefilter("ignore")
        frames: list[Any] = [found, pl.read_parquet(path).rows()]
    for lines in frames:
        assert len(lines) == len(rows)
        for index, shape in enumerate(wanted.columns.values()):
            if shape.family in (shapes.TEXT, shapes.INTEGER, shapes.BOOLEAN, shapes.DATE, shapes.BINARY):
                assert [line[index] for line in lines] == [row[index] for row in rows]
            else:
                assert [line[index] is None for line in lines] == [row[index] is None for row in rows]


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def _ask(sql: str, path: Path) -> list[tuple[Any, ...]]:
    table = _connection().execute(sql, {"path": str(path)}).to_arrow_table()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
