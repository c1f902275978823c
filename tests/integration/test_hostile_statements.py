"""The allow-list refuses every function, table, type and form of statement that could reach beyond the rows."""

from collections.abc import Iterator

import duckdb
import pytest

from engine.common.quoting import identifier
from engine.errors import InvalidStatement
from engine.query.sandbox.allow_list import ALLOWED, fold
from engine.query.sandbox.statement_check import STORAGE_VERSION, check_statement
from engine.request.statement import MAX_SQL_BYTES
from tests.helpers.engine import Engine
from tests.helpers.statements import rows

FILE = "read_text"
"""Stands for the functions of FROM that are refused."""

SETTING = "current_setting"
"""Stands for the functions of expressions that are refused."""

TABLE_PLACES = (
    "FROM {t}('x')",
    "SELECT * FROM {t}('x') AS a(b)",
    "SELECT * FROM system.main.{t}('x')",
    "SELECT * FROM main.{t}('x')",
    "SELECT * FROM \"{t}\"('x')",
    "SELECT (FROM {t}('x'))",
    "SELECT 1 WHERE EXISTS (FROM {t}('x'))",
    "SELECT 1 WHERE 1 IN (FROM {t}('x'))",
    "SELECT 1 = ANY (FROM {t}('x'))",
    "SELECT ARRAY(FROM {t}('x'))",
    "SELECT CASE WHEN TRUE THEN (FROM {t}('x')) END",
    "SELECT n FROM data ORDER BY (FROM {t}('x'))",
    "SELECT n FROM data LIMIT (FROM {t}('x'))",
    "SELECT n FROM data LIMIT 1 OFFSET (FROM {t}('x'))",
    "SELECT n FROM data GROUP BY (FROM {t}('x'))",
    "SELECT count(*) FROM data HAVING (SELECT TRUE FROM {t}('x'))",
    "SELECT n FROM data QUALIFY row_number() OVER (ORDER BY (FROM {t}('x'))) = 1",
    "SELECT sum(n) OVER (PARTITION BY (FROM {t}('x'))) FROM data",
    "SELECT count(*) FILTER (WHERE (SELECT TRUE FROM {t}('x'))) FROM data",
    "SELECT list(n ORDER BY (FROM {t}('x'))) FROM data",
    "SELECT list_transform([1], x -> (FROM {t}('x')))",
    "SELECT [(FROM {t}('x')) FOR y IN [1]]",
    "WITH a AS (FROM {t}('x')) FROM a",
    "WITH a AS (FROM {t}('x')) SELECT 1",
    "WITH a AS MATERIALIZED (SELECT 1), b AS (FROM {t}('x')) FROM a",
    "WITH RECURSIVE a AS (SELECT 1 UNION ALL FROM {t}('x')) FROM a",
    "WITH RECURSIVE a AS (FROM {t}('x') UNION ALL SELECT 1 FROM a) FROM a",
    "FROM data, {t}('x')",
    "FROM data JOIN {t}('x') ON TRUE",
    "FROM data JOIN data b ON data.n = (FROM {t}('x'))",
    "FROM data LEFT JOIN (FROM {t}('x')) ON TRUE",
    "FROM data, LATERAL (FROM {t}('x'))",
    "FROM data POSITIONAL JOIN {t}('x')",
    "FROM data ASOF JOIN {t}('x') b ON data.n >= b.n",
    "FROM data SEMI JOIN {t}('x') USING (n)",
    "FROM unnest((SELECT list(content) FROM {t}('x')))",
    "FROM range((SELECT 1 FROM {t}('x')))",
    "FROM (VALUES ((FROM {t}('x'))))",
    "VALUES ((FROM {t}('x')))",
    "SELECT 1 UNION ALL FROM {t}('x')",
    "SELECT 1 INTERSECT SELECT 2 EXCEPT FROM {t}('x')",
    "SUMMARIZE FROM {t}('x')",
    "DESCRIBE FROM {t}('x')",
    "FROM (SUMMARIZE FROM {t}('x'))",
    "FROM (DESCRIBE FROM {t}('x'))",
    "PIVOT (FROM {t}('x')) ON n IN (1) USING count(*)",
    "FROM {t}('x') PIVOT (count(*) FOR n IN (1))",
    "UNPIVOT (FROM {t}('x')) ON n INTO NAME a VALUE b",
    "FROM {t}('x') UNPIVOT (a FOR b IN (n))",
    "FROM {t}('x') USING SAMPLE 1 ROWS",
    "SELECT * REPLACE ((FROM {t}('x')) AS n) FROM data",
    "SELECT COLUMNS(c -> (SELECT TRUE FROM {t}('x'))) FROM data",
    "SELECT TRY((FROM {t}('x')))",
    "SELECT 1 AS a ORDER BY ALL LIMIT (SELECT 1 FROM {t}('x')) %",
)

