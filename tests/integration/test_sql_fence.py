"""A SQL session only reads, and only what is published."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet
import pytest

from engine.catalog.manifest import Part
from engine.common.chunk import Chunk
from engine.errors import InvalidInput, InvalidRequest
from engine.query.inspect.session import Inspection, open_inspection
from engine.query.inspect.statements import Kind, is_complete
from engine.request.formats import FORMATS
from engine.stores import ObjectStore
from tests.helpers.engine import Engine
from tests.helpers.stores import any_store


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, module_store: ObjectStore) -> Engine:
    """One published run."""
    engine = Engine(tmp_path_factory.mktemp("engine"), module_store)
    engine.publish_rows([{"a": 1}])
    return engine


@pytest.fixture(scope="module")
def part(engine: Engine) -> Part:
    """Its part."""
    run = engine.results.run("w", "r")
    assert run is not None
    return run.parts[0]


@pytest.fixture
def inspection(engine: Engine) -> Iterator[Inspection]:
    """A session over it."""
    with open_inspection(engine.results, engine.store, engine.settings(1)) as inspection:
        yield inspection


READS = [
    "FROM read_text('/etc/passwd')",
    "FROM '/etc/passwd'",
    "FROM read_csv('/proc/self/environ')",
    "FROM read_blob('{part}')",
    "FROM read_parquet('{part}')",
    "FROM read_parquet('part://*')",
    "FROM read_parquet('part://{key}/../run.json')",
    "FROM glob('/etc/*')",
    "FROM parquet_metadata('/etc/passwd')",
    "FROM 'https://example.com/x.parquet'",
    "FROM read_parquet('az://c/x.parquet')",
    "FROM query('FROM read_text(''/etc/passwd'')')",
]

OTHERS = [
    "COPY (SELECT 1) TO '{out}'",
    "COPY (SELECT 1) TO 'part://{key}' (FORMAT parquet, USE_TMP_FILE false)",
    "COPY (SELECT 1) TO '{part}' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{out}'",
    "EXPLAIN ANALYZE (ANALYZE) COPY (SELECT 1) TO '{out}'",
    "SELECT 1; COPY (SELECT 1) TO '{out}'",
    "CREATE TABLE read AS FROM read_text('/etc/passwd')",
    "CREATE VIEW v AS FROM read_text('/etc/passwd')",
    "ATTACH ':memory:' AS m; ATTACH '{out}'",
    "COPY (SELECT 1) TO 'stage://0'; INSTALL azure",
    "CREATE SECRET s (TYPE s3)",
    "CREATE TABLE t (a INT); COPY t FROM '/etc/passwd'",
    "INSTALL azure",
    "LOAD azure",
    "ATTACH '{out}'",
    "EXPORT DATABASE '{out}'",
    "IMPORT DATABASE '{out}'",
    "CREATE PERSISTENT SECRET s (TYPE s3)",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
]


def test_statements_beyond_reading_are_refused(
    inspection: Inspection, part: Part, engine: Engine, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    out, before = tmp_path / "out", engine.store.read(part.key)
    path = engine.store.local_path(part.key) or "az://container/part.parquet"
    for statement in (one.format(out=out, key=part.key, part=path) for one in READS + OTHERS):
        with subtests.test(statement):
            with pytest.raises(InvalidRequest) as refused:
                run(inspection, statement)
            message, *place = refused.value.message.split("\n")
            assert len(place) in (0, 2)
            assert not place or place[0].startswith("LINE 1: ")
            assert str(engine.folder) not in message.replace(statement, "").replace(str(path), "").replace(str(out), "")
            # The same without our own check of statements: DuckDB's fence alone.
            if not statement.startswith("PRAGMA"):
                with pytest.raises((duckdb.Error, RuntimeError)):
                    inspection._connection.execute(statement).fetchall()
            assert not out.exists()
            assert engine.store.read(part.key, etag=part.etag) == before


@any_store
def test_a_file_has_the_result_of_one_read_only_statement(inspection: Inspection) -> None:
    for statement in ("", ";", "-- no", "SELECT 1; SELECT 2", "CREATE TABLE t (a INT)", "DROP VIEW runs", "SELEC 1"):
        with pytest.raises(InvalidRequest):
            inspection.write(statement, FORMATS["csv"], lambda _: None)


READ_ONLY = (
    "SELECT 1 AS one -- said",
    "WITH x AS (SELECT 1) FROM x;",
    "VALUES (1)",
    "DESCRIBE runs",
    "SHOW TABLES",
    "SUMMARIZE runs",
    "PIVOT runs ON state IN ('FINISHED') USING count(*)",
    "EXPLAIN FROM runs",
    "EXPLAIN ANALYZE FROM runs;",
    "EXPLAIN (FORMAT json) FROM runs",
    "EXPLAIN (ANALYZE, FORMAT json) FROM runs",
    "EXPLAIN (SELECT 1) UNION ALL SELECT 2",
    "PIVOT runs ON state USING count(*)",
    "SELECT 1 AS a, 2 AS a",
)


@any_store
def test_read_only_statements_are_accepted(inspection: Inspection) -> None:
    for statement in READ_ONLY:
        assert run(inspection, statement) != [[]], statement


def run(inspection: Inspection, script: str) -> list[Any]:
    """The rows or the plan of each statement."""
    return [
        inspection.plan(one)
        if one.kind is Kind.PLAN
        else [row for page in inspection.rows(one).pages() for row in page]
        for one in inspection.statements(script)
    ]


def csv(inspection: Inspection, query: str) -> str:
    chunks: list[Chunk] = []
    inspection.write(query, FORMATS["csv"], chunks.append)
    return b"".join(chunks).decode()


@any_store
def test_values_are_exact(inspection: Inspection) -> None:
    query = (
        "SELECT 123456789012345678901234567890.12::DECIMAL(38,2) AS d, 9223372036854775807 AS i, sum(1) AS s, "
        "TIMESTAMP '2024-01-02 10:04:05.25' AS t, 'infinity'::FLOAT AS f, NULL AS n, '' AS e, 0.1::FLOAT AS g"
    )
    assert csv(inspection, query) == (
        'd,i,s,t,f,n,"e",g\n'
        '123456789012345678901234567890.12,9223372036854775807,1,2024-01-02T10:04:05.25Z,Infinity,,"",0.1\n'
    )
    chunks: list[Chunk] = []
    inspection.write(query, FORMATS["json"], chunks.append)
    assert b"".join(chunks).decode() == (
        '[\n\t{"d":123456789012345678901234567890.12,"i":9223372036854775807,"s":1,'
        '"t":"2024-01-02T10:04:05.25Z","f":null,"n":null,"e":"","g":0.1}\n]'
    )
    chunks.clear()
    inspection.write(query, FORMATS["parquet"], chunks.append)
    table = pyarrow.parquet.read_table(io.BytesIO(b"".join(chunks)))
    assert [str(type_) for type_ in table.schema.types[:3]] == ["decimal128(38, 2)", "int64", "decimal128(38, 0)"]


NOT_EXACT = [
    "DATE 'infinity'",
    "DATE '0044-03-15 (BC)'",
    "DATE '10000-01-01'",
    "TIMESTAMP '-infinity'",
    "TIMESTAMP_S 'infinity'",
    "TIMESTAMPTZ '10000-01-01 00:00:00Z'",
    "TIMESTAMP_NS '2024-01-01 00:00:00.123456789'",
    "TIMESTAMP_NS 'infinity'",
    "99999999999999999999999999999999999999::HUGEINT + 1",
    "[DATE '2024-01-01', DATE 'infinity']",
    "{'at': [TIMESTAMP_NS '2024-01-01 00:00:00.123456789']}",
    "MAP {'k': DATE 'infinity'}",
]
EXACT = {
    "DATE '0001-01-01'": "0001-01-01",
    "DATE '9999-12-31'": "9999-12-31",
    "TIMESTAMP '9999-12-31 23:59:59.999999'": "9999-12-31T23:59:59.999999Z",
    "TIMESTAMP_NS '2024-01-01 00:00:00.123456'": "2024-01-01T00:00:00.123456Z",
    "99999999999999999999999999999999999999::HUGEINT": "99999999999999999999999999999999999999",
    "[DATE '2024-01-01', NULL]": '"[""2024-01-01"",null]"',
    "NULL::DATE": "",
    "NULL::TIMESTAMP_NS[]": "",
    "{'at': NULL::DATE}": '"{""at"":null}"',
}


@any_store
def test_a_value_that_has_no_exact_form_is_refused_with_its_column(inspection: Inspection) -> None:
    for value in NOT_EXACT:
        for name in ("csv", "json", "parquet"):
            with pytest.raises(InvalidRequest, match=r"^The column odd one has a value that an export cannot hold"):
                inspection.write(f'SELECT 1 AS n, {value} AS "odd one"', FORMATS[name], lambda _: None)
    for value, text in EXACT.items():
        assert csv(inspection, f"SELECT {value} AS x, 1 AS y").split("\n")[1:] == [f"{text},1", ""], value


@any_store
def test_an_error_shows_its_place(inspection: Inspection) -> None:
    for query, place in (
        ("SELECT 1 AS n,\n       nope\nFROM runs", "LINE 2:        nope\n               ^"),
        ("SELEC 1", "LINE 1: SELEC 1\n        ^"),
        ("FROM result('nope')", "LINE 1: FROM result('nope')\n             ^"),
        ("SELECT 'ü', upper(1, 2)", "LINE 1: SELECT 'ü', upper(1, 2)\n                    ^"),
        ("\n" * 9 + "SELECT nope", "LINE 10: SELECT nope\n                ^"),
    ):
        for attempt in (run, csv):
            with pytest.raises(InvalidRequest) as refused:
                attempt(inspection, query)
            assert refused.value.message.partition("\n")[2] == place


@any_store
def test_order_by_is_kept_for_large_results(inspection: Inspection) -> None:
    answer = csv(inspection, "SELECT range AS n FROM range(300000) ORDER BY n DESC")
    assert answer == "n\n" + "".join(f"{n}\n" for n in reversed(range(300_000)))


@any_store
def test_columns_that_cannot_be_exported_are_refused(inspection: Inspection) -> None:
    with pytest.raises(InvalidRequest, match=r"Duplicate column name 'x'; alias one with AS\."):
        csv(inspection, "SELECT 1 AS x, * FROM (SELECT 2 AS x)")
    with pytest.raises(InvalidInput, match="cannot be exported exactly: cast it"):
        csv(inspection, "SELECT '101'::BIT AS b")


@any_store
def test_a_query_works_after_a_failed_one(inspection: Inspection) -> None:
    with pytest.raises(InvalidRequest, match="Conversion Error"):
        csv(inspection, "SELECT CAST(v AS INT) AS n FROM (VALUES ('1'), ('x')) t(v)")
    assert csv(inspection, "SELECT 1 AS n") == "n\n1\n"


@pytest.mark.parametrize(
    ("typed", "over"),
    [
        ("SELECT 1;", True),
        ("SELECT 1;  \n", True),
        ("SELECT 'ü';", True),
        ("SELECT ';'\n;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1", False),
        ("SELECT ';", False),
        ("SELECT ';'", False),
        ("SELECT 1 -- x;", False),
        ("", False),
    ],
)
def test_a_statement_is_complete_at_its_semicolon(typed: str, over: bool) -> None:
    assert is_complete(typed) is over
