"""How deep values may be nested: limits of our own, refused with the field's name and before anything crashes."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.catalog.types import MAX_DEPTH, MAX_LISTS, ColumnType
from engine.errors import InvalidInput
from engine.publishing.json.shapes import MAX_DEPTH as JSON_DEPTH
from engine.publishing.publisher import Publication, Publisher
from tests.helpers.engine import Engine


def _publish(tmp_path: Path, name: str, text: str, schema: str | None = None) -> tuple[Engine, str]:
    engine = Engine(tmp_path / "house")
    source, declared = tmp_path / name, tmp_path / "schema.json"
    source.write_text(text)
    if schema is not None:
        declared.write_text(schema)
    run = Publisher(engine.results, engine.settings(1)).publish(
        Publication("w", "r", (source,), team="acme", schema=declared if schema else None)
    )
    return engine, run.run_id


def _objects(depth: int) -> str:
    """An object whose one field is a number below that many objects."""
    return '{"a":' + '{"b":' * depth + "1" + "}" * depth + "}\n"


def _lists(depth: int) -> str:
    return '{"a":' + "[" * depth + "1" + "]" * depth + "}\n"


@pytest.mark.parametrize(
    "text",
    [
        _objects(5),
        _objects(MAX_DEPTH),
        _objects(JSON_DEPTH - 1),
        _lists(5),
        _lists(MAX_LISTS + 1),
        _lists(JSON_DEPTH - 1),
    ],
    ids=["objects", "objects as JSON", "deepest objects", "lists", "lists as JSON", "deepest lists"],
)
def test_a_json_row_within_the_limit_can_be_read_again(tmp_path: Path, text: str) -> None:
    engine, _ = _publish(tmp_path, "rows.ndjson", text)
    # The manifest is read by another reader than the one that wrote it.
    content = engine.export_bytes("json")
    assert json.loads(content) == [json.loads(text)]


@pytest.mark.parametrize("make", [_objects, _lists], ids=["objects", "lists"])
@pytest.mark.parametrize("depth", [JSON_DEPTH, 900, 1000, 30_000, 200_000])
def test_a_json_row_beyond_the_limit_is_refused(tmp_path: Path, make: Callable[[int], str], depth: int) -> None:
    with pytest.raises(InvalidInput, match=rf"line 2\b.*nested deeper than {JSON_DEPTH} levels"):
        _publish(tmp_path, "rows.ndjson", '{"a": null}\n' + make(depth))


def test_a_row_of_many_brackets_is_not_a_deep_one(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"a": [{"b": n} for n in range(2000)]}, {"a": [], "c": "[" * 2000}]
    engine, _ = _publish(tmp_path, "rows.ndjson", "".join(json.dumps(row) + "\n" for row in rows))
    assert json.loads(engine.export_bytes("json")) == [{**rows[0], "c": None}, rows[1]]


def test_parquet_has_the_same_limits(tmp_path: Path) -> None:
    kind: pa.DataType = pa.int64()
    for _ in range(MAX_LISTS + 1):
        kind = pa.list_(kind)
    engine = Engine(tmp_path / "house")
    pq.write_table(pa.table({"a": pa.array([None], kind)}), tmp_path / "rows.parquet")
    with pytest.raises(InvalidInput, match="The field a has more than 16 lists within lists"):
        Publisher(engine.results, engine.settings(1)).publish(
            Publication("w", "r", (tmp_path / "rows.parquet",), team="acme")
        )


@pytest.mark.parametrize("make", [lambda n: "[" * n, lambda n: '{"fields":' * n], ids=["lists", "objects"])
def test_a_schema_file_has_a_limit(tmp_path: Path, make: Callable[[int], str]) -> None:
    for depth in (201, 100_000):
        with pytest.raises(InvalidInput, match="nested too deeply"):
            _publish(tmp_path, "rows.ndjson", '{"a": 1}\n', make(depth))


def test_a_declared_type_has_a_limit(tmp_path: Path) -> None:
    declared: dict[str, object] = {"name": "x", "dataType": "NUMBER"}
    for _ in range(MAX_DEPTH):
        declared = {"name": "x", "dataType": "OBJECT", "fields": [declared]}
    with pytest.raises(InvalidInput, match="The field x is nested more than 64 levels deep"):
        _publish(tmp_path, "rows.ndjson", '{"x": null}\n', json.dumps([declared]))


def test_depth_counts_the_deepest_path() -> None:
    leaf = ColumnType(name="BIGINT")
    inner = ColumnType(name="STRUCT", children=(("a", leaf), ("b", ColumnType.list_of(ColumnType.list_of(leaf)))))
    assert (leaf.depth(), leaf.depth("LIST")) == (1, 0)
    assert (inner.depth(), inner.depth("LIST")) == (4, 2)