EXPRESSION_PLACES = (
    "SELECT {f}('x')",
    "SELECT system.main.{f}('x')",
    "SELECT ('x').{f}()",
    "SELECT text.{f}() FROM data",
    "SELECT \"{f}\"('x')",
    "SELECT upper({f}('x'))",
    "SELECT 1 + {f}('x')",
    "SELECT {f}('x')::INT",
    "SELECT [{f}('x')]",
    "SELECT [1][{f}('x')]",
    "SELECT 'abc'[1:{f}('x')]",
    "SELECT {{'a': {f}('x')}}",
    "SELECT MAP {{'a': {f}('x')}}",
    "SELECT CASE {f}('x') WHEN 1 THEN 2 END",
    "SELECT CASE WHEN {f}('x') THEN 2 END",
    "SELECT CASE WHEN TRUE THEN {f}('x') END",
    "SELECT CASE WHEN TRUE THEN 1 ELSE {f}('x') END",
    "SELECT coalesce(NULL, {f}('x'))",
    "SELECT TRY({f}('x'))",
    "SELECT NOT {f}('x')",
    "SELECT {f}('x') IS NULL",
    "SELECT 1 BETWEEN 0 AND {f}('x')",
    "SELECT 1 IN (2, {f}('x'))",
    "SELECT 'a' LIKE {f}('x')",
    "SELECT 'a' LIKE 'b' ESCAPE {f}('x')",
    "SELECT {f}('x') COLLATE NOCASE",
    "SELECT a -> {f}('x') FROM data",
    "SELECT list_transform([1], x -> {f}('x'))",
    "SELECT list_transform([1], lambda x: {f}(x))",
    "SELECT list_reduce([1], (a, b) -> {f}(a))",
    "SELECT [{f}('x') FOR x IN [1]]",
    "SELECT [x FOR x IN [1] IF {f}('x')]",
    "SELECT * REPLACE ({f}('x') AS n) FROM data",
    "SELECT COLUMNS(c -> {f}(c)) FROM data",
    "SELECT COLUMNS({f}('x')) FROM data",
    "SELECT struct_pack(a := {f}('x'))",
    "SELECT sum({f}('x')) FROM data",
    "SELECT sum(n) FILTER (WHERE {f}('x')) FROM data",
    "SELECT list(n ORDER BY {f}('x')) FROM data",
    "SELECT percentile_cont({f}('x')) WITHIN GROUP (ORDER BY n) FROM data",
    "SELECT mode() WITHIN GROUP (ORDER BY {f}('x')) FROM data",
    "SELECT sum({f}('x')) OVER () FROM data",
    "SELECT {f}('x') OVER () FROM data",
    "SELECT sum(n) OVER (PARTITION BY {f}('x')) FROM data",
    "SELECT sum(n) OVER (ORDER BY {f}('x')) FROM data",
    "SELECT sum(n) OVER (ROWS BETWEEN {f}('x') PRECEDING AND CURRENT ROW) FROM data",
    "SELECT sum(n) OVER (ROWS BETWEEN CURRENT ROW AND {f}('x') FOLLOWING) FROM data",
    "SELECT sum(n) FILTER ({f}('x')) OVER () FROM data",
    "SELECT lag(n, {f}('x')) OVER () FROM data",
    "SELECT lag(n, 1, {f}('x')) OVER () FROM data",
    "SELECT first_value(n ORDER BY {f}('x')) OVER () FROM data",
    "SELECT sum(n) OVER w FROM data WINDOW w AS (ORDER BY {f}('x'))",
    "SELECT DISTINCT ON ({f}('x')) n FROM data",
    "SELECT n FROM data WHERE {f}('x')",
    "SELECT n FROM data GROUP BY {f}('x')",
    "SELECT n FROM data GROUP BY GROUPING SETS ((n), ({f}('x')))",
    "SELECT n FROM data GROUP BY n HAVING {f}('x')",
    "SELECT n FROM data QUALIFY {f}('x')",
    "SELECT n FROM data ORDER BY {f}('x')",
    "SELECT n FROM data LIMIT {f}('x')",
    "SELECT n FROM data LIMIT 1 OFFSET {f}('x')",
    "SELECT n FROM data LIMIT ({f}('x')) %",
    "FROM data JOIN data b ON {f}('x')",
    "FROM data ASOF JOIN data b ON data.n >= {f}('x')",
    "FROM range({f}('x'))",
    "FROM unnest([{f}('x')])",
    "FROM repeat({f}('x'), 2)",
    "FROM data, LATERAL (SELECT {f}('x'))",
    "VALUES (1), ({f}('x'))",
    "PIVOT data ON {f}(text) IN (1) USING count(*)",
    "PIVOT data ON n IN (1) USING count({f}('x'))",
    "PIVOT data ON n IN ({f}('x')) USING count(*)",
    "UNPIVOT data ON {f}('x') INTO NAME a VALUE b",
    "UNPIVOT data ON (n, {f}('x')) INTO NAME a VALUE b, c",
    "FROM data UNPIVOT (a FOR b IN (n, {f}('x')))",
    "SUMMARIZE SELECT {f}('x')",
    "DESCRIBE SELECT {f}('x')",
    "WITH a AS (SELECT {f}('x')) SELECT 1",
    "WITH RECURSIVE a AS (SELECT 1 UNION SELECT {f}('x') FROM a) FROM a",
    "SELECT INTERVAL ({f}('x')) DAY",
    "SELECT extract(year FROM {f}('x'))",
    "SELECT unnest({f}('x'))",
    "SELECT (n, {f}('x')) IN (SELECT 1, 2) FROM data",
    "SELECT {f}('x') = ANY (SELECT 1)",
)

