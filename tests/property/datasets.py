"""Generated runs: columns and rows of Python values, and how they are published."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tests.helpers.engine import Engine
from tests.property import shapes
from tests.property.cells import cell, names, shape_of
from tests.property.shapes import Shape, places

Row = dict[str, Any]
_KEY = "Key of the row"
_LONG = 'é"\n,=\U0001f600' * 90_000
"""One megabyte of characters that need quotes or escapes."""


@dataclass(frozen=True)
class Dataset:
    """The columns and rows of a run, and how they are split into files."""

    columns: dict[str, Shape]
    rows: list[Row] = field(repr=False)
    pools: dict[str, list[Any]]
    files: int
    group_rows: int
    row_id: str | None = None
    of_changes: bool = False
    """Whether these are the rows that differ between two runs; each has its ``_change``, which is no column."""

    def __repr__(self) -> str:
        shown = [{name: _short(value) for name, value in row.items()} for row in self.rows]
        return (
            f"Dataset({self.columns}, files={self.files}, groups of {self.group_rows}, row_id={self.row_id}, {shown})"
        )

    @property
    def places(self) -> dict[str, shapes.Place]:
        """The columns and nested fields that a request can name."""
        return places(self.columns)

    @property
    def row_ids(self) -> list[str]:
        """The row ids: the row-id field as text, or the number of the row with 12 digits."""
        if self.row_id is not None:
            return [str(row[self.row_id]) for row in self.rows]
        return [f"{number:012}" for number in range(len(self.rows))]

    def table(self, rows: list[Row]) -> pa.Table:
        """The rows as an Arrow table."""
        columns = [shapes.to_arrow(shape, [row[name] for row in rows]) for name, shape in self.columns.items()]
        return pa.table(columns, names=list(self.columns))

    def write(self, folder: Path) -> list[Path]:
        """The rows as Parquet files."""
        folder.mkdir(parents=True, exist_ok=True)
        size, paths = -(-len(self.rows) // self.files) or 1, []
        for number in range(self.files):
            paths.append(folder / f"{number}.parquet")
            table = self.table(self.rows[number * size : (number + 1) * size])
            pyarrow.parquet.write_table(table, paths[-1], row_group_size=self.group_rows)
        return paths

    def publish(self, engine: Engine, run: str) -> None:
        """Publish the run."""
        engine.publish(*self.write(engine.folder / run), run=run, row_id=self.row_id)


def _short(value: Any) -> Any:
    return f"<{len(value)} characters>" if isinstance(value, str) and len(value) > 1000 else value


def dataset(chance: random.Random, most_rows: int = 60, most_columns: int = 8) -> Dataset:
    """Generate a run. Each column has few distinct values, so that many cells are equal; requests use others, too."""
    columns = {name: shape_of(chance) for name in names(chance, most_columns)}
    pools = {name: [cell(chance, shape) for _ in range(chance.randint(2, 8))] for name, shape in columns.items()}
    used = {name: chance.sample(pool, chance.randint(1, len(pool))) for name, pool in pools.items()}
    nulls = {name: chance.choice([0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.5, 1.0]) for name in columns}
    nulls |= {name: 1.0 for name, shape in columns.items() if shape.arrow == pa.null()}
    rows = [
        {name: None if chance.random() < nulls[name] else chance.choice(pool) for name, pool in used.items()}
        for _ in range(chance.choice([0, 1, 5, most_rows // 4, most_rows // 3, most_rows // 2, most_rows, most_rows]))
    ]
    row_id = _make_keys(chance, columns, pools, rows) if chance.random() < 0.2 else None
    _make_long(chance, columns, rows)
    return Dataset(columns, rows, pools, chance.randint(1, 3), chance.randint(1, 40), row_id)


def _make_keys(chance: random.Random, columns: dict[str, Shape], pools: dict[str, list[Any]], rows: list[Row]) -> str:
    columns[_KEY] = chance.choice([leaf for leaf in shapes.LEAVES if leaf.arrow in (pa.string(), pa.int64())])
    textual = columns[_KEY].family == shapes.TEXT
    pools[_KEY] = [f"k,'{key}" if textual else key for key in chance.sample(range(10**6), len(rows) + 2)]
    for row, key in zip(rows, pools[_KEY], strict=False):
        row[_KEY] = key
    return _KEY


def _make_long(chance: random.Random, columns: dict[str, Shape], rows: list[Row]) -> None:
    texts = [name for name, shape in columns.items() if shape.arrow == pa.string() and name != _KEY]
    if texts and rows and chance.random() < 0.02:
        chance.choice(rows)[chance.choice(texts)] = _LONG
