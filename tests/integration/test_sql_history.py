"""``history``, ``columns`` and ``row_groups``: runs side by side and what they take, against Arrow and plain Python."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from engine.catalog.manifest import State
from engine.common.chunk import Chunk
from engine.errors import InvalidRequest
from engine.query.inspect.session import Inspection, open_inspection
from engine.request.formats import FORMATS
from tests.helpers.engine import Engine

NIGHTS = [datetime(2026, 11, day, 3, tzinfo=UTC) for day in (20, 21, 22)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Three finished runs whose columns come, go and change their types, published out of order, and a failed one."""
    engine = Engine(tmp_path_factory.mktemp("history"))
    tables = [
        pa.table(
            {"id": ["a", "b"], "n": [1, None], "price": [1, 2], "tags": [["x"], []], "code": [7, 8], "gone": [1, 2]}
        ),
        pa.table({"id": ["a", "c"], "n": [2, 3], "price": [1.5, 0.25], "tags": ["t", None], "code": ["7a", "8"]}),
        pa.table({"new": [True], "id": ["a"], "n": [2**40], "price": [3], "code": [9]}),
    ]
    for number in (2, 0, 1):
        file = engine.write_parquet(tables[number], f"r{number}.parquet")
        engine.publish(file, run=f"r{number}", row_id="id", executed_at=NIGHTS[number])
    engine.publish_rows([{"id": "z"}], "r9", state=State.FAILED)
    engine.publish_rows([{"n": 2**53 + 1}], "big", workflow="rounded")
    engine.publish_rows([{"n": 0.5}], "small", workflow="rounded")
    engine.publish(
        engine.write("none.json", "[]"), run="r", workflow="none", schema=engine.write_schema(price="NUMBER")
    )
    return engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Inspection]:
    """A session over them."""
    with open_inspection(engine.results, None, engine.settings(2)) as session:
        yield session


def ask(session: Inspection, query: str) -> Any:
    chunks: list[Chunk] = []
    session.write(query, FORMATS["json"], chunks.append)
    return json.loads(b"".join(chunks))


def test_the_history_has_the_rows_of_all_finished_runs(session: Inspection) -> None:
    rows = ask(session, "SELECT * EXCLUDE (_row_id) FROM history('w')")
    assert [(row["_run_id"], row["_executed_at"], row["id"]) for row in rows] == [
        ("r0", "2026-11-20T03:00:00Z", "a"),
        ("r0", "2026-11-20T03:00:00Z", "b"),
        ("r1", "2026-11-21T03:00:00Z", "a"),
        ("r1", "2026-11-21T03:00:00Z", "c"),
        ("r2", "2026-11-22T03:00:00Z", "a"),
    ]
    assert [row["n"] for row in rows] == [1, None, 2, 3, 2**40]
    assert [row["price"] for row in rows] == [1.0, 2.0, 1.5, 0.25, 3.0]
    assert [row["code"] for row in rows] == ["7", "8", "7a", "8", "9"]
    assert [row["gone"] for row in rows] == [1, 2, None, None, None]
    assert [row["new"] for row in rows] == [None, None, None, None, True]
    assert [row["tags"] for row in rows] == [["x"], [], "t", None, None]


def test_numbers_that_would_be_rounded_are_refused(session: Inspection) -> None:
    with pytest.raises(InvalidRequest, match="n has numbers that a DOUBLE would round in one run"):
        ask(session, "SELECT n FROM history('rounded')")
    assert ask(session, "SELECT count(*) AS n FROM history('rounded')") == [{"n": 2}]


def test_the_history_of_nothing(session: Inspection) -> None:
    assert ask(session, "SELECT price FROM history('none')") == []
    for name in ("nope", "../w", "w'; SELECT 1 --"):
        quoted = name.replace("'", "''")
        with pytest.raises(InvalidRequest, match=r"^There is no history of a workflow"):
            ask(session, f"FROM history('{quoted}')")