TABLES = (
    "FROM '/etc/passwd'",
    "FROM 'x.csv'",
    "FROM 'x.parquet' SELECT 1",
    'FROM "https://example.com/x.parquet"',
    "FROM data JOIN 'x.csv' ON TRUE",
    "SELECT (SELECT 1 FROM 'x.csv')",
    "SUMMARIZE 'x.csv'",
    "DESCRIBE 'x.csv'",
    "SHOW 'x.csv'",
    "TABLE 'x.csv'",
    "PIVOT 'x.csv' ON a IN (1)",
    "UNPIVOT 'x.csv' ON a INTO NAME b VALUE c",
    "FROM pragma_database_list",
    "FROM sqlite_master",
    "FROM duckdb_settings",
    "FROM duckdb_views",
    "FROM duckdb_tables",
    "FROM pg_catalog.pg_settings",
    "FROM pg_tables",
    "FROM information_schema.tables",
    "FROM memory.information_schema.columns",
    "FROM system.main.duckdb_views",
    "FROM temp.main.data",
    "FROM other.data",
    "FROM query",
    "FROM recurring.data",
    "FROM data AT (VERSION => 1)",
    "FROM memory.other.main.data",
    "SHOW VARIABLES",
    # Names of CTEs where they are not to be seen.
    "WITH a AS (FROM b), b AS (SELECT 1) FROM a",
    "WITH a AS (FROM a) FROM a",
    "SELECT (WITH a AS (SELECT 1) FROM a), (FROM a)",
    "FROM (WITH a AS (SELECT 1) FROM a), a",
    "WITH RECURSIVE a AS (FROM a UNION ALL SELECT 1) FROM a",
    "WITH a AS (SELECT 1) FROM main.a",
    "WITH a AS (SELECT 1) FROM recurring.a",
    "WITH duckdb_views AS (SELECT 1) FROM (SUMMARIZE duckdb_views)",
    "WITH pragma_database_list AS (FROM pragma_database_list) FROM pragma_database_list",
    'WITH "sqlite_Master" AS (SELECT 1) FROM sqlite_master',
    # The Kelvin sign is no k for DuckDB.
    'WITH "\u212a" AS (SELECT 1) FROM k',
)

