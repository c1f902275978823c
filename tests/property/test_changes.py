"""Laws of changes: an older run minus removed plus added, with changed replaced, is exactly the newer one."""

import io
import itertools
import json
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet
import pytest

from engine.catalog.manifest import run_key
from engine.publishing import publisher, spooling
from engine.request.formats import FORMATS
from engine.stores import open_store
from tests.helpers.azurite import Azurite
from tests.helpers.engine import WORKFLOW, Engine
from tests.property.cases import Cases
from tests.property.checks import check
from tests.property.datasets import Dataset
from tests.property.pairs import changed_rows, pair_of_runs
from tests.property.requests import request_for

_Cells = dict[str, str]
_Rows = dict[str, _Cells]
"""By row id, the spelling of each cell that is not null; NaN is NaN."""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Publishes several parts with small row groups."""
    options = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 5, ROW_GROUPS_PER_FILE 2, FILENAME_PATTERN '{i}'"
    monkeypatch.setattr(publisher, "_COPY_OPTIONS", options)
    return Engine(tmp_path)


def test_changes_turn_the_older_run_into_the_newer_one(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, kinds = itertools.count(), Counter[str]()

    def property_(chance: Random) -> int:
        (old, new), number = pair_of_runs(chance), next(numbers)
        names = [f"r{number}-old", f"r{number}-new"]
        for data, name in zip((old, new), names, strict=True):
            if chance.random() < 0.7:
                data.publish(engine, name)
            else:
                _publish_without_hashes(engine, data, name, monkeypatch)
        newer = engine.results.run(WORKFLOW, names[1])
        assert newer is not None
        before, after = (_rows(engine, name) for name in names)
        changes = _changes(engine, names)
        assert _applied(before, changes) == after
        assert Counter(change for change, _, _ in changes) == _differences(before, after)
        if newer.row_hashes:
            assert newer.changes is not None
            counts = {name: getattr(newer.changes, name) for name in ("added", "changed", "removed")}
            assert +Counter(counts) == _differences(before, after)
            assert newer.changes.columns == _changed_columns(before, after)
        assert [row_id for change, row_id, _ in changes if change != "removed"] == [
            row_id for row_id in after if before.get(row_id) != after[row_id]
        ]
        assert [row_id for change, row_id, _ in changes if change == "removed"] == [
            row_id for row_id in before if row_id not in after
        ]
        kinds.update(change for change, _, _ in changes)
        return 1

    Cases("changes", 0.01).explore(property_, per_example=1)
    assert kinds.keys() == {"added", "changed", "removed"}


def _requests(engine: Engine) -> Callable[[Random], int]:
    """One request in each format for what changed between two runs."""
    numbers = itertools.count()

    def property_(chance: Random) -> int:
        (old, new), number = pair_of_runs(chance), next(numbers)
        since, run = f"r{number}-old", f"r{number}-new"
        old.publish(engine, since)
        new.publish(engine, run)
        changes = changed_rows(old, new)
        for format_name in FORMATS:
            check(engine, run, changes, replace(request_for(chance, changes, format_name), since_run=since))
        return len(FORMATS)

    return property_


def test_an_export_of_changes_has_the_rows_of_the_oracle(engine: Engine) -> None:
    Cases("requests for changes", 0.04).explore(_requests(engine), per_example=len(FORMATS))


@pytest.mark.azurite
def test_an_export_of_changes_on_azure_has_the_rows_of_the_oracle(azurite: Azurite, tmp_path: Path) -> None:
    store = open_store(f"az://oracle-{uuid.uuid4().hex}/x", connection_string=azurite.connection_string)
    property_ = _requests(Engine(tmp_path, store))
    Cases("requests for changes, azure", 0.01).explore(property_, per_example=len(FORMATS))


def _publish_without_hashes(engine: Engine, data: Dataset, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish a run as versions without hashes did."""
    with monkeypatch.context() as patch:
        patch.setattr(spooling, "select_with_hash", lambda columns, _fields, rows, _: f"SELECT {columns} FROM {rows}")
        patch.setattr(publisher, "_with_whole_file", lambda run, _spooled, _cancel: run)
        data.publish(engine, run)
    key = run_key(WORKFLOW, run)
    document = json.loads(engine.store.read(key))
    del document["rowHashes"], document["changes"]
    engine.store.delete(key)
    engine.store.create(key, json.dumps(document).encode(), content_type="application/json", metadata={})


def _rows(engine: Engine, run: str) -> _Rows:
    rows = _read(engine, run=run, include_row_ids=True)
    return {str(row.pop("_row_id")): _spelled(row) for row in rows}


def _changes(engine: Engine, runs: list[str]) -> list[tuple[str, str, _Cells]]:
    rows = _read(engine, run=runs[1], since_run=runs[0])
    return [(str(row.pop("_change")), str(row.pop("_row_id")), _spelled(row)) for row in rows]


def _read(engine: Engine, **options: Any) -> list[dict[str, object]]:
    content = engine.content(engine.export("parquet", **options))
    return list(pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist())


def _spelled(row: dict[str, object]) -> _Cells:
    return {name: repr(_without_sign_of_zero(value)) for name, value in row.items() if value is not None}


def _without_sign_of_zero(value: object) -> object:
    """DuckDB's Parquet writer makes one value of 0.0 and -0.0 in a row group (engine/DECISIONS.md)."""
    match value:
        case float():
            return value + 0.0
        case list() | tuple():
            return [_without_sign_of_zero(item) for item in value]
        case dict():
            return {name: _without_sign_of_zero(item) for name, item in value.items()}
    return value


def _applied(rows: _Rows, changes: list[tuple[str, str, _Cells]]) -> _Rows:
    applied = dict(rows)
    for change, row_id, cells in changes:
        assert (change == "added") is (row_id not in applied)
        if change == "removed":
            assert applied.pop(row_id) == cells
        else:
            applied[row_id] = cells
    return applied


def _changed_columns(before: _Rows, after: _Rows) -> Counter[str]:
    """In how many rows of both runs each column differs."""
    both = [(before[row_id], after[row_id]) for row_id in before.keys() & after.keys()]
    return Counter(name for old, new in both for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def _differences(before: _Rows, after: _Rows) -> Counter[str]:
    return +Counter(
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        changed=sum(before[row_id] != after[row_id] for row_id in before.keys() & after.keys()),
    )
