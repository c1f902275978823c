"""``run_diff`` compares values, not their text, and tells changes of the schema apart from changes of rows."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.common.chunk import Chunk
from engine.publishing import spooling
from engine.query.inspect.session import open_inspection
from engine.request.formats import FORMATS
from tests.helpers.engine import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An empty store."""
    return Engine(tmp_path)


def diff(engine: Engine, what: str = "*") -> Any:
    """The difference of the runs `a` and `b`."""
    chunks: list[Chunk] = []
    with open_inspection(engine.results, None, engine.settings(2)) as session:
        session.write(f"SELECT {what} FROM run_diff('w', 'a', 'b')", FORMATS["json"], chunks.append)
    return json.loads(b"".join(chunks))


def publish(engine: Engine, a: pa.Table, b: pa.Table, row_id: str | None = "id") -> None:
    for run, table in (("a", a), ("b", b)):
        engine.publish(engine.write_parquet(table, f"{run}.parquet"), run=run, row_id=row_id)


def cells(values: list[Any], type_: pa.DataType) -> pa.Table:
    return pa.table({"id": [str(n) for n in range(len(values))], "x": pa.array(values, type_)})


SAME = [
    (1, pa.int64(), 1.0, pa.float64()),
    (None, pa.int64(), None, pa.string()),
    (Decimal("1.50"), pa.decimal128(5, 2), 1.5, pa.float64()),
    (1, pa.int64(), "1", pa.string()),
    ([1, 2], pa.list_(pa.int64()), [1, 2], pa.list_(pa.int32())),
    (float("nan"), pa.float64(), float("nan"), pa.float64()),
]
CHANGED = [
    (2**53 + 1, pa.int64(), float(2**53), pa.float64()),
    (1, pa.int64(), 1.5, pa.float64()),
    (Decimal("0.10"), pa.decimal128(5, 2), 0.1000001, pa.float64()),
    (1, pa.int64(), "01", pa.string()),
    (1, pa.int64(), "x", pa.string()),
    (0, pa.int64(), None, pa.float64()),
    (None, pa.string(), "", pa.string()),
    ([1, 2], pa.list_(pa.int64()), [1, None], pa.list_(pa.int64())),
    ({"m": 1}, pa.struct({"m": pa.int64()}), {"m": 2}, pa.struct({"m": pa.int32()})),
]


def test_values_are_compared_with_their_types(engine: Engine) -> None:
    pairs = [(*pair, False) for pair in SAME] + [(*pair, True) for pair in CHANGED]
    wrong = []
    for number, (a, type_a, b, type_b, changed) in enumerate(pairs):
        case = Engine(engine.folder / str(number))
        publish(case, cells([a, None], type_a), cells([b, None], type_b))
        found = [row["row_id"] for row in diff(case) if row["change"] == "changed"]
        if found != (["0"] if changed else []):
            wrong.append((a, type_a, b, type_b, found))
    assert wrong == []


def test_the_schema_is_compared_apart_from_the_rows(engine: Engine) -> None:
    ids = ["k1", "k2", "k3"]
    a = pa.table({"id": ids, "n": [1, 2, 3], "gone": [1, 1, 1], "o\"'x": ["a", "b", "c"]})
    b = pa.table({"new": ["x", None, "y"], "n": [1.0, 2.5, 3.0], "o\"'x": ["a", "b", "C"], "id": ids})
    publish(engine, a, b)
    assert diff(engine) == [
        {
            "row_id": None,
            "change": "schema",
            "changes": [
                {"field": "new", "before": None, "after": "VARCHAR"},
                {"field": "n", "before": "BIGINT", "after": "DOUBLE"},
                {"field": "gone", "before": "BIGINT", "after": None},
            ],
        },
        {"row_id": "k2", "change": "changed", "changes": [{"field": "n", "before": "2", "after": "2.5"}]},
        {"row_id": "k3", "change": "changed", "changes": [{"field": "o\"'x", "before": "c", "after": "C"}]},
    ]


def test_rows_that_come_and_go_have_all_their_values_in_the_order_of_columns(engine: Engine) -> None:
    a = pa.table({"id": ["1", "2"], "z": [1, None], "y": ["p", "q"]})
    b = pa.table({"id": ["2", "3"], "z": [None, 7], "y": ["q", None], "a": [True, False]})
    publish(engine, a, b)
    rows = {row["row_id"]: row for row in diff(engine)}
    assert [one["field"] for one in rows["3"]["changes"]] == ["id", "z", "a"]
    assert (rows["3"]["change"], rows["3"]["changes"][1]) == ("added", {"field": "z", "before": None, "after": "7"})
    assert rows["1"] == {
        "row_id": "1",
        "change": "removed",
        "changes": [
            {"field": "id", "before": "1", "after": None},
            {"field": "z", "before": "1", "after": None},
            {"field": "y", "before": "p", "after": None},
        ],
    }
    assert set(rows) == {None, "1", "3"}


