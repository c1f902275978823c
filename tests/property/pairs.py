"""Generated pairs of runs, and the rows that changed from the older to the newer one, by plain Python."""

from dataclasses import replace
from random import Random
from typing import Any

import pyarrow as pa

from tests.property.cells import cell, shape_of
from tests.property.datasets import Dataset, Row, dataset
from tests.property.requests import CHANGE
from tests.property.spelling import in_parquet

_CAME = "A column that came"


def pair_of_runs(chance: Random) -> tuple[Dataset, Dataset]:
    """Two runs with the same row-id field."""
    old = dataset(chance)
    while old.row_id is None:
        old = dataset(chance)
    return old, _changed(chance, old)


def _changed(chance: Random, old: Dataset) -> Dataset:
    """Rows and columns come and go, cells change, and rows and columns may have another order."""
    key, pools = str(old.row_id), dict(old.pools)
    columns, rows = dict(old.columns), [dict(row) for row in old.rows if chance.random() < 0.8]
    values = {name: [None] if shape.arrow == pa.null() else [*old.pools[name], None] for name, shape in columns.items()}
    for row in rows:
        if chance.random() < 0.3:
            name = chance.choice([*columns])
            row[name] = row[name] if name == key else chance.choice(values[name])
    keys = old.pools[key][len(old.rows) :]
    rows += [{name: chance.choice(values[name]) for name in columns} | {key: new} for new in keys]
    gone = [name for name in columns if name != key and chance.random() < 0.05]
    if chance.random() < 0.3:
        columns[_CAME] = shape = shape_of(chance)
        pools[_CAME] = [cell(chance, shape) for _ in range(8)]
        for row in rows:
            row[_CAME] = None if shape.arrow == pa.null() or chance.random() < 0.5 else chance.choice(pools[_CAME])
    for name in gone:
        del columns[name]
    if chance.random() < 0.5:
        columns = dict(chance.sample([*columns.items()], len(columns)))
        chance.shuffle(rows)
    return replace(old, columns=columns, rows=rows, pools=pools)


def changed_rows(old: Dataset, new: Dataset) -> Dataset:
    """The rows that differ, web/API.md, section 9: added and changed ones in the order of the new run, then removed."""
    key = str(new.row_id)
    columns = {**new.columns, **{name: shape for name, shape in old.columns.items() if name not in new.columns}}
    before, after = ({row[key]: _whole(data, row, columns) for row in data.rows} for data in (old, new))
    rows = [
        {CHANGE: "changed" if row_id in before else "added", **row}
        for row_id, row in after.items()
        if row_id not in before
        or not all(in_parquet(shape, before[row_id][name], row[name]) for name, shape in columns.items())
    ]
    rows += [{CHANGE: "removed", **row} for row_id, row in before.items() if row_id not in after]
    return replace(new, columns=columns, rows=rows, of_changes=True)


def _whole(data: Dataset, row: Row, columns: dict[str, Any]) -> Row:
    """The row with nulls in the columns that its run does not have."""
    return {name: row[name] if name in data.columns else None for name in columns}
