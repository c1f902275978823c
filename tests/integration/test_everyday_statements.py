"""Statements as analysts write them pass the allow-list, and return the rows that DuckDB alone returns."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from engine.catalog.manifest import Run
from tests.helpers.engine import Engine
from tests.helpers.statements import rows

CITIES = ("Berlin", "Paris", "Rome")
SALES: list[dict[str, Any]] = [
    {
        "id": n,
        "city": CITIES[n % 3],
        "kind": None if n % 5 == 0 else f"k{n % 2}",
        "price": n * 1.5,
        "pieces": n % 7,
        "day": date(2024, 1, 1) + timedelta(days=n),
        "sold": datetime(2024, 1, 1, 8, tzinfo=UTC) + timedelta(hours=n),
        "tags": [f"t{k}" for k in range(n % 3)],
        "address": {"street": f"Street {n}", "zip": 10000 + n},
        "note": json.dumps({"who": f"user{n}", "stars": [n % 5, 1]}),
    }
    for n in range(1, 61)
]


EVERYDAY = (
    # Choosing rows and columns.
    "SELECT id, city FROM data WHERE price > 60 AND city <> 'Rome' ORDER BY id",
    "FROM data SELECT id WHERE id <= 3 ORDER BY id",
    "SELECT id FROM data WHERE city IN ('Rome', 'Oslo') ORDER BY id",
    "SELECT id FROM data WHERE day BETWEEN '2024-02-01' AND '2024-02-05' ORDER BY ALL",
    "SELECT id FROM data WHERE kind IS NULL ORDER BY id",
    "SELECT DISTINCT city FROM data WHERE city ILIKE '%R%' ORDER BY city",
    "SELECT DISTINCT city FROM data WHERE city NOT LIKE 'B%' ORDER BY 1",
    "SELECT id FROM data ORDER BY price DESC, id LIMIT 3 OFFSET 2",
    "SELECT DISTINCT kind FROM data ORDER BY kind NULLS FIRST",
    "SELECT * EXCLUDE (_row_id, price, pieces, day, sold, tags, address, note, kind) FROM data WHERE id = 7",
    "SELECT * REPLACE (upper(city) AS city) FROM (SELECT id, city FROM data) WHERE id = 7",
    "SELECT * RENAME (city AS town) FROM (SELECT id, city FROM data) WHERE id = 7",
    "SELECT COLUMNS('^p') FROM data WHERE id = 2",
    "SELECT COLUMNS(c -> c LIKE 'p%') FROM data WHERE id = 2",
    "SELECT max(COLUMNS('^p')) FROM data",
    "SELECT DISTINCT ON (city) city, id FROM data ORDER BY city, id DESC",
    "SELECT count(*) AS n FROM (FROM data USING SAMPLE 10 ROWS)",
    "SELECT count(*) AS n FROM memory.main.data",
    'SELECT count(*) AS n FROM "DATA"',
    # Expressions.
    "SELECT CASE WHEN price < 45 THEN 'low' ELSE 'high' END AS level, count(*) AS n FROM data GROUP BY level "
    "ORDER BY level",
    "SELECT coalesce(kind, 'none') AS kind FROM data ORDER BY id",
    "SELECT ifnull(kind, '-') AS a, nullif(pieces, 0) AS b, if(id > 30, 'y', 'n') AS c FROM data WHERE id IN (5, "
    "35) ORDER BY id",
    "SELECT '12'::INT AS i, CAST(1.25 AS DECIMAL(6, 1)) AS d, TRY_CAST('x' AS INTEGER) AS bad, id::VARCHAR AS t "
    "FROM data WHERE id = 1",
    "SELECT ['1', '2']::INT[] AS l, {'a': '3'}::STRUCT(a INT) AS s, 'x'::ENUM('x', 'y') = 'x' AS e",
    "SELECT 7 // 2 AS a, 7 % 4 AS b, 2 ** 5 AS c, -(3) AS d, 7 / 2 AS e, round(2.567, 2) AS f, abs(-4) AS g",
    "SELECT count(*) AS n FROM data WHERE kind IS DISTINCT FROM 'k1'",
    "SELECT greatest(1, 5, 3) AS g, least(4, 2) AS l",
    "SELECT TRY('x'::INT) AS a",
    # Grouping.
    "SELECT count(*) AS n, count(kind) AS k, count(DISTINCT city) AS c FROM data",
    "SELECT city, count(*) AS n FROM data GROUP BY city ORDER BY city",
    "SELECT kind, count(*) AS n FROM data GROUP BY ALL ORDER BY ALL",
    "SELECT pieces, sum(price) AS s FROM data GROUP BY pieces HAVING sum(price) > 400 ORDER BY pieces",
    "SELECT avg(price) AS a, median(price) AS m, min(day) AS lo, max(day) AS hi FROM data",
    "SELECT count(*) FILTER (WHERE city = 'Rome') AS rome, sum(id) FILTER (id > 58) AS s FROM data",
    "SELECT string_agg(city, '+' ORDER BY id DESC) AS s FROM data WHERE id < 4",
    "SELECT list(id ORDER BY id) AS l, array_agg(DISTINCT pieces ORDER BY pieces) AS p FROM data WHERE id < 9",
    "SELECT quantile_disc(id, 0.5) AS q, percentile_disc(0.25) WITHIN GROUP (ORDER BY id) AS w FROM data",
    "SELECT arg_max(city, price) AS c, first(id ORDER BY id) AS f, any_value(1) AS v FROM data",
    "SELECT mode(pieces) AS m FROM data WHERE pieces < 5",
    "SELECT city, count(*) AS n, GROUPING(city) AS g FROM data GROUP BY ROLLUP (city) ORDER BY g, city",
    "SELECT city, kind, count(*) AS n FROM data GROUP BY GROUPING SETS ((city), (kind)) HAVING count(*) = 20 "
    "ORDER BY city",
    "SELECT histogram(pieces)::VARCHAR AS h FROM data WHERE id < 4",
    # Windows.
    "SELECT city, id, row_number() OVER (PARTITION BY city ORDER BY price DESC) AS place FROM data QUALIFY place "
    "<= 2 ORDER BY city, place",
    "SELECT id, sum(pieces) OVER (ORDER BY id) AS total FROM data ORDER BY id",
    "SELECT avg(price) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS m FROM data ORDER BY id",
    "SELECT id, id - lag(id, 1, 0) OVER w AS step FROM data WHERE id < 4 WINDOW w AS (ORDER BY id) ORDER BY id",
    "SELECT count(*) OVER (ORDER BY day RANGE BETWEEN INTERVAL 2 DAY PRECEDING AND CURRENT ROW) AS n FROM data "
    "WHERE id < 5 ORDER BY id",
    "SELECT rank() OVER (ORDER BY pieces) AS r, dense_rank() OVER (ORDER BY pieces) AS d, ntile(2) OVER (ORDER "
    "BY id) AS t FROM data WHERE id IN (1, 8, 9) ORDER BY id",
    "SELECT city, count(*) / sum(count(*)) OVER () AS share FROM data GROUP BY city ORDER BY city",
    # Joins, CTEs and sets.
    "WITH rome AS (FROM data WHERE city = 'Rome'), few AS (FROM rome WHERE pieces = 1) SELECT id FROM few ORDER BY id",
    "WITH data AS (SELECT id FROM data WHERE id < 3) FROM data ORDER BY id",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n * 2 FROM t WHERE n < 50) FROM t",
    "WITH RECURSIVE t(k, n) USING KEY (k) AS (SELECT 1, 1 UNION SELECT k, n + 1 FROM t WHERE n < 5) FROM t",
    "SELECT a.id FROM data a JOIN data b ON a.id = b.id + 58 ORDER BY a.id",
    "SELECT d.id, v.x FROM data d LEFT JOIN (VALUES (1, 'one')) v(id, x) USING (id) WHERE d.id < 3 ORDER BY d.id",
    "SELECT v.t, d.id FROM (VALUES (DATE '2024-01-04')) v(t) ASOF JOIN data d ON v.t >= d.day",
    "SELECT id FROM data SEMI JOIN range(1, 4) r(id) USING (id) ANTI JOIN range(2, 3) q(id) USING (id) ORDER BY id",
    "SELECT a, b FROM (VALUES (1), (2)) x(a) POSITIONAL JOIN (VALUES (3), (4)) y(b) ORDER BY a",
    "SELECT d.id, x FROM data d, LATERAL (SELECT d.id * 10 AS x) WHERE d.id < 3 ORDER BY d.id",
    "SELECT 1 AS n UNION ALL SELECT 2 UNION SELECT 2 ORDER BY n",
    "SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS b ORDER BY a",
    "(SELECT id FROM data INTERSECT SELECT 3) EXCEPT SELECT 4",
    "VALUES (1, 'a'), (2, 'b')",
    # Subqueries.
    "SELECT id FROM data WHERE price = (SELECT max(price) FROM data)",
    "SELECT id FROM data d WHERE price = (SELECT max(price) FROM data e WHERE e.city = d.city) ORDER BY id",
    "SELECT id FROM data d WHERE EXISTS (SELECT 1 FROM data e WHERE e.id = d.id + 59)",
    "SELECT 3 = ANY (SELECT id FROM data) AS a, 99 > ALL (SELECT id FROM data) AS b, ARRAY(SELECT id FROM data "
    "WHERE id < 3 ORDER BY id) AS c",
    # Text.
    "SELECT upper(city) || '-' || lpad(id::VARCHAR, 3, '0') AS code, length(city) AS n, city[1] AS c, "
    "replace(city, 'e', 'E') AS r FROM data WHERE id = 3",
    "SELECT concat_ws('/', 'a', 'b') AS a, split_part('x,y,z', ',', 2) AS b, trim('  q ') AS c, "
    "substring('berlin', 2, 3) AS d, format('{}-{}', 1, 'z') AS e",
    "SELECT city.lower().reverse() AS r FROM data WHERE id = 3",
    "SELECT id FROM data WHERE regexp_matches(address.street, '^Street 1[05]$') ORDER BY id",
    "SELECT regexp_extract('ab12', '([a-z]+)(\\d+)', 2) AS n, 'ab' ~ 'a.' AS m, regexp_replace('a1b2', '[0-9]', "
    "'#', 'g') AS r",
    "SELECT levenshtein('kitten', 'sitting') AS l, 'abc' SIMILAR TO 'a.*' AS s, starts_with('abc', 'ab') AS p",
    "SELECT DISTINCT city FROM data WHERE city = 'ROME' COLLATE NOCASE",
    # Dates.
    "SELECT date_trunc('week', day) AS week, count(*) AS n FROM data GROUP BY week ORDER BY week LIMIT 3",
    "SELECT year(day) AS y, extract(month FROM day) AS m, date_part('dow', day) AS d, strftime(day, '%d.%m.%Y') "
    "AS t FROM data WHERE id = 1",
    "SELECT DATE '2024-01-31' + INTERVAL 1 MONTH AS a, date_diff('day', DATE '2024-01-01', DATE '2024-03-01') AS "
    "b, last_day(DATE '2024-02-10') AS c",
    "SELECT strptime('03/02/2024', '%d/%m/%Y')::DATE AS d, make_date(2024, 2, 3) AS m",
    "SELECT now() > TIMESTAMPTZ '2024-01-01' AS a, current_date >= DATE '2024-01-01' AS b, current_timestamp IS "
    "NOT NULL AS c, today() = current_date AS d",
    "SELECT hour(TIMESTAMP '2024-07-01 12:00:00' AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin') AS h",
    "SELECT time_bucket(INTERVAL 1 DAY, sold) AS b, count(*) AS n FROM data GROUP BY b ORDER BY b LIMIT 1",
    # Lists, structs, maps and JSON.
    "SELECT id, unnest(tags) AS tag FROM data WHERE id IN (2, 4) ORDER BY id, tag",
    "SELECT tag, count(*) AS n FROM data, unnest(tags) AS u(tag) GROUP BY tag ORDER BY tag",
    "SELECT len(tags) AS n, list_contains(tags, 't1') AS c, tags[1] AS a, tags[:1] AS s, list_sort([3, 1, 2]) AS "
    "o, list_sum([1, 2]) AS t, [1] || [2] AS j FROM data WHERE id = 2",
    "SELECT list_transform([1, 2, 3], x -> x * 2) AS t, list_filter([1, 2, 3], lambda x: x > 1) AS f, "
    "list_reduce([1, 2, 3], (a, b) -> a + b) AS r",
    "SELECT [x * x FOR x IN [1, 2, 3] IF x <> 2] AS l",
    "SELECT address.zip AS z, address['street'] AS s, {'a': 1, 'b': 'x'} AS t, struct_pack(q := 1).q AS q FROM "
    "data WHERE id = 9",
    "SELECT address.* FROM data WHERE id = 9",
    "SELECT MAP {'a': 1}['a'] AS a, map_keys(MAP(['x'], [2])) AS k, cardinality(MAP {'b': 2}) AS n",
    "SELECT note->>'who' AS w, (note->'stars'->0)::INT AS s, json_extract_string(note, '$.who') AS e, "
    "json_array_length(note, '$.stars') AS n FROM data WHERE id = 7",
    "SELECT json_transform('{\"a\": 1}', '{\"a\": \"INT\"}').a AS t, json_object('k', 1)::VARCHAR AS o, "
    "('{\"a\": [1, 2]}'::JSON)->>'$.a[1]' AS p, json_valid('{') AS v, to_json([1])::VARCHAR AS j",
    'SELECT key, value::VARCHAR AS v FROM json_each(\'{"a": 1, "b": 2}\') ORDER BY key',
    # Reshaping and describing.
    "PIVOT (SELECT city, kind, price FROM data) ON kind IN ('k0', 'k1') USING count(*) GROUP BY city ORDER BY city",
    "SELECT * FROM (SELECT city, pieces FROM data) PIVOT (count(*) FOR pieces IN (0, 1)) ORDER BY city",
    "UNPIVOT (SELECT id, price, pieces::DOUBLE AS pieces FROM data WHERE id = 3) ON price, pieces INTO NAME what "
    "VALUE amount ORDER BY what",
    "SELECT count(*) AS n FROM (UNPIVOT (SELECT id, price, pieces::DOUBLE AS pieces FROM data) ON COLUMNS(* "
    "EXCLUDE (id)) INTO NAME what VALUE amount)",
    "SELECT column_name, column_type FROM (DESCRIBE SELECT id, city FROM data)",
    "SELECT column_name, min, max, count FROM (SUMMARIZE SELECT id, city FROM data)",
    "SELECT a.generate_series AS n FROM generate_series(1, 3) a ORDER BY n DESC",
    "SELECT g.d::DATE AS d FROM generate_series(DATE '2024-01-01', DATE '2024-01-03', INTERVAL 1 DAY) g(d) LEFT "
    "JOIN data ON data.day = g.d WHERE data.id IS NULL",
    "SELECT 1 AS one /* said */; -- end",
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(tmp_path_factory.mktemp("everyday"))


@pytest.fixture(scope="module")
def run(engine: Engine) -> Run:
    return engine.publish(engine.write_parquet(pa.Table.from_pylist(SALES)))


@pytest.fixture
def plain() -> Iterator[duckdb.DuckDBPyConnection]:
    """The rows as a view of DuckDB alone, with the column that a run has besides."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # DuckDB 2 has `x -> x + 1` behind a setting. Statements of callers may have either form.
        connection.execute("SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")
        connection.register("published", pa.Table.from_pylist(SALES))
        connection.execute(
            "CREATE VIEW data AS SELECT printf('%012d', row_number() OVER () - 1) AS _row_id, * FROM published"
        )
        yield connection