@pytest.mark.parametrize(("row_id", "names"), [(None, ("positions of rows",) * 2), ("id", None)])
def test_ids_that_are_positions_are_told(engine: Engine, row_id: str | None, names: tuple[str, str] | None) -> None:
    publish(engine, pa.table({"id": ["1", "2"]}), pa.table({"id": ["2"]}), row_id)
    told = [row["changes"][0] for row in diff(engine) if row["change"] == "ids"]
    expected = [{"field": "_row_id", "before": names[0], "after": names[1]}] if names else []
    assert told == expected
    # If nothing differs, there is nothing to misread.
    same = Engine(engine.folder / "same")
    publish(same, pa.table({"id": ["1", "2"]}), pa.table({"id": ["1", "2"]}), row_id)
    assert diff(same) == []


def test_other_fields_as_ids_are_told(engine: Engine) -> None:
    engine.publish_rows([{"a": "1", "b": "9"}], "a", row_id="a")
    engine.publish_rows([{"a": "1", "b": "9"}], "b", row_id="b")
    rows = diff(engine)
    assert rows[0] == {
        "row_id": None,
        "change": "ids",
        "changes": [{"field": "_row_id", "before": "values of a", "after": "values of b"}],
    }
    assert [(row["change"], row["row_id"]) for row in rows[1:]] == [("removed", "1"), ("added", "9")]


def test_a_random_pair_of_runs(engine: Engine) -> None:
    old: dict[str, dict[str, Any]] = {
        str(n): {"id": str(n), "n": n % 7, "t": f"v{n}", "l": [n, n + 1]} for n in range(5_000)
    }
    new = {key: dict(row) for key, row in old.items() if int(key) % 10}
    for key, row in new.items():
        if int(key) % 97 == 1:
            row["n"] += 1
        if int(key) % 89 == 1:
            row["l"] = [1]
    new |= {str(n): {"id": str(n), "n": 1, "t": "", "l": []} for n in range(5_000, 5_050)}
    publish(engine, pa.Table.from_pylist([*old.values()]), pa.Table.from_pylist([*new.values()][::-1]))
    assert sorted(_expected(old, new)) == sorted(
        (row["row_id"], row["change"], tuple(row["fields"]))
        for row in diff(engine, "row_id, change, [one.field FOR one IN changes] AS fields")
    )


def _expected(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for key in old.keys() | new.keys():
        if key not in new:
            yield key, "removed", tuple(old[key])
        elif key not in old:
            yield key, "added", tuple(new[key])
        elif old[key] != new[key]:
            yield key, "changed", tuple(name for name in old[key] if old[key][name] != new[key][name])


def test_stored_hashes_are_compared_if_the_columns_are_the_same(engine: Engine) -> None:
    a = pa.table({"id": ["1", "2", "3"], "x": [1.0, 2.0, float("nan")], "y": [["a"], None, []]})
    b = pa.table({"y": [["a"], [], None], "id": ["1", "2", "4"], "x": [-0.0, 2.0, 3.0]})
    publish(engine, a, b)
    assert diff(engine, "row_id, change, [c.field FOR c IN changes IF change = 'changed'] AS fields") == [
        {"row_id": "1", "change": "changed", "fields": ["x"]},
        {"row_id": "2", "change": "changed", "fields": ["y"]},
        {"row_id": "3", "change": "removed", "fields": []},
        {"row_id": "4", "change": "added", "fields": []},
    ]


def test_values_are_not_read_where_hashes_are_stored(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_equal_hashes(columns: str, _fields: object, source: str, _texts: object) -> str:
        return f"SELECT {columns}, 0::UBIGINT AS _hash_high, 0::UBIGINT AS _hash_low FROM {source}"

    monkeypatch.setattr(spooling, "select_with_hash", with_equal_hashes)
    publish(engine, cells([1, 2], pa.int64()), cells([1, 3, 4], pa.int64()))
    assert [(row["row_id"], row["change"]) for row in diff(engine)] == [("2", "added")]