OTHERS = (
    "SELECT 1::POINTER",
    "SELECT CAST(1 AS STRUCT(a POINTER))",
    "SELECT NULL::POINTER[]",
    "SELECT NULL::MAP(VARCHAR, POINTER)",
    "SELECT NULL::UNION(a POINTER)",
    "SELECT NULL::POINTER[2]",
    "SELECT TRY_CAST(1 AS LAMBDA)",
    "SELECT 1::main.POINTER",
    "SELECT 'INT'::TYPE",
    "SELECT '\\x00'::BLOB::AGGREGATE_STATE",
    "SELECT 1::unknown_type",
    "SELECT sum(n) EXPORT_STATE FROM data",
    "SELECT $1",
    "SELECT ?",
    "FROM data WHERE n = $n",
    "SELECT DEFAULT",
    "PIVOT data ON n",
    "PIVOT data ON n IN (SELECT 1)",
    "PIVOT data ON n IN colours USING count(*)",
    "FROM (PIVOT data ON n)",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE FROM read_text('x')",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY data TO 'x'",
    "; ; ",
    "",
    "-- nothing",
    "/* nothing",
    "SELECT 1 \x00 FROM read_text('x')",
    "SELECT '\x00'",
    "SELECT '\ud800'",
    "SELECT $x$ 1",
    "SELECT 1) FROM read_text('x') --",
    "COPY data TO 'x.csv'",
    "COPY (FROM read_text('x')) TO 'x.csv'",
    "WITH x AS (COPY data TO 'x.csv') FROM data",
    "WITH x AS (INSERT INTO data VALUES (1)) FROM x",
    "INSERT INTO data VALUES (1)",
    "UPDATE data SET n = 1",
    "DELETE FROM data",
    "TRUNCATE data",
    "MERGE INTO data USING data b ON TRUE WHEN MATCHED THEN DELETE",
    "CREATE TABLE x AS FROM data",
    "CREATE VIEW x AS FROM data",
    "CREATE MACRO count(x) AS 1",
    "CREATE MACRO t() AS TABLE FROM read_text('x')",
    "CREATE TYPE x AS ENUM ('a')",
    "CREATE SECRET s (TYPE s3)",
    "CREATE SEQUENCE s",
    "ALTER VIEW data RENAME TO x",
    "DROP VIEW data",
    "SELECT n INTO x FROM data",
    "ATTACH 'x.duckdb'",
    "DETACH memory",
    "USE temp",
    "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "UPDATE EXTENSIONS",
    "SET threads = 1",
    "SET VARIABLE x = 1",
    "RESET threads",
    "PRAGMA version",
    "PRAGMA table_info('data')",
    "PRAGMA json_execute_serialized_sql('{}')",
    "CALL pragma_version()",
    "CALL query('SELECT 1')",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "DEALLOCATE x",
    "COMMENT ON VIEW data IS 'x'",
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """What the child opens, as far as parsing goes."""
    config: dict[str, str | bool | int | float | list[str]] = {"storage_compatibility_version": STORAGE_VERSION}
    with duckdb.connect(config=config) as connection:
        yield connection


def refusal(connection: duckdb.DuckDBPyConnection, sql: str, *more: str) -> str | None:
    try:
        check_statement(connection, sql, ["data", *more])
    except InvalidStatement as error:
        return error.message
    return None


def catalogue(connection: duckdb.DuckDBPyConnection, *types: str) -> list[str]:
    found = connection.execute("SELECT DISTINCT function_name, function_type FROM duckdb_functions()").fetchall()
    return sorted({name for name, type_ in found if type_ in types})


def test_every_other_table_function_is_refused_by_name(connection: duckdb.DuckDBPyConnection) -> None:
    names = [name for name in catalogue(connection, "table", "table_macro") if fold(name) not in ALLOWED["table"]]
    assert {"arrow_scan", "pandas_scan", "python_map_function", "read_csv", "query", "json_execute_serialized_sql"} < {
        *names
    }
    passed = [
        name for name in names if f"'{name}' is not allowed: " not in (refusal(connection, f"FROM {name}()") or "")
    ]
    assert passed == []


def test_every_other_function_is_refused_by_name(connection: duckdb.DuckDBPyConnection) -> None:
    names = [
        name.lower()
        for name in catalogue(connection, "scalar", "aggregate", "macro")
        if fold(name) not in ALLOWED["expression"]
    ]
    assert {"current_setting", "json_deserialize_sql", "nextval", "sleep_ms", "write_log", "current_query"} < {*names}
    passed = [
        name
        for name in names
        if f"'{name}' is not allowed: " not in (refusal(connection, f"SELECT {identifier(name)}(1)") or "")
    ]
    assert passed == []


@pytest.mark.parametrize("name", ["arrow_scan", "json_execute_serialized_sql", "pandas_scan", "query", FILE])
def test_a_table_function_is_refused_in_every_clause(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    passed = [
        sql for sql in TABLE_PLACES if f"Table function '{name}'" not in (refusal(connection, sql.format(t=name)) or "")
    ]
    assert passed == []


@pytest.mark.parametrize("name", ["getenv", "json_deserialize_sql", "nextval", SETTING])
def test_a_function_is_refused_in_every_clause(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    passed = [
        sql for sql in EXPRESSION_PLACES if f"Function '{name}'" not in (refusal(connection, sql.format(f=name)) or "")
    ]
    assert passed == []


def test_the_same_clauses_pass_with_an_allowed_function(connection: duckdb.DuckDBPyConnection) -> None:
    """So each statement above is refused only because of the function."""
    harmless = [sql.format(t="repeat") for sql in TABLE_PLACES] + [sql.format(f="upper") for sql in EXPRESSION_PLACES]
    assert {sql: refusal(connection, sql) for sql in harmless if refusal(connection, sql)} == {}


def test_other_tables_types_and_statements_are_refused(connection: duckdb.DuckDBPyConnection) -> None:
    assert [sql for sql in (*TABLES, *OTHERS) if refusal(connection, sql) is None] == []


def test_a_second_run_opens_no_other_table(connection: duckdb.DuckDBPyConnection) -> None:
    """All statements with both tables, in the place of each, as they run: in parentheses."""
    hostile = [
        *(sql.format(t=FILE) for sql in TABLE_PLACES), *(sql.format(f=SETTING) for sql in EXPRESSION_PLACES),
        *TABLES, *OTHERS,
    ]  # fmt: skip
    for sql in {one.replace("data", "previous") for one in hostile} | {*hostile}:
        assert refusal(connection, sql, "previous") is not None, sql
    assert refusal(connection, "FROM data JOIN main.previous USING (n)", "previous") is None


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1) UNION (SELECT 2",
        "SELECT 1); COPY (SELECT 1) TO 'x.csv'; FROM (SELECT 1",
        "SELECT 1 /*",
        "SELECT 1) --",
        "SELECT $$)$$ --\n) FROM read_text('x'",
    ],
)
def test_no_statement_leaves_the_parentheses_in_which_it_runs(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert refusal(connection, sql) is not None


def test_a_parameter_is_always_a_value(connection: duckdb.DuckDBPyConnection) -> None:
    """So it cannot name a table, a function or a type, and what it stands in is checked like a constant."""
    for sql in (
        "FROM $p",
        "FROM query($p)",
        "FROM read_text($p)",
        "SELECT getenv($p)",
        "SELECT 1::$p",
        "SELECT $p($p)",
    ):
        with pytest.raises(InvalidStatement) as refused:
            check_statement(connection, sql, ["data"], ["p"])
        assert refused.value.parameter == "sql", sql
    assert check_statement(connection, "SELECT upper($P)", ["data"], ["p"]) == {"p": "P"}


def test_there_are_many_cases() -> None:
    assert len(TABLE_PLACES) + len(EXPRESSION_PLACES) + len(TABLES) + len(OTHERS) >= 200


def test_an_error_names_line_and_column(connection: duckdb.DuckDBPyConnection) -> None:
    assert refusal(connection, "SELECT 'ä',\n  getenv('x')") == (
        "Function 'getenv' does not exist or is not allowed (line 2, column 3)."
    )
    assert refusal(connection, "SELECT\nFROM data WHERE WHERE") == (
        'Parser Error: syntax error at or near "WHERE" (line 2, column 17)'
    )
    assert refusal(connection, "SELECT lowerr('x')") == (
        "Function 'lowerr' does not exist or is not allowed; did you mean 'lower'? (line 1, column 8)."
    )
    assert "PIVOT that lists its values" in (refusal(connection, "PIVOT data ON n") or "")


def test_a_statement_as_deep_as_the_parser_allows_is_checked(connection: duckdb.DuckDBPyConnection) -> None:
    assert refusal(connection, f"SELECT 1{' + 1' * 900}") is None
    assert "getenv" in (refusal(connection, f"SELECT getenv('x'){' + 1' * 900}") or "")
    for deep in (
        f"SELECT {'(' * 20_000}1{')' * 20_000}",
        f"SELECT {'[' * 30_000}{']' * 30_000}",
        "SELECT " + "NOT " * 15_000 + "TRUE",
    ):
        assert len(deep) < MAX_SQL_BYTES
        assert "Parser Error: " in (refusal(connection, deep) or "Parser Error: ")


def forged() -> str:
    """A call whose arguments are addresses, which no SQL text can spell: the tree of one, with another type in it."""
    # All rows: DuckDB 2 refuses other work on a connection whose result is not finished.
    [(tree,)] = duckdb.execute(
        "SELECT json_serialize_sql('FROM arrow_scan(286331153,1145324612,858993459)')"
    ).fetchall()
    assert '"INTEGER"' in tree
    return f"json_execute_serialized_sql('{tree.replace('INTEGER', 'POINTER')}')"


@pytest.mark.parametrize(
    "sql",
    [
        "FROM {call}",
        "WITH x AS (FROM {call}) FROM x",
        "SELECT (SELECT count(*) FROM {call})",
        "SUMMARIZE FROM {call}",
        "FROM data, LATERAL (FROM {call})",
        "SELECT list_transform([1], x -> (SELECT count(*) FROM {call}))",
    ],
)
def test_a_forged_pointer_is_never_followed(tmp_path_factory: pytest.TempPathFactory, sql: str) -> None:
    """Once, such a statement made the process jump to address 858993459."""
    engine = Engine(tmp_path_factory.mktemp("forged"))
    run = engine.publish_rows([{"n": 1}])
    with pytest.raises(InvalidStatement, match="Table function 'json_execute_serialized_sql' is not allowed"):
        rows(engine, run, sql.format(call=forged()))
    assert rows(engine, run, "SELECT n FROM data") == [{"n": 1}]