def spelled(value: Any) -> Any:
    """A value as JSON has it, read again."""
    if isinstance(value, dict):
        return {name: spelled(one) for name, one in value.items()}
    if isinstance(value, list):
        return [spelled(one) for one in value]
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    return str(value) if isinstance(value, date) else float(value) if isinstance(value, Decimal) else value


def test_everyday_statements_return_the_rows_of_plain_duckdb(
    engine: Engine, run: Run, plain: duckdb.DuckDBPyConnection, subtests: pytest.Subtests
) -> None:
    for sql in EVERYDAY:
        with subtests.test(sql):
            expected = [spelled(row) for row in plain.sql(sql).to_arrow_table().to_pylist()]
            assert expected
            assert rows(engine, run, sql) == expected


def test_describe_and_summarize_alone(engine: Engine, run: Run) -> None:
    assert [row["column_name"] for row in rows(engine, run, "DESCRIBE data")] == ["_row_id", *SALES[0]]
    assert len(rows(engine, run, "SUMMARIZE data")) == 1 + len(SALES[0])
    assert rows(engine, run, "SHOW TABLES") == [{"name": "data"}]


def test_a_deeply_nested_statement_is_allowed(engine: Engine, run: Run) -> None:
    nested = "SELECT 1 AS n"
    for _ in range(100):
        nested = f"SELECT n FROM ({nested})"
    assert rows(engine, run, nested) == [{"n": 1}]