def test_columns(session: Inspection, engine: Engine) -> None:
    rows = ask(session, "SELECT run, name, type, nulls FROM columns WHERE workflow = 'w' AND state = 'FINISHED'")
    expected = []
    for number in range(3):
        table = pyarrow.parquet.read_table(engine.folder / f"r{number}.parquet")
        for name in table.column_names:
            kind = table.schema.field(name).type
            nulls = None if pa.types.is_list(kind) else table[name].null_count
            expected.append((f"r{number}", name, nulls))
    assert [(row["run"], row["name"], row["nulls"]) for row in rows if row["name"] != "_row_id"] == expected
    types = {(row["run"], row["name"]): row["type"] for row in rows}
    assert [types[f"r{number}", "price"] for number in range(3)] == ["BIGINT", "DOUBLE", "BIGINT"]
    assert types["r0", "tags"] == "VARCHAR[]"


def test_sizes_and_distinct_values_of_columns(engine: Engine, session: Inspection) -> None:
    """Members and elements count for their column; distinct values are right wherever they are known."""
    rows: list[dict[str, Any]] = [
        {"id": str(n), "word": "abc"[n % 3], "none": None, "tags": ["x"] * (n % 3), "pay": {"n": n, "by": {"a": "b"}}}
        for n in range(1000)
    ]
    run = engine.publish_rows(rows, run="r", workflow="sizes")
    sizes: Counter[str] = Counter()
    footer = pyarrow.parquet.read_metadata(io.BytesIO(engine.store.read(run.parts[0].key)))
    for column in (footer.row_group(0).column(index) for index in range(footer.num_columns)):
        sizes[column.path_in_schema.partition(".")[0]] += column.total_compressed_size
    session.refresh()
    found = ask(session, "SELECT name, bytes, distinct_values FROM columns WHERE workflow = 'sizes'")
    assert {row["name"]: row["bytes"] for row in found} == {name: sizes[name] for name in ("_row_id", *rows[0])}
    known = {row["name"]: row["distinct_values"] for row in found if row["distinct_values"] is not None}
    assert known["word"] == 3
    assert known == {name: len({row[name] for row in rows} - {None}) for name in known}
    (none,) = ask(session, "SELECT bytes, distinct_values FROM columns WHERE workflow = 'none' AND name = 'price'")
    assert none == {"bytes": 0, "distinct_values": 0}


def test_row_groups(session: Inspection, engine: Engine) -> None:
    run = engine.results.run("w", "r1")
    assert run is not None
    expected = []
    for part in run.parts:
        footer = pyarrow.parquet.read_metadata(io.BytesIO(engine.store.read(part.key)))
        for ordinal in range(footer.num_row_groups):
            group = footer.row_group(ordinal)
            sizes = [group.column(index).total_compressed_size for index in range(group.num_columns)]
            expected.append((part.key.rpartition("/")[2], ordinal, group.num_rows, sum(sizes), sizes))
    rows = ask(session, "FROM row_groups('w', 'r1')")
    assert [
        (row["file"], row["row_group"], row["rows"], row["bytes"], [one["bytes"] for one in row["columns"]])
        for row in rows
    ] == expected
    assert ask(session, "SELECT sum(rows) AS n FROM row_groups('w')") == [{"n": 1}]
    assert ask(session, "FROM row_groups('none')") == []


def test_a_run_from_a_query(session: Inspection) -> None:
    """An argument must be constant: a variable can be set by a query."""
    [statement] = session.statements("SET VARIABLE run = (SELECT min(run) FROM runs WHERE workflow = 'w')")
    session.rows(statement)
    assert ask(session, "SELECT id FROM result('w', getvariable('run')) ORDER BY id") == [{"id": "a"}, {"id": "b"}]


def test_columns_whose_type_drifts(session: Inspection) -> None:
    query = """
        SELECT name FROM columns WHERE workflow = 'w' AND state = 'FINISHED'
        GROUP BY name HAVING count(DISTINCT type) > 1 ORDER BY name
    """
    assert [row["name"] for row in ask(session, query)] == ["code", "price", "tags"]
